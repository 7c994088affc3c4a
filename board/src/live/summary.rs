//! What is said of a whole run.

use super::energy::Energy;
use super::uncertain::UncertainCounts;
use crate::cascade::SecondRuns;
use crate::output::{self, Time};
use crate::sources::Counts;
use crate::telemetry::histogram::Histogram;
use mergevit_runtime::words::Count;
use serde::Serialize;
use std::fmt;
use std::time::{Duration, Instant};

/// A whole run.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    event: &'static str,
    time: Time,
    frames: u64,
    /// Frames that newer ones replaced.
    dropped: u64,
    /// Frames that cameras' drivers had no room for.
    dropped_by_driver: u64,
    /// Frames that could not be used.
    errors: u64,
    #[serde(flatten)]
    second_runs: SecondRuns,
    #[serde(flatten)]
    energy: Option<Energy>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uncertain: Option<UncertainCounts>,
    elapsed_s: f64,
    frames_per_second: f64,
    latency_us_mean: f64,
    latency_us_p50: f64,
    latency_us_p90: f64,
    latency_us_p99: f64,
    latency_us_max: f64,
    age_us_p50: f64,
    age_us_p99: f64,
    age_us_max: f64,
}

/// What is counted while a run goes on. Counting does not allocate.
#[derive(Debug)]
pub(super) struct Tally {
    /// Frames classified.
    pub(super) frames: u64,
    /// Images, and those that ran twice.
    images: u64,
    second_runs: u64,
    latency: Histogram,
    age: Histogram,
    begin: Option<Instant>,
    end: Option<Instant>,
}

impl Tally {
    /// Allocates, and alone does.
    pub(super) fn new() -> Self {
        Self {
            frames: 0,
            images: 0,
            second_runs: 0,
            latency: Histogram::new(),
            age: Histogram::new(),
            begin: None,
            end: None,
        }
    }

    /// An image has its answer, perhaps of a second run.
    pub(super) fn image(&mut self, is_second_run: bool) {
        self.images += 1;
        self.second_runs += u64::from(is_second_run);
    }

    /// A frame of this age is done, in a batch that began and ended then.
    pub(super) fn frame(&mut self, begin: Instant, end: Instant, age: Duration) {
        self.frames += 1;
        self.latency.record(end - begin);
        self.age.record(age);
        self.begin.get_or_insert(begin);
        self.end = Some(end);
    }
}

impl Summary {
    pub(super) fn new(
        tally: &Tally,
        counts: Counts,
        is_cascade: bool,
        energy: Option<Energy>,
        uncertain: Option<UncertainCounts>,
    ) -> Self {
        let Tally {
            frames,
            latency,
            age,
            ..
        } = tally;
        debug_assert_eq!(latency.count(), *frames);
        let elapsed = match (tally.begin, tally.end) {
            (Some(begin), Some(end)) => end - begin,
            _ => Duration::ZERO,
        };
        let second_runs = is_cascade.then_some(tally.second_runs);
        let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1e3;
        Self {
            event: "summary",
            time: Time::now(),
            frames: *frames,
            dropped: counts.dropped,
            dropped_by_driver: counts.dropped_by_driver,
            errors: counts.errors,
            second_runs: SecondRuns::new(second_runs, tally.images),
            energy,
            uncertain,
            elapsed_s: elapsed.as_secs_f64(),
            frames_per_second: output::ratio(*frames as f64, elapsed.as_secs_f64()),
            latency_us_mean: microseconds(latency.mean()),
            latency_us_p50: microseconds(latency.quantile(0.5)),
            latency_us_p90: microseconds(latency.quantile(0.9)),
            latency_us_p99: microseconds(latency.quantile(0.99)),
            latency_us_max: microseconds(latency.max()),
            age_us_p50: microseconds(age.quantile(0.5)),
            age_us_p99: microseconds(age.quantile(0.99)),
            age_us_max: microseconds(age.max()),
        }
    }
}

/// Several lines, without times if no frame has any.
impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = output::microseconds;
        write!(
            f,
            "{} in {:.2} s ({:.1} frames/s), {} dropped, {} with errors{}",
            Count(self.frames, "frame"),
            self.elapsed_s,
            self.frames_per_second,
            self.dropped,
            self.errors,
            self.second_runs
        )?;
        if self.frames == 0 {
            return Ok(());
        }
        write!(
            f,
            "\nlatency  p50 {}  p90 {}  p99 {}  max {}",
            time(self.latency_us_p50),
            time(self.latency_us_p90),
            time(self.latency_us_p99),
            time(self.latency_us_max)
        )?;
        write!(
            f,
            "\nage      p50 {}  p99 {}  max {}   (capture to result)",
            time(self.age_us_p50),
            time(self.age_us_p99),
            time(self.age_us_max)
        )?;
        if let Some(joules) = self.energy.and_then(|energy| energy.joules_per_frame) {
            write!(f, "\nenergy   {joules:.3} J a frame")?;
        }
        if let Some(uncertain) = self.uncertain {
            write!(
                f,
                "\nuncertain frames: {} saved, {} dropped",
                uncertain.saved, uncertain.dropped
            )?;
        }
        Ok(())
    }
}
