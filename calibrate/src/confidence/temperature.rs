//! The temperature that makes labels most likely.

use mergevit_runtime::ScoreKind;
use mergevit_runtime::words::Count;
use thiserror::Error;

/// Fewest labelled images that a temperature is fitted on.
pub const MIN_IMAGES: usize = 30;

/// How many standard errors the scores of the right classes must lie above the mean score. Labels that have nothing to do
/// with the model's classes get there once in a thousand.
const EVIDENCE: f64 = 3.0;

/// The scores of one image and its right classes.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// (classes) raw scores.
    pub scores: &'a [f32],
    /// Indices of the classes that are right: one, or any number where each class has a probability of its own.
    pub classes: &'a [usize],
}

/// Why no temperature was fitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FitError {
    /// Too few images to fit anything on.
    #[error("{} with a label, expected {MIN_IMAGES} or more", Count(*.found as u64, "image"))]
    Few {
        /// Images with a label.
        found: usize,
    },
    /// The set shows some of the classes only. How sure answers may be depends on how often each class occurs, so what fits
    /// there does not hold where the others occur too.
    #[error("the set has images of {present} of the {classes} classes only")]
    Absent {
        /// Classes with an image.
        present: usize,
        /// Classes of the model.
        classes: usize,
    },
    /// The labels are no better than chance, so they name other classes than the model's.
    #[error("the labels are not of the model's classes: it finds them no more often than chance")]
    Unrelated,
}

/// Finds the temperature by which scores are divided so that the likelihood of the labels is largest.
///
/// The likelihood's logarithm is concave in the inverse temperature, which Newton's steps find within a bracket. Each label
/// counts as if one more image had been seen with every answer alike (after Platt, Probabilistic Outputs for Support Vector
/// Machines, 1999), without which answers that are all right would ask for certainty.
///
/// # Errors
/// [`FitError`].
pub fn fit(kind: ScoreKind, samples: &[Sample<'_>]) -> Result<f64, FitError> {
    if samples.len() < MIN_IMAGES {
        let found = samples.len();
        return Err(FitError::Few { found });
    }
    if !is_related(samples) {
        return Err(FitError::Unrelated);
    }
    let smoothing = 1.0 / (samples.len() + 1) as f64;
    let slopes = |inverse: f64| slopes(kind, samples, inverse, smoothing);
    let spread = spread(samples);
    let (mut low, mut high) = (1e-4 / spread, 1e4 / spread);
    let mut inverse = (1.0f64).clamp(low, high);
    for _ in 0..200 {
        let (slope, curvature) = slopes(inverse);
        match slope > 0.0 {
            true => high = inverse,
            false => low = inverse,
        }
        let newton = inverse - slope / curvature;
        // The geometric mean halves a bracket of many orders of magnitude.
        let next = match newton > low && newton < high {
            true => newton,
            false => (low * high).sqrt(),
        };
        let is_done = (next - inverse).abs() <= 1e-9 * inverse;
        inverse = next;
        if is_done {
            break;
        }
    }
    Ok(1.0 / inverse)
}

/// Slope and curvature of the negative log-likelihood over the inverse temperature.
fn slopes(kind: ScoreKind, samples: &[Sample<'_>], inverse: f64, smoothing: f64) -> (f64, f64) {
    let one = |sample: &Sample<'_>| match kind {
        ScoreKind::Softmax => softmax_slopes(sample, inverse, smoothing),
        ScoreKind::Sigmoid => sigmoid_slopes(sample, inverse, smoothing),
    };
    samples
        .iter()
        .map(one)
        .fold((0.0, 0.0), |sum, own| (sum.0 + own.0, sum.1 + own.1))
}

/// The mean score by the probabilities less that by the label, and the scores' variance by the probabilities.
fn softmax_slopes(sample: &Sample<'_>, inverse: f64, smoothing: f64) -> (f64, f64) {
    let max = sample.scores.iter().copied().fold(f32::MIN, f32::max);
    let (mut sum, mut first, mut second, mut all) = (0.0, 0.0, 0.0, 0.0);
    for &score in sample.scores {
        // Relative to the largest: slopes do not depend on it, and nothing overflows.
        let score = f64::from(score) - f64::from(max);
        let weight = (inverse * score).exp();
        sum += weight;
        first += weight * score;
        second += weight * score * score;
        all += score;
    }
    let mean = first / sum;
    let right = |&class: &usize| f64::from(sample.scores[class]) - f64::from(max);
    let right = sample.classes.iter().map(right).sum::<f64>() / sample.classes.len() as f64;
    let uniform = all / sample.scores.len() as f64;
    let label = (1.0 - smoothing) * right + smoothing * uniform;
    (mean - label, second / sum - mean * mean)
}

/// The same where each class has a probability of its own.
fn sigmoid_slopes(sample: &Sample<'_>, inverse: f64, smoothing: f64) -> (f64, f64) {
    let (mut slope, mut curvature) = (0.0, 0.0);
    for (class, &score) in sample.scores.iter().enumerate() {
        let score = f64::from(score);
        let probability = 1.0 / (1.0 + (-inverse * score).exp());
        let is_right = f64::from(u8::from(sample.classes.contains(&class)));
        let label = (1.0 - smoothing) * is_right + smoothing / 2.0;
        slope += (probability - label) * score;
        curvature += probability * (1.0 - probability) * score * score;
    }
    (slope, curvature)
}

/// Whether the right classes' scores are above the others' by more than chance.
fn is_related(samples: &[Sample<'_>]) -> bool {
    // An image of no class, or of all, says nothing of which are right.
    let lead = |sample: &Sample<'_>| {
        let is_right = |class: &usize| sample.classes.contains(class);
        let all = 0..sample.scores.len();
        let right = mean(sample, all.clone().filter(is_right))?;
        let wrong = mean(sample, all.filter(|class| !is_right(class)))?;
        Some(right - wrong)
    };
    let leads: Vec<f64> = samples.iter().filter_map(lead).collect();
    let count = leads.len() as f64;
    let mean = leads.iter().sum::<f64>() / count;
    let squares = leads.iter().map(|lead| (lead - mean).powi(2)).sum::<f64>();
    // False of no number, too.
    mean > EVIDENCE * squares.sqrt() / count
}

/// The mean score of some classes; none of none.
fn mean(sample: &Sample<'_>, classes: impl Iterator<Item = usize>) -> Option<f64> {
    let (mut sum, mut count) = (0.0, 0u32);
    for class in classes {
        sum += f64::from(sample.scores[class]);
        count += 1;
    }
    (count > 0).then(|| sum / f64::from(count))
}

/// Root mean square of the scores around each image's mean: the unit of temperatures. Never 0.
fn spread(samples: &[Sample<'_>]) -> f64 {
    let square = |sample: &Sample<'_>| {
        let scores = sample.scores.iter().map(|&score| f64::from(score));
        let mean = scores.clone().sum::<f64>() / sample.scores.len() as f64;
        scores.map(|score| (score - mean).powi(2)).sum::<f64>() / sample.scores.len() as f64
    };
    let mean = samples.iter().map(square).sum::<f64>() / samples.len() as f64;
    mean.sqrt().max(f64::from(f32::MIN_POSITIVE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::confidence::{Reliability, confidence};
    use mergevit_kernels::testing::Random;

    const CLASSES: usize = 8;

    /// Scores of `images` images, and labels drawn with the probabilities of the scores divided by `temperature`.
    fn planted(images: usize, temperature: f64, seed: u64) -> Vec<(Vec<f32>, usize)> {
        let mut random = Random(seed);
        let image = |_| {
            let scores = random.f32s(CLASSES, 6.0);
            let weight = |&score: &f32| (f64::from(score) / temperature).exp();
            let sum: f64 = scores.iter().map(weight).sum();
            let mut left = sum * f64::from(random.f32s(1, 1.0)[0].abs());
            let class = scores.iter().position(|score| {
                left -= weight(score);
                left <= 0.0
            });
            (scores, class.unwrap_or(CLASSES - 1))
        };
        (0..images).map(image).collect()
    }

    fn samples(planted: &[(Vec<f32>, usize)]) -> Vec<Sample<'_>> {
        let sample = |(scores, class)| Sample {
            scores,
            classes: std::slice::from_ref(class),
        };
        planted
            .iter()
            .map(|(scores, class)| sample((scores.as_slice(), class)))
            .collect()
    }

    fn expected_error(planted: &[(Vec<f32>, usize)], temperature: f64) -> f64 {
        let mut reliability = Reliability::default();
        for (scores, class) in planted {
            let own = confidence(ScoreKind::Softmax, scores, temperature);
            reliability.add(own, crate::evaluate::argmax(scores) == *class);
        }
        reliability.expected_error().unwrap()
    }

    #[test]
    fn a_planted_temperature_is_found_and_repairs_confidence() {
        for (temperature, seed) in [(0.4, 1), (1.0, 2), (2.5, 3)] {
            let planted_here = planted(4000, temperature, seed);
            let found = fit(ScoreKind::Softmax, &samples(&planted_here)).unwrap();
            assert!(
                (found / temperature - 1.0).abs() < 0.08,
                "{found} for {temperature}"
            );
            let others = planted(4000, temperature, seed + 100);
            let after = expected_error(&others, found);
            assert!(after < 0.03, "{temperature}: {after}");
            if temperature > 1.0 {
                assert!(expected_error(&others, 1.0) > 2.0 * after);
            }
        }
    }

    #[test]
    fn scores_of_another_unit_have_a_temperature_of_that_unit() {
        let mut planted = planted(500, 1.0, 7);
        let plain = fit(ScoreKind::Softmax, &samples(&planted)).unwrap();
        for (scores, _) in &mut planted {
            scores.iter_mut().for_each(|score| *score /= 512.0);
        }
        let scaled = fit(ScoreKind::Softmax, &samples(&planted)).unwrap();
        assert!((scaled * 512.0 / plain - 1.0).abs() < 1e-6);
    }

    #[test]
    fn answers_that_are_all_right_do_not_ask_for_certainty() {
        let planted: Vec<_> = planted(200, 1.0, 9)
            .into_iter()
            .map(|(scores, _)| {
                let class = crate::evaluate::argmax(&scores);
                (scores, class)
            })
            .collect();
        let found = fit(ScoreKind::Softmax, &samples(&planted)).unwrap();
        assert!(found > 0.01 && found < 1.0, "{found}");
    }

    #[test]
    fn labels_of_other_classes_are_refused() {
        let mut planted = planted(300, 1.0, 4);
        for (index, (_, class)) in planted.iter_mut().enumerate() {
            *class = index % CLASSES;
        }
        let error = fit(ScoreKind::Softmax, &samples(&planted)).unwrap_err();
        assert_eq!(error, FitError::Unrelated);
        let few = fit(ScoreKind::Softmax, &samples(&planted[..MIN_IMAGES - 1])).unwrap_err();
        assert_eq!(
            few,
            FitError::Few {
                found: MIN_IMAGES - 1
            }
        );
        assert_eq!(
            few.to_string(),
            "29 images with a label, expected 30 or more"
        );
    }

    #[test]
    fn classes_of_their_own_have_one_temperature() {
        // Each class is right with the probability of its score divided by 2.
        let mut random = Random(5);
        let images: Vec<(Vec<f32>, Vec<usize>)> = (0..3000)
            .map(|_| {
                let scores = random.f32s(CLASSES, 5.0);
                let draws = random.f32s(CLASSES, 1.0);
                let is_right = |class: &usize| {
                    let probability = 1.0 / (1.0 + (-scores[*class] / 2.0).exp());
                    draws[*class].abs() < probability
                };
                let classes = (0..CLASSES).filter(is_right).collect();
                (scores, classes)
            })
            .collect();
        let samples: Vec<_> = images
            .iter()
            .map(|(scores, classes)| Sample { scores, classes })
            .collect();
        let found = fit(ScoreKind::Sigmoid, &samples).unwrap();
        assert!((found / 2.0 - 1.0).abs() < 0.08, "{found}");
    }
}
