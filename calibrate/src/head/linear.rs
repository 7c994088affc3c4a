//! A linear layer on embeddings, its regularization chosen by cross-validation.

use super::features::Features;
use super::folds::folds;
use super::logistic::{Parameters, Problem, mean_surprise};
use super::temperature::temperature;
use crate::fp32;
use rayon::prelude::*;

/// Strengths of regularization that are tried, in powers of ten: from so strong that nothing is learned to so weak that a
/// few thousand images are learned by heart.
const STRONGEST: f64 = 2.0;
const WEAKEST: f64 = -5.0;
const STEP: f64 = 0.5;

/// Weaker strengths that must be worse than the best before the search ends.
const PATIENCE: usize = 2;

/// A linear layer, and what cross-validation says of images that it was not fitted on.
pub(super) struct Fitted {
    /// (classes, columns)
    pub(super) weights: Vec<f32>,
    /// (classes)
    pub(super) bias: Vec<f32>,
    /// Half of it times the sum of the squared weights, of standardized embeddings, is added to the mean loss.
    pub(super) strength: f64,
    /// (N, classes): each image's, by a layer fitted without the image's fold.
    pub(super) scores: Vec<f32>,
}

/// One fold: what to learn from, what to predict, and what was learned last.
struct Fold {
    problem: Problem,
    /// Indices of the images held out.
    held_out: Vec<usize>,
    features: Features,
    parameters: Parameters,
}

impl Fold {
    /// The scores of the held-out images.
    fn scores(&self) -> Vec<f32> {
        let (weights, bias) = self.problem.unfold(&self.parameters);
        fp32::linear(
            self.features.rows(),
            self.features.columns(),
            &weights,
            &bias,
        )
    }
}

/// Fits a linear layer to `features` with `count` folds.
pub(super) fn fit(features: &Features, count: usize) -> Fitted {
    let fold_of = folds(features.labels(), features.classes(), count);
    let fold = |fold: usize| {
        let problem = Problem::new(&features.filtered(|i| fold_of[i] != fold));
        Fold {
            parameters: problem.start(),
            problem,
            held_out: (0..features.len())
                .filter(|&i| fold_of[i] == fold)
                .collect(),
            features: features.filtered(|i| fold_of[i] == fold),
        }
    };
    let used: Vec<usize> = (0..count).filter(|fold| fold_of.contains(fold)).collect();
    let mut folds: Vec<Fold> = used.into_par_iter().map(fold).collect();
    let (strength, scores) = choose(features, &mut folds);
    let problem = Problem::new(features);
    let mut parameters = problem.start();
    problem.fit(&mut parameters, strength);
    let (weights, bias) = problem.unfold(&parameters);
    Fitted {
        weights,
        bias,
        strength,
        scores,
    }
}

/// The strength under which held-out images surprise least, and their scores under it. Each strength goes on from what
/// the one before it learned. Surprise is taken at each strength's own temperature, which the scores will be divided by:
/// else a strong penalty would be preferred for nothing but being less sure of itself.
fn choose(features: &Features, folds: &mut [Fold]) -> (f64, Vec<f32>) {
    let steps = ((STRONGEST - WEAKEST) / STEP) as usize;
    let mut best: Option<(f64, f64, Vec<f32>)> = None;
    let mut worse = 0;
    for step in 0..=steps {
        let strength = 10f64.powf(STRONGEST - step as f64 * STEP);
        let scores = scores(features, folds, strength);
        let surprise = calibrated_surprise(&scores, features.labels());
        if best.as_ref().is_none_or(|(least, ..)| surprise < *least) {
            best = Some((surprise, strength, scores));
            worse = 0;
        } else {
            worse += 1;
            if worse == PATIENCE {
                break;
            }
        }
    }
    let (_, strength, scores) = best.expect("the first strength is the best so far");
    (strength, scores)
}

fn calibrated_surprise(scores: &[f32], labels: &[usize]) -> f64 {
    let inverse = temperature(scores, labels).map_or(1.0, |temperature| 1.0 / temperature);
    let scaled: Vec<f32> = scores.iter().map(|x| x * inverse as f32).collect();
    mean_surprise(&scaled, labels)
}

/// (N, classes): every image by the fold that holds it out.
fn scores(features: &Features, folds: &mut [Fold], strength: f64) -> Vec<f32> {
    let classes = features.classes();
    let of_folds: Vec<Vec<f32>> = folds
        .par_iter_mut()
        .map(|fold| {
            fold.problem.fit(&mut fold.parameters, strength);
            fold.scores()
        })
        .collect();
    let mut scores = vec![0.0; features.len() * classes];
    for (fold, of_fold) in folds.iter().zip(&of_folds) {
        for (&image, row) in fold.held_out.iter().zip(of_fold.chunks_exact(classes)) {
            scores[image * classes..][..classes].copy_from_slice(row);
        }
    }
    scores
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::evaluate::argmax;
    use mergevit_kernels::testing::Random;

    /// Images of three classes whose first columns tell them apart by `signal`.
    fn images(count: usize, signal: f32) -> Features {
        let mut random = Random(17);
        let mut features = Features::new(24, 3);
        for i in 0..count {
            let mut row = random.f32s(24, 1.0);
            row[i % 3] += signal;
            features.push(&row, i % 3);
        }
        features
    }

    fn right(scores: &[f32], labels: &[usize]) -> f64 {
        let rows = scores.chunks_exact(3).zip(labels);
        let right = rows.filter(|(row, label)| argmax(row) == **label).count();
        right as f64 / labels.len() as f64
    }

    #[test]
    fn what_can_be_learned_is_learned_and_nothing_else() {
        let (clear, noise) = (images(90, 3.0), images(90, 0.0));
        let (of_clear, of_noise) = (fit(&clear, 5), fit(&noise, 5));
        assert!(right(&of_clear.scores, clear.labels()) > 0.95);
        // Held-out images of nothing but noise are right by chance, though they could be learned by heart.
        let chance = right(&of_noise.scores, noise.labels());
        assert!(chance < 0.5, "{chance}");
        assert!(
            of_noise.strength > of_clear.strength,
            "{}",
            of_noise.strength
        );
    }

    #[test]
    fn the_same_images_give_the_same_layer() {
        let features = images(30, 1.0);
        let (first, second) = (fit(&features, 3), fit(&features, 3));
        assert_eq!(first.weights, second.weights);
        assert_eq!(first.scores, second.scores);
    }
}
