//! The live loop. Nothing in [`Session::run`] allocates.

use super::report::{FrameRecord, Summary};
use crate::classes::Ranking;
use crate::cli::RunArgs;
use crate::output::{self, Line};
use crate::sources::{Counts, Exchange, Next, SourceError};
use crate::telemetry::histogram::Histogram;
use mergevit_runtime::{Engine, RunError, Top};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long the loop waits for a frame before it looks again.
const PATIENCE: Duration = Duration::from_secs(1);

/// Bytes of a line beside its classes: numbers, keys, and a file name of 255 bytes, each byte escaped as
/// `\u001b` at worst.
const LINE: usize = 1024 + 6 * 255;

/// Bytes of a class beside its label: number, probability, keys.
const CLASS: usize = 128;

/// Why the loop ended.
#[derive(Debug)]
pub(super) enum End {
    /// No further frames.
    Source(Result<(), SourceError>),
    /// As many frames as were asked for.
    Enough,
    EngineFailed(RunError),
    OutputFailed(io::Error),
}

/// One run of the live loop, and everything that it needs memory for.
pub(super) struct Session {
    names: Arc<[String]>,
    labels: Vec<String>,
    json: bool,
    max_frames: u64,
    interval: Option<Duration>,
    top: Vec<Top>,
    line: Line,
    latency: Histogram,
    age: Histogram,
    frames: u64,
    begin: Option<Instant>,
    end: Option<Instant>,
}

impl Session {
    pub(super) fn new(args: &RunArgs, names: &Arc<[String]>, engine: &Engine) -> Self {
        let labels = engine.pack().config().labels.clone();
        // A label is free of control characters, so JSON escapes at most double it.
        let longest = labels.iter().map(String::len).max().unwrap_or(0);
        Self {
            names: Arc::clone(names),
            json: args.json,
            max_frames: args.max_frames.unwrap_or(u64::MAX),
            interval: args.fps_limit.map(|fps| Duration::from_secs_f64(1.0 / fps)),
            top: vec![Top::default(); args.top],
            line: Line::new(LINE + args.top * (CLASS + 2 * longest)),
            latency: Histogram::new(),
            age: Histogram::new(),
            frames: 0,
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
        let mut due = Instant::now();
        loop {
            if let Some(interval) = self.interval {
                exchange.sleep_until(due);
                due = Instant::now().max(due) + interval;
            }
            let slot = match exchange.next(PATIENCE) {
                Next::Waiting => continue,
                Next::Ended(result) => return End::Source(result),
                Next::Frame(slot) => slot,
            };
            let begin = Instant::now();
            self.begin.get_or_insert(begin);
            let Some(frame) = slot.frame() else {
                exchange.count_error();
                exchange.give_back(slot);
                continue;
            };
            let ranked = match engine.classify(&[frame]) {
                Ok(output) => output.top(0, &mut self.top),
                Err(error) => return End::EngineFailed(error),
            };
            let end = Instant::now();
            let times = Times {
                latency: end - begin,
                age: end.saturating_duration_since(slot.captured),
            };
            self.end = Some(end);
            let name = slot.name;
            exchange.give_back(slot);
            if let Err(error) = self.record(name, ranked, times) {
                return End::OutputFailed(error);
            }
            if self.frames >= self.max_frames {
                return End::Enough;
            }
        }
    }

    fn record(&mut self, name: usize, ranked: usize, times: Times) -> io::Result<()> {
        self.latency.record(times.latency);
        self.age.record(times.age);
        let record = FrameRecord {
            event: "frame",
            frame: self.frames,
            name: self.names.get(name).map(String::as_str),
            top: Ranking {
                labels: &self.labels,
                top: &self.top[..ranked],
            },
            latency_us: microseconds(times.latency),
            age_us: microseconds(times.age),
        };
        self.frames += 1;
        self.line.clear();
        record.write(&mut self.line, self.json)?;
        output::write(self.line.bytes())
    }

    /// What happened so far.
    pub(super) fn summary(&self, counts: Counts) -> Summary {
        let elapsed = match (self.begin, self.end) {
            (Some(begin), Some(end)) => end - begin,
            _ => Duration::ZERO,
        };
        Summary::new(self.frames, counts, elapsed, &self.latency, &self.age)
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
