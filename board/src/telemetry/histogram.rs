//! Durations counted in a fixed number of buckets: the quantiles of an endless run in constant memory.

use std::time::Duration;

/// Buckets per octave. A quantile is off by at most half a bucket, 1/128 of its value.
const STEPS: u64 = 64;
const STEP_BITS: u32 = STEPS.ilog2();

/// Octaves above the first [`STEPS`] nanoseconds: up to 2^42 ns, more than an hour. Longer durations fall into the last bucket.
const OCTAVES: usize = 36;
const BUCKETS: usize = (OCTAVES + 1) * STEPS as usize;

/// A histogram of durations with logarithmic buckets.
#[derive(Clone, Debug)]
pub(crate) struct Histogram {
    buckets: Box<[u64]>,
    count: u64,
    sum: u128,
    max: u64,
}

impl Histogram {
    /// An empty histogram. Only this allocates.
    pub(crate) fn new() -> Self {
        Self {
            buckets: vec![0; BUCKETS].into(),
            count: 0,
            sum: 0,
            max: 0,
        }
    }

    /// Counts a duration.
    pub(crate) fn record(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanoseconds)] += 1;
        self.count += 1;
        self.sum += u128::from(nanoseconds);
        self.max = self.max.max(nanoseconds);
    }

    /// How many durations were counted.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The exact maximum in nanoseconds; 0 if nothing was counted.
    pub(crate) fn max(&self) -> u64 {
        self.max
    }

    /// The exact mean in nanoseconds; 0 if nothing was counted.
    pub(crate) fn mean(&self) -> u64 {
        (self.sum / u128::from(self.count.max(1))) as u64
    }

    /// The `fraction` quantile (0..=1) by nearest rank, in nanoseconds; 0 if nothing was counted.
    pub(crate) fn quantile(&self, fraction: f64) -> u64 {
        let rank = ((fraction * self.count as f64).ceil() as u64).clamp(1, self.count.max(1));
        let mut seen = 0;
        for (index, &count) in self.buckets.iter().enumerate() {
            seen += count;
            if seen >= rank {
                return middle(index).min(self.max);
            }
        }
        0
    }
}

/// The bucket of `value`: one per value below [`STEPS`], then [`STEPS`] per octave.
fn bucket(value: u64) -> usize {
    if value < STEPS {
        return value as usize;
    }
    let octave = value.ilog2() - STEP_BITS;
    let step = (value >> octave) - STEPS;
    let index = (u64::from(octave) + 1) * STEPS + step;
    (index as usize).min(BUCKETS - 1)
}

/// The value in the middle of a bucket.
fn middle(index: usize) -> u64 {
    let index = index as u64;
    if index < STEPS {
        return index;
    }
    let octave = index / STEPS - 1;
    let low = (index % STEPS + STEPS) << octave;
    low + (1 << octave) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_cover_every_value_in_order() {
        let mut last = 0;
        for value in (0..100_000u64).chain((17..64).map(|shift| 1 << shift)) {
            let index = bucket(value);
            assert!(index >= last && index < BUCKETS);
            last = index;
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
        for value in (1..4_000_000_000_000u64).step_by(7_654_321_987) {
            let error = middle(bucket(value)).abs_diff(value);
            assert!(error <= value / 128 + 1, "{value} is off by {error}");
        }
    }

    #[test]
    fn quantiles_of_a_ramp() {
        let mut histogram = Histogram::new();
        assert_eq!(
            (histogram.quantile(0.5), histogram.max(), histogram.mean()),
            (0, 0, 0)
        );
        for microseconds in 1..=1000 {
            histogram.record(Duration::from_micros(microseconds));
        }
        for fraction in [0.01, 0.5, 0.9, 0.99, 1.0] {
            let expected = fraction * 1e6;
            let found = histogram.quantile(fraction) as f64;
            assert!(
                (found - expected).abs() <= expected / 64.0,
                "{fraction}: {found}"
            );
        }
        assert_eq!(histogram.count(), 1000);
        assert_eq!(histogram.max(), 1_000_000);
        assert_eq!(histogram.mean(), 500_500);
    }
}
