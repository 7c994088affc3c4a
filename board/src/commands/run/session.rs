//! The live loop. Nothing in [`Session::run`] allocates.

use super::report::{Summary, write_frame};
use super::watch::Watch;
use crate::answer::Answer;
use crate::cascade::{Decision, SecondRuns};
use crate::file_name::FileName;
use crate::output::{self, GROWTH, Line, Time};
use crate::records::{ErrorRecord, FrameRecord};
use crate::sources::{Counts, Exchange, Next, SourceError};
use crate::telemetry::histogram::Histogram;
use mergevit_runtime::{Engine, PackChanged, RunError};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the loop waits for a frame before it checks again.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of a line besides its answer and file name: numbers, keys.
const LINE: usize = 1024;

/// Why the loop ended.
#[derive(Debug)]
pub(super) enum End {
    /// No further frames.
    Source(Result<(), SourceError>),
    /// `--max-frames` was reached, or an interrupt came.
    Enough,
    EngineFailed(RunError),
    /// The pack was written to under the engine.
    PackChanged(PackChanged),
    OutputFailed(io::Error),
}

/// What the command line says about the loop.
#[derive(Clone, Copy, Debug)]
pub(super) struct Settings {
    pub(super) json: bool,
    /// Frames after which the loop ends.
    pub(super) max_frames: Option<u64>,
    /// Most frames per second.
    pub(super) fps_limit: Option<f64>,
}

/// One run of the live loop, with all the memory that it needs.
pub(super) struct Session {
    names: Arc<[FileName]>,
    labels: Vec<String>,
    settings: Settings,
    answer: Answer,
    line: Line,
    latency: Histogram,
    age: Histogram,
    frames: u64,
    /// Frames that ran twice; `None` without a cascade.
    second_runs: Option<u64>,
    begin: Option<Instant>,
    end: Option<Instant>,
}

impl Session {
    /// A run on a source whose frames have these names, by an engine whose classes have these labels; `answer` has room
    /// for what it says of a frame.
    pub(super) fn new(
        engine: &Engine,
        settings: Settings,
        names: &Arc<[FileName]>,
        labels: Vec<String>,
        answer: Answer,
    ) -> Self {
        let cascade = engine.cascade();
        let schedule = cascade.map_or(0, |c| c.first.len().max(c.then.len()));
        let label = GROWTH * labels.iter().map(String::len).max().unwrap_or(0);
        let name = names.iter().map(FileName::bound).max().unwrap_or(0);
        Self {
            names: Arc::clone(names),
            settings,
            line: Line::new(LINE + schedule + name + answer.bound(label)),
            answer,
            latency: Histogram::new(),
            age: Histogram::new(),
            frames: 0,
            second_runs: engine.cascade().map(|_| 0),
            begin: None,
            end: None,
            labels,
        }
    }

    /// Frames classified.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Classifies frames until there are no more, or enough.
    pub(super) fn run(&mut self, engine: &mut Engine, exchange: &Exchange) -> End {
        let fps_limit = self.settings.fps_limit;
        let interval = fps_limit.map(|fps| Duration::from_secs_f64(1.0 / fps));
        let mut due = Instant::now();
        let mut watch = Watch::new();
        loop {
            if let Some(interval) = interval {
                exchange.sleep_until(due);
                due = Instant::now().max(due) + interval;
            }
            let slot = match exchange.next(PATIENCE) {
                Next::Waiting => match watch.check(engine.pack()) {
                    Ok(()) => continue,
                    Err(changed) => return End::PackChanged(changed),
                },
                // Standard error has it already.
                Next::Status(news) => {
                    drop(news);
                    continue;
                }
                Next::Ended(result) => return End::Source(result),
                Next::Stopped => return End::Enough,
                Next::Frame(slot) => slot,
            };
            let begin = Instant::now();
            self.begin.get_or_insert(begin);
            let frame = match slot.frame() {
                Ok(frame) => frame,
                Err(reason) => {
                    let recorded = self.record_error(slot.name, reason);
                    exchange.give_back(slot);
                    match recorded {
                        Ok(()) => continue,
                        Err(error) => return End::OutputFailed(error),
                    }
                }
            };
            match engine.classify(&[frame]) {
                Ok(output) => self.answer.take(&output),
                Err(error) => return End::EngineFailed(error),
            }
            let end = Instant::now();
            // After the answer and before its use: what is printed was computed with the pack that was loaded.
            if let Err(changed) = watch.check(engine.pack()) {
                return End::PackChanged(changed);
            }
            let times = Times {
                latency: end - begin,
                age: end.saturating_duration_since(slot.captured),
            };
            self.end = Some(end);
            let name = slot.name;
            exchange.give_back(slot);
            if let Err(error) = self.record(engine, name, times) {
                return End::OutputFailed(error);
            }
            let max_frames = self.settings.max_frames;
            if max_frames.is_some_and(|most| self.frames >= most) {
                return End::Enough;
            }
        }
    }

    fn record(&mut self, engine: &Engine, name: usize, times: Times) -> io::Result<()> {
        if let Some(second_runs) = &mut self.second_runs {
            *second_runs += u64::from(self.answer.is_second_run());
        }
        self.latency.record(times.latency);
        self.age.record(times.age);
        let record = FrameRecord {
            event: "frame",
            time: Time::now(),
            frame: self.frames,
            file: self.names.get(name),
            answer: self.answer.view(&self.labels),
            decision: Decision::of(engine, &self.answer),
            latency_us: microseconds(times.latency),
            age_us: Some(microseconds(times.age)),
        };
        self.frames += 1;
        self.line.clear();
        write_frame(&record, &mut self.line, self.settings.json)?;
        output::write(self.line.bytes())
    }

    /// Records a frame that cannot be used. Standard error has the reason already.
    fn record_error(&self, name: usize, reason: &str) -> io::Result<()> {
        match self.settings.json {
            true => output::write_json(&ErrorRecord::new(self.names.get(name), reason)),
            false => Ok(()),
        }
    }

    /// The run so far.
    pub(super) fn summary(&self, counts: Counts) -> Summary {
        let elapsed = match (self.begin, self.end) {
            (Some(begin), Some(end)) => end - begin,
            _ => Duration::ZERO,
        };
        let second_runs = SecondRuns::new(self.second_runs, self.frames);
        let (latency, age) = (&self.latency, &self.age);
        Summary::new(self.frames, counts, second_runs, elapsed, latency, age)
    }
}

/// How long a frame took.
#[derive(Clone, Copy, Debug)]
struct Times {
    /// Preprocessing and inference.
    latency: Duration,
    /// From the capture to the result.
    age: Duration,
}

/// In tenths of a microsecond.
fn microseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e7).round() / 10.0
}
