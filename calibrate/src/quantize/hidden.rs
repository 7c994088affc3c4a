//! The range of the hidden channels of an MLP without a gate.

use super::columns::{Columns, I8_LIMIT, round_clamped};
use crate::observe::Observer;
use rayon::prelude::*;

/// Narrowest range, for a layer whose hidden units are all off.
const NARROWEST: f32 = 1e-6;

/// Quantization of the activation's output: one step, and an integer that stands for zero.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct HiddenQuantization {
    /// Real value of one step.
    pub step: f64,
    /// From -127 to 127.
    pub zero_point: i8,
}

impl HiddenQuantization {
    /// Covers `min..=max`, widened to include zero.
    fn covering(min: f32, max: f32) -> Self {
        let (min, max) = (
            min.min(0.0),
            max.max(0.0).max(min + NARROWEST).max(NARROWEST),
        );
        let step = f64::from(max - min) / f64::from(2.0 * I8_LIMIT);
        let zero_point = (-f64::from(I8_LIMIT) - f64::from(min) / step).round();
        Self {
            step,
            zero_point: zero_point.clamp(-127.0, 127.0) as i8,
        }
    }

    /// As the next layer sees it, in all of its `width` columns.
    pub(super) fn columns(self, width: usize) -> Columns {
        Columns {
            step: vec![self.step; width],
            shift: vec![-self.step * f64::from(self.zero_point); width],
            limit: I8_LIMIT,
        }
    }

    /// Squared error over `hidden` (R, F), each column weighted.
    fn error(self, hidden: &[f32], importance: &[f32]) -> f64 {
        let (step, inverse) = (self.step as f32, (1.0 / self.step) as f32);
        let zero = f32::from(self.zero_point);
        let rows: Vec<f64> = hidden
            .par_chunks(importance.len())
            .map(|row| {
                let mut sum = 0.0f64;
                for (&x, &importance) in row.iter().zip(importance) {
                    let q = round_clamped(x * inverse + zero, I8_LIMIT);
                    let error = x - (q - zero) * step;
                    sum += f64::from(importance * error * error);
                }
                sum
            })
            .collect();
        rows.iter().sum()
    }
}

/// Chooses the range for `hidden` (R, F), whose values lie in `full`; `weight_energy` (F) are the sums of
/// squares of the next layer's columns.
pub(super) fn hidden_quantization(
    observer: Observer,
    full: (f32, f32),
    hidden: &[f32],
    weight_energy: &[f64],
) -> HiddenQuantization {
    let (min, max) = observer.range(full, hidden.iter().copied());
    let importance: Vec<f32> = weight_energy.iter().map(|&energy| energy as f32).collect();
    let mut best = (HiddenQuantization::covering(min, max), f64::INFINITY);
    for &ratio in observer.ratios() {
        let candidate = HiddenQuantization::covering(min, max * ratio as f32);
        let error = candidate.error(hidden, &importance);
        if error < best.1 {
            best = (candidate, error);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_is_exact_and_the_ends_are_covered() {
        for (min, max) in [
            (-0.17, 5.0),
            (0.0, 3.0),
            (-0.1, -0.05),
            (0.0, 0.0),
            (0.5, 0.6),
        ] {
            let q = HiddenQuantization::covering(min, max);
            assert!(q.step > 0.0);
            let columns = q.columns(3);
            let back = |x: f32| {
                let q = columns.quantize(&[x; 3])[1];
                columns.step[1] * f64::from(q) + columns.shift[1]
            };
            assert_eq!(back(0.0), 0.0);
            for x in [min, max] {
                assert!((back(x) - f64::from(x)).abs() <= q.step, "{x}: {}", back(x));
            }
        }
    }

    #[test]
    fn an_outlier_in_an_unimportant_column_is_clipped() {
        let mut hidden: Vec<f32> = (0..2000).map(|i| (i % 37) as f32 / 37.0).collect();
        hidden[1] = 50.0;
        let choose = |observer| hidden_quantization(observer, (0.0, 50.0), &hidden, &[1.0, 1e-9]);
        let (clipped, full) = (choose(Observer::Mse), choose(Observer::MinMax));
        assert_eq!(full.step, 50.0 / 254.0);
        assert!(clipped.step < 0.2 * full.step);
    }
}
