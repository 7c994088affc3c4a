//! The live loop. Nothing in [`Session::run`] allocates.

use super::control::Control;
use super::feed::Feed;
use super::model::Model;
use super::pack_watch::Watch;
use super::publisher::{Greeting, Kind, PublishError, Publisher};
use super::records::{CameraRecord, FrameRecord};
use super::schedules::{Schedules, SwitchRecord};
use super::summary::Summary;
use super::watched::Watching;
use crate::cascade::SecondRuns;
use crate::file_name::FileName;
use crate::output::{self, Clipped, GROWTH, Time};
use crate::records::{ErrorRecord, REASON};
use crate::sources::{Counts, Next, Slot, SourceError};
use crate::telemetry::histogram::Histogram;
use mergevit_runtime::{Engine, Frame, PackChanged, RunError};
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the loop waits for a frame before it looks at its pack again.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of a record besides its answer and names: numbers, keys.
const RECORD: usize = 1024;

/// Most sources of a run.
pub(crate) const MAX_FEEDS: usize = 32;

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

/// What the command line says about the loop.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    /// Frames after which the loop ends.
    pub(crate) max_frames: Option<u64>,
    /// Most frames per second.
    pub(crate) fps_limit: Option<f64>,
}

/// A frame of the batch: its slot, to be given back, and the feed that it came from.
struct Taken {
    slot: Slot,
    feed: usize,
}

/// One run of the live loop, with all the memory that it needs.
pub(crate) struct Session {
    feeds: Vec<Feed>,
    settings: Settings,
    publisher: Publisher,
    control: Arc<Control>,
    /// Where clients learn what runs, if there can be any.
    greeting: Option<Arc<Greeting>>,
    schedules: Schedules,
    watch: Watch,
    watching: Watching,
    /// The batch; one of each feed at most.
    taken: Vec<Taken>,
    /// Why a feed ended.
    reason: Clipped,
    /// The feed that ended last.
    last_end: Option<usize>,
    /// When the next batch may be taken.
    due: Instant,
    latency: Histogram,
    age: Histogram,
    frames: u64,
    /// Frames that ran twice.
    second_runs: u64,
    begin: Option<Instant>,
    end: Option<Instant>,
}

/// Most bytes of a record of these sources and this model, in either form.
pub(crate) fn record_bytes(feeds: &[Feed], model: &Model) -> usize {
    let name = |feed: &Feed| {
        let file = feed.names.iter().map(FileName::bound).max().unwrap_or(0);
        file + GROWTH * feed.name.len()
    };
    let names = feeds.iter().map(name).max().unwrap_or(0);
    RECORD + names + model.record_bytes().max(GROWTH * REASON)
}

impl Session {
    pub(crate) fn new(
        feeds: Vec<Feed>,
        settings: Settings,
        publisher: Publisher,
        control: &Arc<Control>,
        greeting: Option<Arc<Greeting>>,
        model: &Model,
    ) -> Self {
        Self {
            greeting,
            schedules: Schedules::new(model.current()),
            watching: Watching::new(),
            taken: Vec::with_capacity(feeds.len()),
            feeds,
            settings,
            publisher,
            control: Arc::clone(control),
            watch: Watch::new(),
            reason: Clipped::new(REASON),
            last_end: None,
            due: Instant::now(),
            latency: Histogram::new(),
            age: Histogram::new(),
            frames: 0,
            second_runs: 0,
            begin: None,
            end: None,
        }
    }

    /// Frames classified.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }

    /// Where frames come from.
    pub(crate) fn feeds(&self) -> &[Feed] {
        &self.feeds
    }

    /// Classifies frames until there are no more, or enough.
    pub(crate) fn run(&mut self, model: &mut Model) -> End {
        loop {
            match self.step(model) {
                Ok(()) => {}
                Err(end) => {
                    self.give_back();
                    return end;
                }
            }
        }
    }

    /// One batch, or a wait for one.
    fn step(&mut self, model: &mut Model) -> Result<(), End> {
        self.pace();
        if self.control.is_stopped() {
            return Err(End::Enough);
        }
        self.obey(model)?;
        self.take()?;
        if self.taken.is_empty() {
            if self.feeds.iter().all(|feed| feed.ended().is_some()) {
                return Err(End::Sources);
            }
            self.watch.check(model.engine.pack())?;
            std::thread::park_timeout(PATIENCE);
            return Ok(());
        }
        let times = self.classify(model)?;
        self.record(model, times)?;
        self.give_back();
        let max_frames = self.settings.max_frames;
        match max_frames.is_some_and(|most| self.frames >= most) {
            true => Err(End::Enough),
            false => Ok(()),
        }
    }

    /// Does what clients ask for.
    fn obey(&mut self, model: &mut Model) -> Result<(), End> {
        let Some(hold) = self.control.take_hold() else {
            return Ok(());
        };
        let switched = self.schedules.obey(hold, model);
        let (from, reason) = switched.map_err(End::EngineFailed)?;
        let Schedules { current, held, .. } = self.schedules;
        if let Some(greeting) = &self.greeting {
            greeting.set_current(current, held);
        }
        let record = SwitchRecord::new(&model.choices[from], &model.choices[current], reason);
        Ok(self.publisher.publish(Kind::Event, &record)?)
    }

    /// Waits until the next batch may be taken, or until the loop is to stop.
    fn pace(&self) {
        while !self.control.is_stopped() {
            let left = self.due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            std::thread::park_timeout(left);
        }
    }

    /// Takes what is new, at most one frame of each feed, without waiting.
    fn take(&mut self) -> Result<(), End> {
        let left = self.settings.max_frames.map(|most| most - self.frames);
        let most = left.map_or(usize::MAX, |left| {
            usize::try_from(left).unwrap_or(usize::MAX)
        });
        for index in 0..self.feeds.len() {
            if self.taken.len() >= most {
                break;
            }
            match self.feeds[index].next() {
                Next::Waiting => {}
                Next::Stopped => return Err(End::Enough),
                Next::Ended(end) => self.end_feed(index, end)?,
                Next::Frame(slot) => self.take_slot(index, slot)?,
                Next::Status(news) => {
                    let record = CameraRecord::new(&self.feeds[index].name, &news);
                    self.publisher.publish(Kind::Event, &record)?;
                }
            }
        }
        if let (false, Some(fps)) = (self.taken.is_empty(), self.settings.fps_limit) {
            self.due = Instant::now().max(self.due) + Duration::from_secs_f64(1.0 / fps);
        }
        Ok(())
    }

    /// Keeps a frame for the batch, or records why it cannot be used.
    fn take_slot(&mut self, index: usize, slot: Slot) -> Result<(), End> {
        let feed = &self.feeds[index];
        let recorded = match slot.frame() {
            Ok(_) => {
                self.taken.push(Taken { slot, feed: index });
                return Ok(());
            }
            Err(reason) => {
                let file = feed.names.get(slot.name);
                let record = ErrorRecord::new(file, reason).of(&feed.name);
                self.publisher.publish(Kind::Event, &record)
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
        Ok(self.publisher.publish(Kind::Event, &record)?)
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

    /// Says why the run ended, if it failed, and what it was; returns once standard output has that.
    pub(crate) fn close(
        &mut self,
        reason: Option<&str>,
        summary: &Summary,
    ) -> Result<(), PublishError> {
        if let Some(reason) = reason {
            let record = ErrorRecord::new(None, reason);
            self.publisher.publish(Kind::Event, &record)?;
        }
        self.publisher.publish(Kind::Event, summary)?;
        self.publisher.finish()
    }

    /// Classifies the batch.
    fn classify(&mut self, model: &mut Model) -> Result<Times, End> {
        let begin = Instant::now();
        self.begin.get_or_insert(begin);
        let frames = self
            .taken
            .iter()
            .filter_map(|taken| taken.slot.frame().ok());
        let frames: heapless::Vec<Frame<'_>, MAX_FEEDS> = frames.collect();
        let is_watched = self.publisher.is_watched() && self.watching.starts(begin);
        let Model {
            engine,
            answers,
            watched,
            ..
        } = model;
        let output = match watched {
            Some(watched) if is_watched => watched.classify(engine, &frames),
            _ => engine.classify(&frames),
        };
        let output = output.map_err(End::EngineFailed)?;
        for (image, answer) in (0..output.batch()).zip(answers) {
            answer.take(&output, image);
        }
        let end = Instant::now();
        self.end = Some(end);
        // After the answer and before its use: what is said was computed with the pack that was loaded.
        self.watch.check(model.engine.pack())?;
        Ok(Times {
            begin,
            end,
            is_watched,
        })
    }

    /// Says what the batch shows.
    fn record(&mut self, model: &Model, times: Times) -> Result<(), End> {
        let latency = times.end - times.begin;
        let shows_source = self.feeds.len() > 1;
        let watched = model.watched.as_ref().filter(|_| times.is_watched);
        let answers = model.answers.iter().enumerate();
        for (taken, (image, answer)) in self.taken.iter().zip(answers) {
            let feed = &mut self.feeds[taken.feed];
            let age = times.end.saturating_duration_since(taken.slot.captured);
            let is_second_run = answer.is_second_run();
            self.second_runs += u64::from(is_second_run);
            self.latency.record(latency);
            self.age.record(age);
            let dropped = feed.arrive();
            let record = FrameRecord {
                event: "frame",
                time: Time::now(),
                frame: self.frames,
                source: &feed.name,
                file: feed.names.get(taken.slot.name),
                region: None,
                sequence: taken.slot.sequence,
                captured: Time::at(taken.slot.captured),
                dropped,
                schedule: schedule(&model.engine, is_second_run),
                second_run: model.engine.cascade().map(|_| is_second_run),
                answer: answer.view(&model.labels),
                latency_us: microseconds(latency),
                age_us: microseconds(age),
                shows_source,
            };
            self.frames += 1;
            let picture = watched.map(|watched| watched.picture(image));
            self.publisher.publish_frame(&record, picture)?;
        }
        Ok(())
    }

    /// Gives the batch's slots back.
    fn give_back(&mut self) {
        for taken in self.taken.drain(..) {
            self.feeds[taken.feed].exchange().give_back(taken.slot);
        }
    }

    /// The run so far.
    pub(crate) fn summary(&self, model: &Model) -> Summary {
        let elapsed = match (self.begin, self.end) {
            (Some(begin), Some(end)) => end - begin,
            _ => Duration::ZERO,
        };
        let mut counts = Counts::default();
        for feed in &self.feeds {
            let own = feed.exchange().counts();
            counts.dropped += own.dropped;
            counts.errors += own.errors;
        }
        let second_runs = model.engine.cascade().map(|_| self.second_runs);
        let second_runs = SecondRuns::new(second_runs, self.frames);
        let (latency, age) = (&self.latency, &self.age);
        Summary::new(self.frames, counts, second_runs, elapsed, latency, age)
    }
}

/// When a batch was begun, and done.
#[derive(Clone, Copy, Debug)]
struct Times {
    begin: Instant,
    end: Instant,
    /// There are pictures of it.
    is_watched: bool,
}

/// The schedule that gave an answer.
fn schedule(engine: &Engine, is_second_run: bool) -> &str {
    match (engine.cascade(), is_second_run) {
        (None, _) => &engine.schedule().name,
        (Some(cascade), false) => &cascade.first,
        (Some(cascade), true) => &cascade.then,
    }
}

/// In tenths of a microsecond.
fn microseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e7).round() / 10.0
}
