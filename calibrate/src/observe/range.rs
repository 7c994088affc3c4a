//! Which range of an activation its integers cover.

use std::fmt;

/// Clipping ratios that [`Observer::Mse`] tries, descending from no clipping.
const RATIOS: [f64; 16] = [
    1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.54, 0.48, 0.42, 0.36, 0.3, 0.24, 0.18,
];

/// How the ranges of activations are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub enum Observer {
    /// Everything seen is representable.
    MinMax,
    /// This percentage of the values, above 50 and at most 100, is representable; half of the rest is
    /// clipped at each end.
    Percentile(f64),
    /// The clipping with the least squared error in the output that depends on the activation.
    #[default]
    Mse,
}

impl fmt::Display for Observer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MinMax => f.write_str("minmax"),
            Self::Percentile(value) => write!(f, "percentile:{value}"),
            Self::Mse => f.write_str("mse"),
        }
    }
}

impl Observer {
    /// Fractions of the range to try, descending from 1.
    pub fn ratios(self) -> &'static [f64] {
        match self {
            Self::MinMax | Self::Percentile(_) => &RATIOS[..1],
            Self::Mse => &RATIOS,
        }
    }

    /// The range to start from: `full` is the (minimum, maximum) of all values, `samples` some of them.
    pub fn range(self, full: (f32, f32), samples: impl Iterator<Item = f32>) -> (f32, f32) {
        let Self::Percentile(percentage) = self else {
            return full;
        };
        let mut samples: Vec<f32> = samples.collect();
        if samples.is_empty() {
            return full;
        }
        samples.sort_unstable_by(f32::total_cmp);
        let clipped = (1.0 - percentage / 100.0) / 2.0 * (samples.len() - 1) as f64;
        let clipped = clipped.round() as usize;
        (samples[clipped], samples[samples.len() - 1 - clipped])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentile_clips_both_ends() {
        let samples = || (0..=1000).map(|i| i as f32);
        let range = |observer: Observer| observer.range((-5.0, 2000.0), samples());
        assert_eq!(range(Observer::MinMax), (-5.0, 2000.0));
        assert_eq!(range(Observer::Mse), (-5.0, 2000.0));
        assert_eq!(range(Observer::Percentile(98.0)), (10.0, 990.0));
        assert_eq!(range(Observer::Percentile(100.0)), (0.0, 1000.0));
    }
}
