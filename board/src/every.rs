//! Lets one thing in every interval through.

use std::time::{Duration, Instant};

/// Says when something is due that is not to be done more often than once in an interval. Does not allocate.
#[derive(Debug)]
pub(crate) struct Every {
    interval: Duration,
    last: Option<Instant>,
}

impl Every {
    /// The first is due at once.
    pub(crate) fn new(interval: Duration) -> Self {
        Self {
            interval,
            last: None,
        }
    }

    /// The first is due an interval after `begin`.
    pub(crate) fn after(begin: Instant, interval: Duration) -> Self {
        Self {
            interval,
            last: Some(begin),
        }
    }

    /// Whether the interval since the last one is over; if it is, the next begins.
    pub(crate) fn is_due(&mut self, now: Instant) -> bool {
        let due = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= self.interval);
        if due {
            self.last = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_pass_at_intervals() {
        let begin = Instant::now();
        let interval = Duration::from_millis(100);
        for (mut every, count) in [
            (Every::new(interval), 5),
            (Every::after(begin, interval), 4),
        ] {
            let passed = (0..100).filter(|&ms| every.is_due(begin + Duration::from_millis(ms * 5)));
            assert_eq!(passed.count(), count);
        }
    }
}
