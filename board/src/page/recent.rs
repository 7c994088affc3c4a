//! What lately was: the distribution of the last times, and frames per second.

use serde::Serialize;
use std::collections::VecDeque;
use std::time::Instant;

/// Times that a distribution is of: half a minute at 30 frames per second.
const KEPT: usize = 1024;

/// Bins to a doubling, the shortest time told apart, and bins: 0.1 ms to 26 s.
const BINS_AN_OCTAVE: f64 = 4.0;
const SHORTEST_US: f64 = 100.0;
const BINS: usize = 72;

/// The last times.
#[derive(Debug, Default)]
pub(super) struct Times {
    microseconds: VecDeque<f32>,
}

/// A distribution, for a picture of it.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Distribution {
    count: usize,
    p50_us: f64,
    p99_us: f64,
    /// Where the first bin begins; each ends at 2^(1/4) times its begin.
    from_us: f64,
    /// Times in each bin, from the first that has one to the last.
    bins: Vec<u32>,
}

impl Times {
    pub(super) fn record(&mut self, microseconds: f64) {
        if self.microseconds.len() == KEPT {
            self.microseconds.pop_front();
        }
        self.microseconds.push_back(microseconds as f32);
    }

    /// `None` without any time.
    pub(super) fn distribution(&self) -> Option<Distribution> {
        let mut sorted: Vec<f32> = self.microseconds.iter().copied().collect();
        sorted.sort_unstable_by(f32::total_cmp);
        let (&shortest, &longest) = (sorted.first()?, sorted.last()?);
        let rank = |share: f64| f64::from(sorted[((sorted.len() - 1) as f64 * share) as usize]);
        let (first, last) = (bin(shortest), bin(longest));
        let mut bins = vec![0; last - first + 1];
        for &time in &sorted {
            bins[bin(time) - first] += 1;
        }
        Some(Distribution {
            count: sorted.len(),
            p50_us: rank(0.5),
            p99_us: rank(0.99),
            from_us: SHORTEST_US * (first as f64 / BINS_AN_OCTAVE).exp2(),
            bins,
        })
    }
}

/// The bin of a time; what is shorter than the first or longer than the last, and what is no number, is in it.
fn bin(microseconds: f32) -> usize {
    let octaves = (f64::from(microseconds) / SHORTEST_US).log2();
    ((octaves * BINS_AN_OCTAVE) as usize).min(BINS - 1)
}

/// Seconds that a rate is of.
const SECONDS: usize = 4;

/// Frames per second, over the last whole seconds.
#[derive(Debug, Default)]
pub(super) struct Rate {
    begin: Option<Instant>,
    /// Of the second that runs: which it is, and its frames.
    second: u64,
    frames: u32,
    /// Of the whole seconds before.
    before: VecDeque<u32>,
}

impl Rate {
    pub(super) fn frame(&mut self, now: Instant) {
        self.advance(now);
        self.frames += 1;
    }

    /// `None` before the first second is over.
    pub(super) fn frames_per_second(&mut self, now: Instant) -> Option<f64> {
        self.advance(now);
        let sum: u32 = self.before.iter().sum();
        (!self.before.is_empty()).then(|| f64::from(sum) / self.before.len() as f64)
    }

    fn advance(&mut self, now: Instant) {
        let begin = *self.begin.get_or_insert(now);
        let second = now.saturating_duration_since(begin).as_secs();
        let passed = second.saturating_sub(self.second);
        for _ in 0..passed.min(SECONDS as u64 + 1) {
            self.before.push_back(std::mem::take(&mut self.frames));
            if self.before.len() > SECONDS {
                self.before.pop_front();
            }
        }
        self.second += passed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_distribution_is_of_the_last_times() {
        let mut times = Times::default();
        assert_eq!(times.distribution(), None);
        for _ in 0..2000 {
            times.record(1e9);
        }
        for index in 0..KEPT {
            times.record(if index < KEPT - 4 { 200.0 } else { 1600.0 });
        }
        let found = times.distribution().expect("there are times");
        assert_eq!(
            (found.count, found.p50_us, found.p99_us),
            (KEPT, 200.0, 200.0)
        );
        assert_eq!(found.from_us, 200.0);
        assert_eq!(found.bins.len(), 13);
        assert_eq!((found.bins[0], found.bins[12]), (KEPT as u32 - 4, 4));
        assert_eq!(found.bins[1..12], [0; 11]);
    }

    #[test]
    fn times_beyond_the_bins_are_in_the_outer_ones() {
        assert_eq!([0.0, -1.0, f32::NAN, 99.0].map(bin), [0; 4]);
        assert_eq!([f32::INFINITY, 1e30].map(bin), [BINS - 1; 2]);
    }

    #[test]
    fn a_rate_forgets_what_is_long_ago() {
        let begin = Instant::now();
        let at = |milliseconds| begin + Duration::from_millis(milliseconds);
        let mut rate = Rate::default();
        for frame in 0..60 {
            rate.frame(at(frame * 50));
        }
        assert_eq!(Rate::default().frames_per_second(begin), None);
        assert_eq!(rate.frames_per_second(at(3000)), Some(20.0));
        assert_eq!(rate.frames_per_second(at(5000)), Some(10.0));
        assert_eq!(rate.frames_per_second(at(3_600_000)), Some(0.0));
    }
}
