//! Probabilities that mean what they say: of the answers with a confidence of 80 %, 80 % are right.
//!
//! [`fit`] finds the temperature that makes scores the most likely, on labelled images that served for nothing else;
//! [`Reliability`] measures how far confidence and accuracy then are from each other, on images that the temperature was
//! not fitted on (Guo et al., On Calibration of Modern Neural Networks, arXiv 1706.04599).

mod reliability;
mod temperature;

pub use reliability::{BINS, Bin, Reliability};
pub use temperature::{FitError, MIN_IMAGES, Sample, fit};

use mergevit_runtime::ScoreKind;

/// The probability of the class with the largest of `scores`, which are divided by `temperature` first. 0 without scores.
pub fn confidence(kind: ScoreKind, scores: &[f32], temperature: f64) -> f64 {
    let max = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let max = f64::from(max);
    match kind {
        ScoreKind::Sigmoid => 1.0 / (1.0 + (-max / temperature).exp()),
        ScoreKind::Softmax => {
            let exponential = |&score: &f32| ((f64::from(score) - max) / temperature).exp();
            let sum: f64 = scores.iter().map(exponential).sum();
            if sum > 0.0 { 1.0 / sum } else { 0.0 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn confidence_is_the_largest_probability() {
        let scores = [1.0, 3.0, 1.0];
        let softmax = |temperature| confidence(ScoreKind::Softmax, &scores, temperature);
        assert!((softmax(1.0) - 1.0 / (1.0 + 2.0 * (-2.0f64).exp())).abs() < 1e-12);
        assert!((softmax(1e9) - 1.0 / 3.0).abs() < 1e-6);
        let sigmoid = confidence(ScoreKind::Sigmoid, &scores, 2.0);
        assert!((sigmoid - 1.0 / (1.0 + (-1.5f64).exp())).abs() < 1e-12);
        assert_eq!(confidence(ScoreKind::Softmax, &[1e30, -1e30], 1.0), 1.0);
        assert_eq!(confidence(ScoreKind::Softmax, &[], 1.0), 0.0);
    }
}
