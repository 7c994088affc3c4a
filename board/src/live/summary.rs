//! What is said of a whole run.

use crate::cascade::SecondRuns;
use crate::output::{self, Time};
use crate::sources::Counts;
use crate::telemetry::histogram::Histogram;
use mergevit_runtime::words::Count;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// A whole run.
#[derive(Debug, PartialEq, Serialize)]
pub(crate) struct Summary {
    event: &'static str,
    time: Time,
    frames: u64,
    /// Frames that newer ones replaced.
    dropped: u64,
    /// Frames that could not be used.
    errors: u64,
    #[serde(flatten)]
    second_runs: SecondRuns,
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

impl Summary {
    pub(super) fn new(
        frames: u64,
        counts: Counts,
        second_runs: SecondRuns,
        elapsed: Duration,
        latency: &Histogram,
        age: &Histogram,
    ) -> Self {
        debug_assert_eq!(latency.count(), frames);
        let microseconds = |nanoseconds: u64| nanoseconds as f64 / 1e3;
        Self {
            event: "summary",
            time: Time::now(),
            frames,
            dropped: counts.dropped,
            errors: counts.errors,
            second_runs,
            elapsed_s: elapsed.as_secs_f64(),
            frames_per_second: output::ratio(frames as f64, elapsed.as_secs_f64()),
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
        )
    }
}
