//! An estimated quantity: from the least to the most that it should be.

use serde::Serialize;
use std::ops::{Add, AddAssign, Mul};

/// A quantity of which both ends are known. Of a time: from what perfect overlap would take to what should not be exceeded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Range {
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
}

impl Range {
    /// From `low` to `high`.
    pub const fn new(low: f64, high: f64) -> Self {
        Self { low, high }
    }

    /// What stands for it where one number has to: the mean of both ends.
    pub fn middle(self) -> f64 {
        f64::midpoint(self.low, self.high)
    }

    /// The longer of two, end by end.
    pub fn max(self, other: Self) -> Self {
        Self::new(self.low.max(other.low), self.high.max(other.high))
    }

    /// How many a second there are, where `count` of them take this long.
    pub fn per_second(self, count: usize) -> Self {
        let of = |time_us: f64| 1e6 * count as f64 / time_us;
        Self::new(of(self.high), of(self.low))
    }
}

impl Add for Range {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self::new(self.low + other.low, self.high + other.high)
    }
}

impl AddAssign for Range {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Mul<f64> for Range {
    type Output = Self;

    fn mul(self, times: f64) -> Self {
        Self::new(self.low * times, self.high * times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_added_and_compared_by_themselves() {
        let (short, long) = (Range::new(1.0, 8.0), Range::new(2.0, 4.0));
        assert_eq!(short + long * 2.0, Range::new(5.0, 16.0));
        assert_eq!(short.max(long), Range::new(2.0, 8.0));
        assert_eq!(short.middle(), 4.5);
        assert_eq!(long.per_second(3), Range::new(750_000.0, 1_500_000.0));
    }
}
