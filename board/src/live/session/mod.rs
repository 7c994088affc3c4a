//! The live loop. Nothing in [`Session::run`] allocates.

mod record;
mod requests;

use crate::every::Every;
use crate::live::batch::{Batch, Images};
use crate::live::control::Control;
use crate::live::decide::Rules;
use crate::live::energy::Sensing;
use crate::live::feed::Feed;
use crate::live::model::Model;
use crate::live::pack_watch::Watch;
use crate::live::publisher::{Greeting, Kind, PublishError, Publisher};
use crate::live::records::CameraRecord;
use crate::live::regions::Region;
use crate::live::reload::Reloader;
use crate::live::schedules::Schedules;
use crate::live::states::States;
use crate::live::summary::Tally;
use crate::live::uncertain::Saver;
use crate::live::watched;
use crate::output::{self, Clipped};
use crate::records::{ErrorRecord, REASON};
use crate::sources::{Next, Slot, SourceError};
use crate::supervisor::Supervisor;
use mergevit_runtime::{PackChanged, RunError};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the loop waits for a frame before it looks at its pack and its sensors again.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why the loop ended.
#[derive(Debug)]
pub(crate) enum End {
    /// Every source ended.
    Sources,
    /// `--max-frames` was reached, or an interrupt came.
    Enough,
    EngineFailed(RunError),
    /// The pack was written to under the engine.
    PackChanged(PackChanged),
    Published(PublishError),
}

impl From<PublishError> for End {
    fn from(error: PublishError) -> Self {
        Self::Published(error)
    }
}

impl From<PackChanged> for End {
    fn from(changed: PackChanged) -> Self {
        Self::PackChanged(changed)
    }
}

impl From<RunError> for End {
    fn from(error: RunError) -> Self {
        Self::EngineFailed(error)
    }
}

/// What the command line says about the loop.
#[derive(Debug)]
pub(crate) struct Settings {
    /// Frames after which the loop ends.
    pub(crate) max_frames: Option<u64>,
    /// Most frames per second.
    pub(crate) fps_limit: Option<f64>,
    /// Parts of frames in the place of whole ones; none for whole ones.
    pub(crate) regions: Vec<Region>,
    /// How states are decided, if they are.
    pub(crate) rules: Option<Rules>,
}

/// What the loop talks to.
pub(crate) struct Surroundings {
    pub(crate) control: Arc<Control>,
    pub(crate) publisher: Publisher,
    /// Where clients learn what runs, if there can be any.
    pub(crate) greeting: Option<Arc<Greeting>>,
    pub(crate) reloader: Reloader,
    /// What the board draws, if that is known.
    pub(crate) sensing: Option<Sensing>,
    /// Keeps frames that the model is not sure of, if that is wanted.
    pub(crate) saver: Option<Saver>,
    /// The service manager, if there is one.
    pub(crate) supervisor: Supervisor,
}

/// One run of the live loop, with all the memory that it needs.
pub(crate) struct Session {
    feeds: Vec<Feed>,
    settings: Settings,
    around: Surroundings,
    schedules: Schedules,
    states: Option<States>,
    watch: Watch,
    /// When a batch may be watched.
    watching: Every,
    batch: Batch,
    /// Why a feed ended.
    reason: Clipped,
    /// The feed that ended last.
    last_end: Option<usize>,
    /// When the next batch may be taken.
    due: Instant,
    tally: Tally,
}

impl Session {
    pub(crate) fn new(
        feeds: Vec<Feed>,
        settings: Settings,
        schedules: Schedules,
        around: Surroundings,
    ) -> Self {
        let regions = settings.regions.len().max(1);
        let states = settings
            .rules
            .map(|rules| States::new(rules, feeds.len(), regions));
        Self {
            batch: Batch::new(feeds.len()),
            feeds,
            settings,
            around,
            schedules,
            states,
            watch: Watch::new(),
            watching: Every::new(watched::INTERVAL),
            reason: Clipped::new(REASON),
            last_end: None,
            due: Instant::now(),
            tally: Tally::new(),
        }
    }

    /// Frames classified.
    pub(crate) fn frames(&self) -> u64 {
        self.tally.frames
    }

    /// Where frames come from.
    pub(crate) fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    /// Classifies frames until there are no more, or enough.
    pub(crate) fn run(&mut self, model: &mut Model) -> End {
        loop {
            let stepped = self.step(model);
            self.batch.give_back(&self.feeds);
            if let Err(end) = stepped {
                return end;
            }
        }
    }

    /// One batch, or a wait for one.
    fn step(&mut self, model: &mut Model) -> Result<(), End> {
        self.pace();
        if self.around.control.is_stopped() {
            return Err(End::Enough);
        }
        // A loop that waits for a camera is alive; one that waits for the engine or for standard output may not be.
        self.around.supervisor.alive(Instant::now());
        self.renew(model)?;
        self.obey(model)?;
        self.sense(model)?;
        self.tell_goals()?;
        self.take()?;
        if self.batch.is_empty() {
            if self.feeds.iter().all(|feed| feed.ended().is_some()) {
                return Err(End::Sources);
            }
            self.watch.check(model.engine.pack())?;
            std::thread::park_timeout(PATIENCE);
            return Ok(());
        }
        if let Some(batch) = self.classify(model)? {
            self.record(model, &batch)?;
            let latency = batch.end - batch.begin;
            let switch = self.schedules.batch(model, latency)?;
            self.tell_switch(model, switch)?;
        }
        let max_frames = self.settings.max_frames;
        match max_frames.is_some_and(|most| self.tally.frames >= most) {
            true => Err(End::Enough),
            false => Ok(()),
        }
    }

    /// Waits until the next batch may be taken, or until the loop is to stop.
    fn pace(&mut self) {
        while !self.around.control.is_stopped() {
            let now = Instant::now();
            // Far apart as frames may be, the service manager hears of the loop in time.
            self.around.supervisor.alive(now);
            let left = self.due.saturating_duration_since(now);
            if left.is_zero() {
                break;
            }
            std::thread::park_timeout(left.min(PATIENCE));
        }
    }

    /// Takes what is new, at most one frame of each feed, without waiting.
    fn take(&mut self) -> Result<(), End> {
        let left = self
            .settings
            .max_frames
            .map(|most| most - self.tally.frames);
        let most = left.and_then(|left| usize::try_from(left).ok());
        for index in 0..self.feeds.len() {
            if most.is_some_and(|most| self.batch.len() >= most) {
                break;
            }
            match self.feeds[index].next() {
                Next::Waiting => {}
                Next::Stopped => return Err(End::Enough),
                // Standard error has it already.
                Next::Status(status) => {
                    let record = CameraRecord::new(&self.feeds[index].name, &status);
                    self.around.publisher.publish(Kind::Event, &record)?;
                }
                Next::Ended(end) => self.end_feed(index, end)?,
                Next::Frame(slot) => self.take_slot(index, slot)?,
            }
        }
        let limit = self
            .settings
            .fps_limit
            .map(|fps| Duration::from_secs_f64(1.0 / fps));
        if let (false, Some(interval)) =
            (self.batch.is_empty(), limit.max(self.schedules.interval()))
        {
            // What came a little late does not make the next later.
            let now = Instant::now();
            let is_late = now.saturating_duration_since(self.due) >= interval;
            self.due = if is_late { now } else { self.due } + interval;
        }
        Ok(())
    }

    /// Keeps a frame for the batch, or records why it cannot be used.
    fn take_slot(&mut self, index: usize, slot: Slot) -> Result<(), End> {
        self.feeds[index].arrived(&slot);
        let feed = &self.feeds[index];
        let recorded = match slot.frame() {
            Ok(_) => {
                self.batch.push(slot, index);
                return Ok(());
            }
            Err(reason) => {
                let file = feed.names.get(slot.name);
                let record = ErrorRecord::new(file, reason).of(&feed.name);
                self.around.publisher.publish(Kind::Event, &record)
            }
        };
        feed.exchange().give_back(slot);
        Ok(recorded?)
    }

    /// A feed has no more frames. A failure is a record; standard error has it at once where others go on.
    fn end_feed(&mut self, index: usize, end: Result<(), SourceError>) -> Result<(), End> {
        self.reason.clear();
        let feed = &mut self.feeds[index];
        if let Err(error) = &end {
            // What does not fit is cut off.
            let _ = write!(self.reason, "{}: {error}", feed.description());
        }
        feed.end(end);
        self.last_end = Some(index);
        if self.reason.is_empty() {
            return Ok(());
        }
        if self.feeds.iter().any(|feed| feed.ended().is_none()) {
            output::error(&format_args!("error: {}", &*self.reason));
        }
        let record = ErrorRecord::new(None, &self.reason).of(&self.feeds[index].name);
        Ok(self.around.publisher.publish(Kind::Event, &record)?)
    }

    /// Classifies the batch; nothing if no region lies in its frames.
    fn classify(&mut self, model: &mut Model) -> Result<Option<Classified>, End> {
        let begin = Instant::now();
        let (images, frames) = self.batch.images(&self.settings.regions);
        for image in &images.outside {
            let taken = &self.batch.taken()[image.frame];
            let feed = &self.feeds[taken.feed];
            let region = region_name(&self.settings.regions, image.region).unwrap_or_default();
            self.reason.clear();
            let _ = write!(self.reason, "region {region}: outside of this frame");
            let file = feed.names.get(taken.slot.name);
            let record = ErrorRecord::new(file, &self.reason).of(&feed.name);
            self.around.publisher.publish(Kind::Event, &record)?;
        }
        if frames.is_empty() {
            return Ok(None);
        }
        let is_watched = self.around.publisher.is_watched() && self.watching.is_due(begin);
        let Model {
            engine,
            answers,
            watched,
            ..
        } = model;
        let output = match watched {
            Some(watched) if is_watched => watched.classify(engine, &frames),
            _ => engine.classify(&frames),
        }?;
        for (image, answer) in (0..output.batch()).zip(answers) {
            answer.take(&output, image);
        }
        let end = Instant::now();
        // After the answer and before its use: what is said was computed with the pack that was loaded.
        self.watch.check(model.engine.pack())?;
        Ok(Some(Classified {
            begin,
            end,
            is_watched,
            images,
        }))
    }
}

/// A batch that was classified.
#[derive(Debug)]
struct Classified {
    begin: Instant,
    end: Instant,
    /// There are pictures of it.
    is_watched: bool,
    images: Images,
}

/// The name of a region.
fn region_name(regions: &[Region], place: Option<usize>) -> Option<&str> {
    place.map(|place| &*regions[place].name)
}
