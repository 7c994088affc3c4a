//! What is counted from the start of the page on, for Prometheus: it never goes back, whatever the run does.

use crate::link::{Frame, Record};
use std::collections::BTreeMap;

/// Ends of the bins of a histogram of times in seconds, the last one without end left out: 0.5 ms to 5 s.
pub(super) const BOUNDS: [f64; 21] = [
    0.0005, 0.001, 0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.075,
    0.1, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0,
];

/// Most names that are counted apart; further ones are not counted.
const MAX_NAMES: usize = 64;

/// Times in bins.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// Times in each bin, those above the last bound in the last.
    pub(super) bins: [u64; BOUNDS.len() + 1],
    pub(super) sum_s: f64,
}

impl Histogram {
    fn record(&mut self, microseconds: f64) {
        let seconds = microseconds / 1e6;
        if seconds.is_finite() {
            self.bins[BOUNDS.partition_point(|&bound| bound < seconds)] += 1;
            self.sum_s += seconds;
        }
    }
}

/// Of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SourceTotals {
    pub(super) frames: u64,
    pub(super) dropped_by_driver: u64,
    pub(super) replaced: u64,
    pub(super) state_changes: u64,
}

/// Everything.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) sources: BTreeMap<String, SourceTotals>,
    pub(super) latency: Histogram,
    pub(super) age: Histogram,
    /// By reason.
    pub(super) switches: BTreeMap<String, u64>,
    pub(super) errors: u64,
    pub(super) lost: u64,
    /// Times that the model was loaded again: as asked, and in vain.
    pub(super) reloads: [u64; 2],
    /// Messages without a record.
    pub(super) unreadable: u64,
}

impl Totals {
    pub(super) fn heard(&mut self, record: &Record) {
        match record {
            Record::Frame(frame) => self.frame(frame),
            Record::State(change) => {
                if let Some(source) = entry(&mut self.sources, &change.source) {
                    source.state_changes += 1;
                }
            }
            Record::Switch(switch) => {
                if let Some(count) = entry(&mut self.switches, &switch.reason) {
                    *count += 1;
                }
            }
            Record::Lost { records } => self.lost = self.lost.saturating_add(*records),
            Record::Error { .. } => self.errors += 1,
            Record::Reload { ok, .. } => self.reloads[usize::from(!ok)] += 1,
            Record::Sensors(_) | Record::Camera { .. } | Record::Hello(_) | Record::Other => {}
        }
    }

    fn frame(&mut self, frame: &Frame) {
        self.latency.record(frame.latency_us);
        if let Some(age) = frame.age_us {
            self.age.record(age);
        }
        if let Some(source) = entry(&mut self.sources, &frame.source) {
            source.frames += 1;
            source.dropped_by_driver = source
                .dropped_by_driver
                .saturating_add(frame.dropped.driver);
            source.replaced = source.replaced.saturating_add(frame.dropped.replaced);
        }
    }
}

fn entry<'a, T: Default>(map: &'a mut BTreeMap<String, T>, name: &str) -> Option<&'a mut T> {
    if map.len() >= MAX_NAMES && !map.contains_key(name) {
        return None;
    }
    Some(map.entry(name.to_owned()).or_default())
}

#[cfg(test)]
mod tests {
    use super::super::live::tests::FRAME;
    use super::*;

    #[test]
    fn times_fall_into_the_bin_that_ends_at_or_above_them() {
        let mut histogram = Histogram::default();
        for seconds in [0.0, 0.0005, 0.00051, 5.0, 5.1, f64::NAN, f64::INFINITY] {
            histogram.record(1e6 * seconds);
        }
        assert_eq!(histogram.bins[..2], [2, 1]);
        assert_eq!(histogram.bins[BOUNDS.len() - 1..], [1, 1]);
        assert_eq!(histogram.bins.iter().sum::<u64>(), 5);
        assert!((histogram.sum_s - 10.10101).abs() < 1e-9);
    }

    #[test]
    fn drops_are_added_by_cause() {
        let mut totals = Totals::default();
        for _ in 0..3 {
            totals.heard(&serde_json::from_str(FRAME).expect("a frame"));
        }
        let expected = SourceTotals {
            frames: 3,
            dropped_by_driver: 3,
            replaced: 6,
            state_changes: 0,
        };
        assert_eq!(totals.sources["camera0"], expected);
    }

    #[test]
    fn names_are_bounded() {
        let mut totals = Totals::default();
        for index in 0..1000 {
            let frame = FRAME.replace("camera0", &format!("camera{index}"));
            totals.heard(&serde_json::from_str(&frame).expect("a frame"));
        }
        assert_eq!(totals.sources.len(), MAX_NAMES);
        assert_eq!(totals.latency.bins.iter().sum::<u64>(), 1000);
    }
}
