//! The live loop. Nothing in [`Session::run`] allocates.

use super::batch::{Batch, Image, Images};
use super::control::{Control, Hold};
use super::decide::{Rules, Sight, Vote};
use super::energy::Sensing;
use super::feed::Feed;
use super::model::Model;
use super::pack_watch::Watch;
use super::publisher::{Greeting, Kind, PublishError, Publisher};
use super::records::{CameraRecord, Dropped, FrameRecord};
use super::regions::Region;
use super::reload::{Loaded, ReloadRecord, Reloader};
use super::schedules::{Schedules, SwitchRecord};
use super::states::{StateName, StateRecord, States};
use super::summary::{Summary, Tally};
use super::uncertain::{Origin, Saver};
use super::watched::Watching;
use crate::governor::Switch;
use crate::output::{self, Clipped, Time};
use crate::records::{ErrorRecord, REASON};
use crate::sources::{Counts, Next, Slot, SourceError};
use crate::supervisor::Supervisor;
use mergevit_runtime::{Engine, PackChanged, RunError};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the loop waits for a frame before it looks at its pack and its sensors again.
const PATIENCE: Duration = Duration::from_secs(1);

/// Why a model cannot be changed to.
const NO_ROOM: &str =
    "its records or pictures are larger than this run has room for; a new run takes it";

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
    watching: Watching,
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
            watching: Watching::new(),
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
    fn pace(&self) {
        while !self.around.control.is_stopped() {
            let left = self.due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::park_timeout(left);
        }
    }

    /// Goes on with another model, if one was asked for and is there.
    fn renew(&mut self, model: &mut Model) -> Result<(), End> {
        let Surroundings {
            control,
            publisher,
            reloader,
            supervisor,
            ..
        } = &mut self.around;
        if control.take_reload() {
            supervisor.reloading();
            reloader.ask();
        }
        let mut loaded = match reloader.take() {
            None => return Ok(()),
            Some(Err(reason)) => {
                reloader.settle(None, false);
                supervisor.ready();
                return Ok(publisher.publish(Kind::Event, &ReloadRecord::refused(&reason))?);
            }
            Some(Ok(loaded)) => loaded,
        };
        let new = &loaded.model;
        let records = super::record_bytes(&self.feeds, &self.settings.regions, new);
        if !publisher.has_room(records, new.picture_bytes()) {
            reloader.settle(Some(loaded), false);
            supervisor.ready();
            return Ok(publisher.publish(Kind::Event, &ReloadRecord::refused(NO_ROOM))?);
        }
        self.end_states(model)?;
        let held = self.schedules.held();
        let held = held.and_then(|held| loaded.model.place_of(&model.choices[held]));
        let Loaded {
            model: new,
            schedules,
            ..
        } = &mut *loaded;
        std::mem::swap(model, new);
        std::mem::swap(&mut self.schedules, schedules);
        self.watch = Watch::new();
        let record = ReloadRecord::done(&loaded.hash);
        self.around.publisher.publish(Kind::Event, &record)?;
        self.around.reloader.settle(Some(loaded), true);
        self.around.supervisor.ready();
        match held {
            Some(held) => self.hold(Hold::Choice(held), model),
            None => Ok(self.tell_clients()),
        }
    }

    /// Does what clients ask for.
    fn obey(&mut self, model: &mut Model) -> Result<(), End> {
        match self.around.control.take_hold() {
            Some(hold) => self.hold(hold, model),
            None => Ok(()),
        }
    }

    fn hold(&mut self, hold: Hold, model: &mut Model) -> Result<(), End> {
        match self.schedules.obey(hold, model)? {
            Ok(switch) => self.tell_switch(model, switch),
            Err(refused) => {
                self.reason.clear();
                // What does not fit is cut off.
                let _ = write!(self.reason, "a client's schedule: {refused}");
                let record = ErrorRecord::new(None, &self.reason);
                Ok(self.around.publisher.publish(Kind::Event, &record)?)
            }
        }
    }

    fn tell_switch(&mut self, model: &Model, switch: Option<Switch>) -> Result<(), End> {
        let Some(switch) = switch else {
            return Ok(());
        };
        self.tell_clients();
        let record = SwitchRecord::new(&model.choices, &switch);
        Ok(self.around.publisher.publish(Kind::Event, &record)?)
    }

    fn tell_clients(&self) {
        let (current, held) = self.schedules.current();
        if let Some(greeting) = &self.around.greeting {
            greeting.set_current(current, held);
        }
    }

    /// Says what the board draws, and minds it.
    fn sense(&mut self, model: &mut Model) -> Result<(), End> {
        let Some(sensing) = &mut self.around.sensing else {
            return Ok(());
        };
        if let Some(record) = sensing.record(self.tally.frames) {
            self.around.publisher.publish(Kind::Event, &record)?;
        }
        let Some(watts) = sensing.fresh_watts() else {
            return Ok(());
        };
        let switch = self.schedules.power(model, watts)?;
        self.tell_switch(model, switch)
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
        let is_watched = self.around.publisher.is_watched() && self.watching.starts(begin);
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

    /// Says what the batch shows.
    fn record(&mut self, model: &Model, batch: &Classified) -> Result<(), End> {
        for place in 0..self.batch.len() {
            let mut images = batch.images.inside.iter().enumerate();
            if !images.any(|(_, image)| image.frame == place) {
                continue;
            }
            let taken = &self.batch.taken()[place];
            let dropped = self.feeds[taken.feed].take_dropped();
            let age = batch.end.saturating_duration_since(taken.slot.captured);
            for (index, image) in batch.images.inside.iter().enumerate() {
                if image.frame == place {
                    self.record_image(model, batch, (index, *image), dropped, age)?;
                }
            }
            self.tally.frame(batch.begin, batch.end, age);
        }
        Ok(())
    }

    /// Says what one image shows, and what is decided by it.
    fn record_image(
        &mut self,
        model: &Model,
        batch: &Classified,
        (index, image): (usize, Image),
        dropped: Dropped,
        age: Duration,
    ) -> Result<(), End> {
        let answer = &model.answers[index];
        let taken = &self.batch.taken()[image.frame];
        let feed = &self.feeds[taken.feed];
        let is_second_run = answer.is_second_run();
        self.tally.image(is_second_run);
        let sight = answer.best().map(|(class, probability)| Sight {
            frame: self.tally.frames,
            captured: taken.slot.captured,
            class,
            probability,
            is_unknown: answer.is_unknown(),
        });
        let place = (taken.feed, image.region.unwrap_or(0));
        let seen = self.states.as_mut().zip(sight.as_ref());
        let seen = seen.map(|(states, sight)| states.see(place.0, place.1, sight));
        let region = region_name(&self.settings.regions, image.region);
        let record = FrameRecord {
            event: "frame",
            time: Time::now(),
            frame: self.tally.frames,
            source: &feed.name,
            file: feed.names.get(taken.slot.name),
            region,
            sequence: taken.slot.sequence,
            captured: Time::at(taken.slot.captured),
            dropped,
            schedule: schedule(&model.engine, is_second_run),
            second_run: model.engine.cascade().map(|_| is_second_run),
            answer: answer.view(&model.labels),
            state: self.states.as_ref().map(|states| StateName {
                labels: &model.labels,
                state: states.state(place.0, place.1),
            }),
            latency_us: super::microseconds(batch.end - batch.begin),
            age_us: super::microseconds(age),
            shows_source: self.feeds.len() > 1,
        };
        let watched = model.watched.as_ref().filter(|_| batch.is_watched);
        let picture = watched.map(|watched| watched.picture(index));
        self.around.publisher.publish_frame(&record, picture)?;
        let Some((vote, change)) = seen else {
            return Ok(());
        };
        if let Some(change) = change {
            let several = self.feeds.len() > 1;
            let record = StateRecord::new(&feed.name, region, &change, &model.labels, several);
            self.around.publisher.publish(Kind::Event, &record)?;
        }
        if !matches!(vote, Vote::Class(_)) {
            self.save(image);
        }
        Ok(())
    }

    /// Keeps what the model is not sure of, if that is wanted.
    fn save(&self, image: Image) {
        let taken = &self.batch.taken()[image.frame];
        let (Some(saver), Ok(frame)) = (&self.around.saver, taken.slot.frame()) else {
            return;
        };
        let part = match image.region {
            None => Some(frame),
            Some(region) => self.settings.regions[region].of(&frame),
        };
        if let Some(part) = part {
            let origin = Origin {
                captured: Time::at(taken.slot.captured),
                source: taken.feed,
                frame: self.tally.frames,
                region: image.region,
            };
            saver.offer(&part, origin);
        }
    }

    /// Says that what is decided ends.
    fn end_states(&mut self, model: &Model) -> Result<(), PublishError> {
        let Some(states) = &mut self.states else {
            return Ok(());
        };
        let several = self.feeds.len() > 1;
        let regions = &self.settings.regions;
        for (index, feed) in self.feeds.iter().enumerate() {
            for region in 0..regions.len().max(1) {
                if let Some(change) = states.end(index, region) {
                    let name = regions.get(region).map(|region| &*region.name);
                    let labels = &model.labels;
                    let record = StateRecord::new(&feed.name, name, &change, labels, several);
                    self.around.publisher.publish(Kind::Event, &record)?;
                }
            }
        }
        Ok(())
    }

    /// Whether a source failed.
    pub(crate) fn has_failed_source(&self) -> bool {
        let mut feeds = self.feeds.iter();
        feeds.any(|feed| matches!(feed.ended(), Some(Err(_))))
    }

    /// Why the last source failed, if it did. Standard error has it already of those before.
    pub(crate) fn source_failure(&self) -> Option<String> {
        let feed = &self.feeds[self.last_end?];
        let error = feed.ended()?.as_ref().err()?;
        Some(format!("{}: {error}", feed.description()))
    }

    /// What the run was, once all that it keeps is kept.
    pub(crate) fn summary(&mut self, model: &Model) -> Summary {
        let mut counts = Counts::default();
        for feed in &self.feeds {
            let own = feed.exchange().counts();
            counts.dropped += own.dropped;
            counts.dropped_by_driver += own.dropped_by_driver;
            counts.errors += own.errors;
        }
        let energy = self.around.sensing.as_ref();
        let energy = energy.map(|sensing| sensing.energy(self.tally.frames));
        let uncertain = self.around.saver.as_mut().map(Saver::finish);
        let is_cascade = model.engine.cascade().is_some();
        Summary::new(&self.tally, counts, is_cascade, energy, uncertain)
    }

    /// Says why the run ended, if it failed, and what it was; returns once standard output has that.
    pub(crate) fn close(
        &mut self,
        reason: Option<&str>,
        summary: &Summary,
        model: &Model,
    ) -> Result<(), PublishError> {
        self.around.supervisor.stopping();
        self.end_states(model)?;
        let publisher = &mut self.around.publisher;
        if let Some(reason) = reason {
            publisher.publish(Kind::Event, &ErrorRecord::new(None, reason))?;
        }
        publisher.publish(Kind::Event, summary)?;
        publisher.finish()
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

/// The schedule that gave an answer.
fn schedule(engine: &Engine, is_second_run: bool) -> &str {
    match (engine.cascade(), is_second_run) {
        (None, _) => &engine.schedule().name,
        (Some(cascade), false) => &cascade.first,
        (Some(cascade), true) => &cascade.then,
    }
}
