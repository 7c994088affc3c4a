//! How long to wait before a more accurate schedule is tried again.

use std::time::Duration;

/// Wait before a raise, as long as none has failed.
pub(super) const SHORTEST: Duration = Duration::from_secs(2);

/// Longest wait: the time in which a governor notices that a load is gone, however often it was deceived.
pub(super) const LONGEST: Duration = Duration::from_secs(256);

/// A raise that is taken back within this time, or within the present wait if that is longer, has failed.
const FAILED_WITHIN: Duration = Duration::from_secs(10);

/// The wait doubles with each raise that fails, and starts anew after one that does not.
#[derive(Debug)]
pub(super) struct Backoff {
    wait: Duration,
    raised: Option<Duration>,
}

impl Backoff {
    pub(super) fn new() -> Self {
        Self {
            wait: SHORTEST,
            raised: None,
        }
    }

    /// How long there must be room for a raise before it happens.
    pub(super) fn wait(&self) -> Duration {
        self.wait
    }

    /// Notes a raise.
    pub(super) fn raised(&mut self, now: Duration) {
        self.raised = Some(now);
    }

    /// Notes that the schedule was lowered.
    pub(super) fn lowered(&mut self, now: Duration) {
        let Some(raised) = self.raised.take() else {
            return;
        };
        self.wait = match now.saturating_sub(raised) < self.wait.max(FAILED_WITHIN) {
            true => (self.wait * 2).min(LONGEST),
            false => SHORTEST,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_with_each_failure_up_to_a_limit() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new();
        let mut now = Duration::ZERO;
        let mut waits = Vec::new();
        for _ in 0..9 {
            backoff.raised(now);
            now += second;
            backoff.lowered(now);
            // Lowering further says nothing about the raise.
            backoff.lowered(now);
            waits.push(backoff.wait().as_secs());
        }
        assert_eq!(waits, [4, 8, 16, 32, 64, 128, 256, 256, 256]);
        // Long after others, and yet within the wait.
        backoff.raised(now);
        backoff.lowered(now + LONGEST - second);
        assert_eq!(backoff.wait(), LONGEST);
        backoff.raised(now);
        backoff.lowered(now + LONGEST);
        assert_eq!(backoff.wait(), SHORTEST);
    }
}
