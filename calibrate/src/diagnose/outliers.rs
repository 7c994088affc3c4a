//! Channels that are much larger than others, whose steps they coarsen.

use crate::fp32::{Point, Tap};
use serde::Serialize;

/// An activation whose widest channel coarsens the steps of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Shared {
    /// Queries; a step a head.
    Query,
    /// Keys.
    Key,
    /// Hidden channels of an MLP without a gate; each has a step of its own, but it grows with the widest one's.
    Hidden,
}

impl Shared {
    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Query => "queries",
            Self::Key => "keys",
            Self::Hidden => "hidden channels",
        }
    }
}

/// A channel that reaches much further than others whose steps it coarsens.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Outlier {
    /// The layer.
    pub layer: usize,
    /// Where.
    pub activation: Shared,
    /// The channel.
    pub channel: usize,
    /// Its largest magnitude over that of the median channel.
    pub times_median: f64,
}

/// Sees the largest magnitudes of channels.
#[derive(Clone, Debug, Default)]
pub(super) struct Reach(Vec<(usize, Shared, Vec<f32>)>);

impl Tap for Reach {
    fn see(&mut self, point: Point, values: &[f32], width: usize) {
        let (layer, activation) = match point {
            Point::Query(layer) => (layer, Shared::Query),
            Point::Key(layer) => (layer, Shared::Key),
            Point::MlpHidden(layer) => (layer, Shared::Hidden),
            _ => return,
        };
        let mut largest = vec![0.0f32; width];
        for row in values.chunks_exact(width) {
            largest
                .iter_mut()
                .zip(row)
                .for_each(|(max, x)| *max = max.max(x.abs()));
        }
        self.0.push((layer, activation, largest));
    }
}

impl Reach {
    /// Joined with that of another image.
    pub(super) fn or(mut self, other: Self) -> Self {
        if self.0.is_empty() {
            return other;
        }
        for ((.., own), (.., other)) in self.0.iter_mut().zip(other.0) {
            own.iter_mut()
                .zip(other)
                .for_each(|(own, other)| *own = own.max(other));
        }
        self
    }

    /// The furthest channel of each activation, the worst first, at most `count`.
    pub(super) fn outliers(&self, count: usize) -> Vec<Outlier> {
        let mut all: Vec<Outlier> = self.0.iter().filter_map(outlier).collect();
        all.sort_by(|a, b| b.times_median.total_cmp(&a.times_median));
        all.truncate(count);
        all
    }
}

/// The furthest channel of one activation; none if half of them are zero.
fn outlier((layer, activation, largest): &(usize, Shared, Vec<f32>)) -> Option<Outlier> {
    let mut sorted = largest.clone();
    sorted.sort_by(f32::total_cmp);
    // Channels of zeros are padding.
    sorted.retain(|&x| x > 0.0);
    let median = *sorted.get(sorted.len() / 2)?;
    let furthest = *sorted.last()?;
    Some(Outlier {
        layer: *layer,
        activation: *activation,
        channel: largest.iter().position(|&x| x == furthest)?,
        times_median: f64::from(furthest) / f64::from(median),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_furthest_channels_are_named() {
        let mut one = Reach::default();
        one.see(Point::Query(0), &[1.0, -2.0, 3.0, 0.0], 4);
        one.see(Point::MlpHidden(0), &[1.0, 1.0, 1.0], 3);
        one.see(Point::FinalNorm, &[9.0], 1);
        let mut other = Reach::default();
        other.see(Point::Query(0), &[1.0, -20.0, 1.0, 0.0], 4);
        other.see(Point::MlpHidden(0), &[1.0, 1.0, 5.0], 3);
        let reach = one.or(other);
        let expected = |layer, activation, channel, times_median| Outlier {
            layer,
            activation,
            channel,
            times_median,
        };
        let all = reach.outliers(9);
        assert_eq!(
            all,
            [
                expected(0, Shared::Query, 1, 20.0 / 3.0),
                expected(0, Shared::Hidden, 2, 5.0)
            ]
        );
        assert_eq!(reach.outliers(1).len(), 1);
    }
}
