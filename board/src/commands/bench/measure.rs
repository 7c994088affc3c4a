//! How fast is it?

use crate::failure::Failure;
use crate::telemetry::quantile;
use mergevit_kernels::frame::{Frame, PixelFormat};
use mergevit_runtime::Engine;
use serde::Serialize;
use std::time::{Duration, Instant};

/// Width and height of the camera frame whose preprocessing is measured: 720p NV12.
pub(super) const FRAME: (usize, usize) = (1280, 720);

/// Runs of the preprocessing.
const PREPROCESS_RUNS: usize = 30;

/// When measuring ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Limit {
    Iterations(u32),
    Time(Duration),
}

impl Limit {
    /// Whether `count` runs that took `elapsed` are enough. One is the least.
    pub(super) fn reached(self, count: usize, elapsed: Duration) -> bool {
        match self {
            Self::Iterations(iterations) => count >= iterations as usize,
            Self::Time(time) => count > 0 && elapsed >= time,
        }
    }
}

/// A batch of random images at model resolution, the same in every run.
pub(super) struct Pixels {
    bytes: Vec<u8>,
    image: usize,
}

impl Pixels {
    /// `batch` images of `image` bytes each.
    pub(super) fn random(image: usize, batch: usize) -> Self {
        // xorshift64 (Marsaglia 2003); any nonzero seed will do.
        let mut state = 0x9e37_79b9_7f4a_7c15u64;
        let byte = |_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 56) as u8
        };
        Self {
            bytes: (0..image * batch).map(byte).collect(),
            image,
        }
    }

    /// (B, S, S, 3)
    pub(super) fn all(&self) -> &[u8] {
        &self.bytes
    }

    /// (S, S, 3)
    pub(super) fn image(&self, index: usize) -> &[u8] {
        &self.bytes[index * self.image..][..self.image]
    }

    pub(super) fn batch(&self) -> usize {
        self.bytes.len() / self.image
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

    /// Sum in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.sorted.iter().sum::<u64>() as f64 / 1e9
    }

    pub(super) fn quantile_us(&self, fraction: f64) -> f64 {
        quantile(&self.sorted, fraction).unwrap_or(0) as f64 / 1e3
    }
}

/// Runs the network on pixels until the limit; a time each, in order, in nanoseconds.
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

/// As [`times`], sorted.
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

/// Preprocessing of one camera frame.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Preprocessing {
    pub(super) preprocess_width: usize,
    pub(super) preprocess_height: usize,
    pub(super) preprocess_us_p50: f64,
}

/// Measures the way from a 720p NV12 frame to the network's pixels.
pub(super) fn preprocessing(engine: &mut Engine) -> Result<Preprocessing, Failure> {
    let (width, height) = FRAME;
    let bytes = Pixels::random(PixelFormat::Nv12.frame_bytes(width, height), 1);
    let frame = Frame::packed(PixelFormat::Nv12, width, height, bytes.all())
        .map_err(|error| Failure::work(&error))?;
    let mut times = Vec::with_capacity(PREPROCESS_RUNS);
    for run in 0..=PREPROCESS_RUNS {
        let begin = Instant::now();
        engine
            .preprocess(&[frame])
            .map_err(|error| Failure::work(&error))?;
        // The first run builds the tables for this size.
        if run > 0 {
            times.push(nanoseconds(begin.elapsed()));
        }
    }
    Ok(Preprocessing {
        preprocess_width: width,
        preprocess_height: height,
        preprocess_us_p50: Latencies::new(times).quantile_us(0.5),
    })
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
    fn pixels_repeat_and_vary() {
        let (a, b) = (Pixels::random(48, 3), Pixels::random(48, 3));
        assert_eq!(a.all(), b.all());
        assert_eq!((a.batch(), a.image(1).len()), (3, 48));
        assert_ne!(a.image(0), a.image(1));
    }

    #[test]
    fn latencies_are_in_microseconds() {
        let latencies = Latencies::new(vec![3_000, 1_000, 2_000]);
        assert_eq!(latencies.quantile_us(0.5), 2.0);
        assert_eq!(latencies.quantile_us(1.0), 3.0);
        assert_eq!((latencies.count(), latencies.seconds()), (3, 6e-6));
    }
}
