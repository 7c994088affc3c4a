//! A driver's numbers and time stamps, as numbers and times of this program.

use std::time::{Duration, Instant};

/// A time stamp that is older is no time stamp: some drivers use a clock of their own and do not say so.
const OLDEST: Duration = Duration::from_secs(10);

/// Counts frames over the wrap of a driver's 32 bits, and over cameras that start again from 0.
#[derive(Clone, Debug, Default)]
pub(super) struct Counter {
    last: Option<u32>,
    /// Number of the last frame.
    number: Option<u64>,
    dropped: u32,
    /// Frames that a newer one replaced.
    replaced: u32,
}

impl Counter {
    /// A frame with the driver's number.
    pub(super) fn count(&mut self, sequence: u32) {
        let step = match self.last {
            Some(last) => sequence.wrapping_sub(last),
            None => 1,
        };
        // A driver that does not count says the same each time. One that has started again jumps back.
        let step = if step == 0 || step > u32::MAX / 2 {
            1
        } else {
            step
        };
        self.dropped = self.dropped.saturating_add(step - 1);
        self.number = Some(match self.number {
            Some(number) => number + u64::from(step),
            None => sequence.into(),
        });
        self.last = Some(sequence);
    }

    /// The next frame follows no other. What was counted is still to be told.
    pub(super) fn restart(&mut self) {
        self.last = None;
    }

    /// A frame that nobody has looked at is gone.
    pub(super) fn replace(&mut self) {
        self.replaced = self.replaced.saturating_add(1);
    }

    /// Number of the last frame.
    pub(super) fn number(&self) -> u64 {
        self.number.unwrap_or(0)
    }

    /// Frames that the driver dropped since this was asked last.
    pub(super) fn take_dropped(&mut self) -> u32 {
        std::mem::take(&mut self.dropped)
    }

    /// Frames that newer ones replaced since this was asked last.
    pub(super) fn take_replaced(&mut self) -> u32 {
        std::mem::take(&mut self.replaced)
    }
}

/// When a frame with this time stamp was taken, if it is now `now` on the time stamp's clock.
pub(super) fn instant(timestamp: Duration, now: Duration) -> Option<Instant> {
    let age = now.checked_sub(timestamp).filter(|age| *age <= OLDEST)?;
    Instant::now().checked_sub(age)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Number and drops after each frame.
    fn counted(counter: &mut Counter, sequences: &[u32]) -> Vec<(u64, u32)> {
        let count = |&sequence| {
            counter.count(sequence);
            (counter.number(), counter.take_dropped())
        };
        sequences.iter().map(count).collect()
    }

    #[test]
    fn gaps_are_drops_also_over_the_wrap() {
        let mut counter = Counter::default();
        let most = u32::MAX;
        assert_eq!(
            counted(&mut counter, &[most - 3, most - 2, most, 1]),
            [
                (u64::from(most) - 3, 0),
                (u64::from(most) - 2, 0),
                (u64::from(most), 1),
                (u64::from(most) + 2, 1)
            ]
        );
    }

    #[test]
    fn what_does_not_count_or_starts_again_drops_nothing() {
        let mut counter = Counter::default();
        assert_eq!(counted(&mut counter, &[0, 0, 0]), [(0, 0), (1, 0), (2, 0)]);
        assert_eq!(
            counted(&mut counter, &[9, 0, 1]),
            [(11, 8), (12, 0), (13, 0)]
        );
        counter.restart();
        assert_eq!(counted(&mut counter, &[700, 702]), [(14, 0), (16, 1)]);
    }

    #[test]
    fn time_stamps_of_another_clock_are_none() {
        let seconds = Duration::from_secs;
        assert!(instant(seconds(100), seconds(101)).is_some());
        assert!(instant(seconds(102), seconds(101)).is_none());
        assert!(instant(seconds(1), seconds(101)).is_none());
        let earlier = instant(seconds(100), seconds(105)).expect("five seconds ago");
        let later = instant(seconds(104), seconds(105)).expect("one second ago");
        assert!(earlier < later && later < Instant::now());
    }
}
