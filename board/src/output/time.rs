//! The time of day in records.

use jiff::{SignedDuration, Timestamp};
use serde::{Serialize, Serializer};
use std::fmt;
use std::time::Instant;

/// A moment: `2026-05-04T12:34:56.789Z`, RFC 3339 in UTC with milliseconds. Formatting does not allocate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Time(Timestamp);

impl Time {
    /// This moment.
    pub(crate) fn now() -> Self {
        Self(Timestamp::now())
    }

    /// The time of day of a moment that has passed.
    pub(crate) fn at(moment: Instant) -> Self {
        let now = Timestamp::now();
        let ago = SignedDuration::try_from(moment.elapsed()).unwrap_or_default();
        Self(now.checked_sub(ago).unwrap_or(now))
    }
}

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.3}", self.0)
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc_with_milliseconds() {
        for (milliseconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_007, "2000-02-29T00:00:00.007Z"),
            (1_777_898_096_789, "2026-05-04T12:34:56.789Z"),
        ] {
            let time = Timestamp::from_millisecond(milliseconds).map(Time);
            assert_eq!(time.expect("in range").to_string(), text);
        }
        assert_eq!(
            Time::now().to_string().len(),
            "1970-01-01T00:00:00.000Z".len()
        );
    }
}
