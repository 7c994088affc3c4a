//! Symmetric i8 weights, one scale per output channel.

use super::columns::{Columns, I8_LIMIT, round_clamped};
use rayon::prelude::*;

/// A linear layer of the checkpoint: `y = W x + b`.
#[derive(Clone, Copy, Debug)]
pub struct Linear<'a> {
    /// Outputs, N.
    pub outputs: usize,
    /// Inputs, K.
    pub inputs: usize,
    /// (N, K) real weights.
    pub weight: &'a [f32],
    /// (N) real bias.
    pub bias: &'a [f32],
}

/// The same layer over integers: `y = scale[n] * sum(data[n][k] * q[k]) + bias[n]`, in real units.
#[derive(Clone, Debug, PartialEq)]
pub struct QuantizedLinear {
    /// (N, K) integer weights.
    pub data: Vec<i8>,
    /// (N) 0 for a row of zeros.
    pub scale: Vec<f64>,
    /// (N) in real units.
    pub bias: Vec<f64>,
}

/// Clipping ratios that are tried first; a second pass looks around the best.
const COARSE: [f32; 9] = [1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5, 0.4];

/// Ratios of the second pass, relative to the first pass's best.
const FINE: [f32; 4] = [1.03, 1.015, 0.985, 0.97];

/// Independent sums, so that the compiler may use vectors without changing the order of any sum.
const LANES: usize = 16;

/// Sum over k of `importance * (w - step * rne(w / step))^2`.
fn row_error(row: &[f32], importance: &[f32], step: f32) -> f32 {
    let inverse = 1.0 / step;
    let term = |w: f32, importance: f32| {
        let error = w - step * round_clamped(w * inverse, I8_LIMIT);
        importance * error * error
    };
    let mut sums = [0.0f32; LANES];
    let (rows, columns) = (row.chunks_exact(LANES), importance.chunks_exact(LANES));
    let tail: f32 = rows
        .remainder()
        .iter()
        .zip(columns.remainder())
        .map(|(&w, &i)| term(w, i))
        .sum();
    for (row, importance) in rows.zip(columns) {
        for lane in 0..LANES {
            sums[lane] += term(row[lane], importance[lane]);
        }
    }
    sums.iter().sum::<f32>() + tail
}

/// The step with the least error for a row of weights, weighted by `importance`; 0 for a row of zeros.
fn best_step(row: &[f32], importance: &[f32]) -> f32 {
    let largest = row.iter().fold(0.0f32, |max, w| max.max(w.abs()));
    if largest < f32::MIN_POSITIVE * 1e6 {
        return 0.0;
    }
    let full = largest / I8_LIMIT;
    let mut best = (full, f32::INFINITY);
    let mut try_step = |step: f32| {
        let error = row_error(row, importance, step);
        if error < best.1 {
            best = (step, error);
        }
        best.0
    };
    let mut coarse = full;
    for ratio in COARSE {
        coarse = try_step(full * ratio);
    }
    for ratio in FINE {
        try_step((coarse * ratio).min(full));
    }
    best.0
}

/// Least-squares scale for integers that are already chosen, given the rounding step.
fn refit(row: &[f32], data: &[i8], importance: &[f32], step: f32) -> f64 {
    let (mut product, mut norm) = (0.0f64, 0.0f64);
    for ((&w, &q), &i) in row.iter().zip(data).zip(importance) {
        let (q, i) = (f64::from(q), f64::from(i));
        product += i * q * f64::from(w);
        norm += i * q * q;
    }
    if norm > 0.0 && product > 0.0 {
        product / norm
    } else {
        f64::from(step)
    }
}

impl<'a> Linear<'a> {
    /// A layer of `weight` (N, K) and `bias` (N).
    pub fn new(weight: &'a [f32], bias: &'a [f32]) -> Self {
        Self {
            outputs: bias.len(),
            inputs: weight.len() / bias.len(),
            weight,
            bias,
        }
    }

    /// Quantizes the weights for an input quantized by `columns`, folding its steps and shifts.
    ///
    /// Each row's clipping minimizes `sum over k of variance_k (w'_k - s q_k)^2`, where `variance` (K) is
    /// that of the integer input: bias correction removes the mean error, so only the variance reaches
    /// the output.
    pub fn quantize(&self, columns: &Columns, variance: &[f32]) -> QuantizedLinear {
        let mut quantized = QuantizedLinear {
            data: vec![0; self.outputs * self.inputs],
            scale: vec![0.0; self.outputs],
            bias: vec![0.0; self.outputs],
        };
        let importance = floored(variance);
        quantized
            .data
            .par_chunks_mut(self.inputs)
            .zip(quantized.scale.par_iter_mut())
            .zip(quantized.bias.par_iter_mut())
            .enumerate()
            .for_each(|(n, ((data, scale), bias))| {
                let weight = &self.weight[n * self.inputs..][..self.inputs];
                let row: Vec<f32> = weight
                    .iter()
                    .zip(&columns.step)
                    .map(|(&w, &step)| (f64::from(w) * step) as f32)
                    .collect();
                let step = best_step(&row, &importance);
                if step > 0.0 {
                    let inverse = 1.0 / step;
                    for (q, &w) in data.iter_mut().zip(&row) {
                        *q = round_clamped(w * inverse, I8_LIMIT) as i8;
                    }
                    *scale = refit(&row, data, &importance, step);
                }
                let shift: f64 = weight
                    .iter()
                    .zip(&columns.shift)
                    .map(|(&w, &shift)| f64::from(w) * shift)
                    .sum();
                *bias = f64::from(self.bias[n]) + shift;
            });
        quantized
    }

    /// (K) largest magnitude of each column.
    pub fn column_maxima(&self) -> Vec<f64> {
        self.fold_columns(|max, w| max.max(w.abs()))
    }

    /// (K) sum of squares of each column: how much an error in that input weighs in the output.
    pub fn column_energy(&self) -> Vec<f64> {
        self.fold_columns(|sum, w| sum + w * w)
    }

    fn fold_columns(&self, step: impl Fn(f64, f64) -> f64) -> Vec<f64> {
        let mut columns = vec![0.0f64; self.inputs];
        for row in self.weight.chunks_exact(self.inputs) {
            for (column, &w) in columns.iter_mut().zip(row) {
                *column = step(*column, f64::from(w));
            }
        }
        columns
    }
}

/// Importances with a floor, so that a column that was constant over the calibration set still counts.
fn floored(variance: &[f32]) -> Vec<f32> {
    let mean = variance.iter().map(|&v| f64::from(v)).sum::<f64>() / variance.len() as f64;
    let floor = if mean > 0.0 { 1e-4 * mean } else { 1.0 } as f32;
    variance.iter().map(|&v| v.max(floor)).collect()
}

impl QuantizedLinear {
    /// The integer weights as f32 (N, K), for a matrix product.
    pub fn as_f32(&self) -> Vec<f32> {
        self.data.par_iter().map(|&q| f32::from(q)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn identity(inputs: usize) -> Columns {
        Columns {
            step: vec![1.0; inputs],
            shift: vec![0.0; inputs],
            limit: I8_LIMIT,
        }
    }

    proptest! {
        #[test]
        fn every_weight_is_within_half_a_step_or_clipped(
            row in prop::collection::vec(-10.0f32..10.0, 1..100),
        ) {
            let linear = Linear { outputs: 1, inputs: row.len(), weight: &row, bias: &[0.5] };
            let q = linear.quantize(&identity(row.len()), &vec![1.0; row.len()]);
            let full = row.iter().fold(0.0f32, |max, w| max.max(w.abs())) / 127.0;
            let error: f64 = row.iter().zip(&q.data)
                .map(|(&w, &d)| (f64::from(w) - q.scale[0] * f64::from(d)).powi(2)).sum();
            let plain: f64 = row.iter()
                .map(|&w| f64::from(w - full * (w / full).round()).powi(2)).sum();
            prop_assert!(error <= plain * 1.0001 + 1e-9, "{} against {}", error, plain);
            prop_assert_eq!(q.bias[0], 0.5);
        }
    }

    #[test]
    fn an_outlier_without_importance_is_clipped() {
        let mut row: Vec<f32> = (0..64).map(|k| (k as f32 * 0.7).sin()).collect();
        row[5] = 1.9;
        let linear = Linear {
            outputs: 1,
            inputs: 64,
            weight: &row,
            bias: &[0.0],
        };
        let mut variance = vec![1.0; 64];
        variance[5] = 0.0;
        let q = linear.quantize(&identity(64), &variance);
        assert_eq!(q.data[5], 127);
        assert!(q.scale[0] < 1.2 / 127.0);
    }

    #[test]
    fn zero_rows_stay_zero_and_shifts_fold_into_the_bias() {
        let weight = [0.0, 0.0, 1.0, -2.0];
        let linear = Linear {
            outputs: 2,
            inputs: 2,
            weight: &weight,
            bias: &[1.0, 2.0],
        };
        let columns = Columns {
            shift: vec![10.0, 1.0],
            ..identity(2)
        };
        let q = linear.quantize(&columns, &[1.0, 1.0]);
        assert_eq!(q.data[..2], [0, 0]);
        assert_eq!(q.scale[0], 0.0);
        assert_eq!(q.bias, [1.0, 10.0]);
        assert_eq!(linear.column_maxima(), [1.0, 2.0]);
        assert_eq!(linear.column_energy(), [1.0, 4.0]);
    }
}
