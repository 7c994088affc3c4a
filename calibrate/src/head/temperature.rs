//! What scores of held-out images are divided by.

use crate::confidence::{self, FitError, Sample};
use mergevit_runtime::ScoreKind;

/// The temperature of `scores` (N, classes) under which the labels are most likely.
pub(super) fn temperature(scores: &[f32], labels: &[usize]) -> Result<f64, FitError> {
    let rows = scores.chunks_exact(scores.len() / labels.len());
    let sample = |(scores, label)| Sample {
        scores,
        classes: std::slice::from_ref(label),
    };
    let samples: Vec<Sample<'_>> = rows.zip(labels).map(sample).collect();
    confidence::fit(ScoreKind::Softmax, &samples)
}
