//! Multinomial logistic regression.

use super::features::Features;
use super::lbfgs::minimize;
use crate::fp32::{Matrix, linear, multiply};

/// Rows whose scores are in memory at a time.
const BLOCK: usize = 4096;

/// Largest slope of the mean loss at which it counts as least.
const TOLERANCE: f64 = 1e-5;

/// Most steps to there.
const STEPS: usize = 1000;

/// Mean and one over the standard deviation of each column. A column that does not vary counts for nothing.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Standard {
    mean: Vec<f64>,
    inverse: Vec<f64>,
}

impl Standard {
    pub(super) fn of(features: &Features) -> Self {
        let (columns, images) = (features.columns(), features.len() as f64);
        let rows = || features.rows().chunks_exact(columns);
        let mut mean = vec![0.0; columns];
        for row in rows() {
            mean.iter_mut()
                .zip(row)
                .for_each(|(sum, &x)| *sum += f64::from(x));
        }
        mean.iter_mut().for_each(|sum| *sum /= images);
        let mut variance = vec![0.0; columns];
        for row in rows() {
            let parts = variance.iter_mut().zip(&mean).zip(row);
            parts.for_each(|((sum, mean), &x)| *sum += (f64::from(x) - mean).powi(2));
        }
        let inverse = variance.iter().zip(&mean).map(|(sum, mean)| {
            let deviation = (sum / images).sqrt();
            // Below the precision of the sums, it is their rounding.
            if deviation > 1e-6 * mean.abs() && deviation > 0.0 {
                1.0 / deviation
            } else {
                0.0
            }
        });
        Self {
            inverse: inverse.collect(),
            mean,
        }
    }

    /// (N, columns)
    fn rows(&self, features: &Features) -> Vec<f32> {
        let rows = features.rows().chunks_exact(features.columns());
        let standard = |row: &[f32]| -> Vec<f32> {
            let parts = row.iter().zip(&self.mean).zip(&self.inverse);
            parts
                .map(|((&x, mean), inverse)| ((f64::from(x) - mean) * inverse) as f32)
                .collect()
        };
        rows.flat_map(standard).collect()
    }
}

/// Images to learn from, standardized.
pub(super) struct Problem {
    standard: Standard,
    /// (N, columns)
    rows: Vec<f32>,
    labels: Vec<usize>,
    columns: usize,
    classes: usize,
}

/// A weight for each column of each class, (classes, columns), then a bias for each class; of standardized embeddings.
pub(super) type Parameters = Vec<f64>;

impl Problem {
    pub(super) fn new(features: &Features) -> Self {
        let standard = Standard::of(features);
        Self {
            rows: standard.rows(features),
            standard,
            labels: features.labels().to_vec(),
            columns: features.columns(),
            classes: features.classes(),
        }
    }

    /// Where to begin.
    pub(super) fn start(&self) -> Parameters {
        vec![0.0; self.classes * (self.columns + 1)]
    }

    /// Finds the least mean of `-log(probability of the right class)` plus `strength / 2` times the sum of the squared
    /// weights, from `parameters` on.
    pub(super) fn fit(&self, parameters: &mut Parameters, strength: f64) {
        if self.labels.is_empty() {
            return;
        }
        let found = minimize(parameters, TOLERANCE, STEPS, |x, gradient| {
            self.loss(x, strength, gradient)
        });
        if !found {
            log::debug!(
                "logistic regression, strength {strength}: the precision ends before the slope does"
            );
        }
    }

    fn loss(&self, parameters: &[f64], strength: f64, gradient: &mut [f64]) -> f64 {
        let weights = self.classes * self.columns;
        let narrow: Vec<f32> = parameters.iter().map(|&x| x as f32).collect();
        let (weight, bias) = narrow.split_at(weights);
        gradient.fill(0.0);
        let mut loss = 0.0;
        let mut product = vec![0.0f32; weights];
        let blocks = self.rows.chunks(BLOCK * self.columns);
        for (rows, labels) in blocks.zip(self.labels.chunks(BLOCK)) {
            // Becomes the probabilities, less 1 for the right class.
            let mut residual = linear(rows, self.columns, weight, bias);
            for (scores, &label) in residual.chunks_exact_mut(self.classes).zip(labels) {
                loss += surprise(scores, label);
                scores[label] -= 1.0;
            }
            multiply(
                &mut Matrix::whole_mut(&mut product, self.columns),
                Matrix::whole(&residual, self.classes).transposed(),
                Matrix::whole(rows, self.columns),
            );
            let (of_weights, of_bias) = gradient.split_at_mut(weights);
            let sums = of_weights.iter_mut().zip(&product);
            sums.for_each(|(sum, &x)| *sum += f64::from(x));
            for row in residual.chunks_exact(self.classes) {
                let sums = of_bias.iter_mut().zip(row);
                sums.for_each(|(sum, &x)| *sum += f64::from(x));
            }
        }
        let images = self.labels.len() as f64;
        gradient.iter_mut().for_each(|slope| *slope /= images);
        let mut squares = 0.0;
        for (slope, weight) in gradient.iter_mut().zip(&parameters[..weights]) {
            *slope += strength * weight;
            squares += weight * weight;
        }
        loss / images + 0.5 * strength * squares
    }

    /// Weights (classes, columns) and biases (classes) of embeddings as they are.
    pub(super) fn unfold(&self, parameters: &Parameters) -> (Vec<f32>, Vec<f32>) {
        let (weights, bias) = parameters.split_at(self.classes * self.columns);
        let (mut raw, mut biases) = (Vec::with_capacity(weights.len()), Vec::new());
        for (row, bias) in weights.chunks_exact(self.columns).zip(bias) {
            let mut bias = *bias;
            let parts = row
                .iter()
                .zip(&self.standard.mean)
                .zip(&self.standard.inverse);
            for ((weight, mean), inverse) in parts {
                let weight = weight * inverse;
                bias -= weight * mean;
                raw.push(weight as f32);
            }
            biases.push(bias as f32);
        }
        (raw, biases)
    }
}

/// Turns scores into probabilities; minus the logarithm of that of `label`.
fn surprise(scores: &mut [f32], label: usize) -> f64 {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let own = f64::from(scores[label]) - f64::from(max);
    scores
        .iter_mut()
        .for_each(|score| *score = (*score - max).exp());
    let sum: f64 = scores.iter().map(|&x| f64::from(x)).sum();
    scores
        .iter_mut()
        .for_each(|x| *x = (f64::from(*x) / sum) as f32);
    sum.ln() - own
}

/// The mean of `-log(probability of the right class)` over scores (N, classes).
pub(super) fn mean_surprise(scores: &[f32], labels: &[usize]) -> f64 {
    let classes = scores.len() / labels.len().max(1);
    let rows = scores.chunks_exact(classes.max(1)).zip(labels);
    let sum: f64 = rows
        .map(|(row, &label)| surprise(&mut row.to_vec(), label))
        .sum();
    sum / labels.len().max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 40 images of three classes. One column is of another scale, and the last one does not vary.
    fn features() -> Features {
        let mut features = Features::new(6, 3);
        for i in 0..40usize {
            let class = i % 3;
            let value = |j: usize| {
                let value = ((i * 7919 + j * 104_729 + i * j * 31) % 211) as f64 / 50.0 - 2.0;
                value + if j == class { 3.0 } else { 0.0 }
            };
            let mut row: Vec<f32> = (0..6).map(|j| value(j) as f32).collect();
            row[1] = (value(1) * 20.0 + 7.0) as f32;
            row[5] = 4.25;
            features.push(&row, class);
        }
        features
    }

    fn scores(features: &Features, strength: f64) -> Vec<f32> {
        let problem = Problem::new(features);
        let mut parameters = problem.start();
        problem.fit(&mut parameters, strength);
        let (weights, bias) = problem.unfold(&parameters);
        linear(features.rows(), features.columns(), &weights, &bias)
    }

    /// scikit-learn 1.9.1: `LogisticRegression(C=1 / (0.05 * 40), tol=1e-12)` behind `StandardScaler`.
    #[test]
    fn probabilities_are_those_of_scikit_learn() {
        let features = features();
        let mut scores = scores(&features, 0.05);
        let surprise = mean_surprise(&scores, features.labels());
        assert!((surprise - 0.379_632_06).abs() < 1e-4, "{surprise}");
        let expected = [
            [0.532_576, 0.067_085, 0.400_339],
            [0.300_359, 0.507_820, 0.191_821],
            [0.017_556, 0.310_466, 0.671_978],
            [0.939_712, 0.045_206, 0.015_081],
            [0.022_045, 0.504_968, 0.472_987],
        ];
        for (row, expected) in scores.chunks_exact_mut(3).zip(expected) {
            super::surprise(row, 0);
            for (found, expected) in row.iter().zip(expected) {
                assert!((found - expected).abs() < 2e-4, "{row:?}");
            }
        }
    }

    #[test]
    fn the_slope_is_that_of_the_loss() {
        let features = features();
        let problem = Problem::new(&features);
        let at: Vec<f64> = (0..21).map(|i| f64::from(i % 5) * 0.1 - 0.2).collect();
        let mut gradient = vec![0.0; 21];
        problem.loss(&at, 0.3, &mut gradient);
        for (i, slope) in gradient.iter().enumerate() {
            let loss = |step: f64| {
                let mut near = at.clone();
                near[i] += step;
                problem.loss(&near, 0.3, &mut [0.0; 21])
            };
            let found = (loss(1e-2) - loss(-1e-2)) / 2e-2;
            assert!((found - slope).abs() < 1e-3, "{i}: {found} {slope}");
        }
    }

    #[test]
    fn the_stronger_the_regularization_the_less_is_learned() {
        let features = features();
        let surprise = |strength| {
            let scores = scores(&features, strength);
            mean_surprise(&scores, features.labels())
        };
        let found = [1e-3, 1e-1, 1e1, 1e4].map(surprise);
        assert!(found.is_sorted_by(|a, b| a < b), "{found:?}");
        assert!((found[3] - 3f64.ln()).abs() < 0.01, "all alike: {found:?}");
    }
}
