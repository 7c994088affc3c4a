//! How long the network takes.

use super::pixels::Pixels;
use crate::failure::Failure;
use crate::telemetry::quantile;
use mergevit_runtime::Engine;
use std::time::{Duration, Instant};

/// When to stop measuring.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    Iterations(u32),
    Time(Duration),
}

impl Limit {
    /// Whether `count` runs that took `elapsed` are enough. A time allows one run at least.
    pub(super) fn reached(self, count: usize, elapsed: Duration) -> bool {
        match self {
            Self::Iterations(iterations) => count >= iterations as usize,
            Self::Time(time) => count > 0 && elapsed >= time,
        }
    }
}

/// Times of single runs, ascending, in nanoseconds.
#[derive(Clone, Debug)]
pub(super) struct Latencies {
    sorted: Vec<u64>,
}

impl Latencies {
    pub(super) fn new(mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        Self { sorted: times }
    }

    pub(super) fn count(&self) -> usize {
        self.sorted.len()
    }

    /// Sum of all times in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.sorted.iter().sum::<u64>() as f64 / 1e9
    }

    pub(super) fn quantile_us(&self, fraction: f64) -> f64 {
        quantile(&self.sorted, fraction).unwrap_or(0) as f64 / 1e3
    }
}

/// Runs the network on pixels until the limit; returns the time of each run in order, in nanoseconds.
pub(super) fn times(
    engine: &mut Engine,
    pixels: &Pixels,
    limit: Limit,
) -> Result<Vec<u64>, Failure> {
    let mut times = Vec::new();
    let start = Instant::now();
    while !limit.reached(times.len(), start.elapsed()) {
        let begin = Instant::now();
        engine
            .classify_pixels(pixels.all())
            .map_err(|error| Failure::work(&error))?;
        times.push(nanoseconds(begin.elapsed()));
    }
    Ok(times)
}

/// Like [`times`], sorted.
pub(super) fn latencies(
    engine: &mut Engine,
    pixels: &Pixels,
    limit: Limit,
) -> Result<Latencies, Failure> {
    times(engine, pixels, limit).map(Latencies::new)
}

pub(super) fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_reached() {
        let second = Duration::from_secs(1);
        assert!(!Limit::Iterations(3).reached(2, second));
        assert!(Limit::Iterations(3).reached(3, Duration::ZERO));
        assert!(!Limit::Time(second).reached(0, second));
        assert!(!Limit::Time(second).reached(9, second / 2));
        assert!(Limit::Time(second).reached(1, second));
    }

    #[test]
    fn latencies_are_in_microseconds() {
        let latencies = Latencies::new(vec![3_000, 1_000, 2_000]);
        assert_eq!(latencies.quantile_us(0.5), 2.0);
        assert_eq!(latencies.quantile_us(1.0), 3.0);
        assert_eq!((latencies.count(), latencies.seconds()), (3, 6e-6));
    }
}
