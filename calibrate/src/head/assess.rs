//! How good a classifier made of some images is on others.

use super::features::Features;
use super::folds::folds;
use super::make::{Head, HeadOptions, make};
use crate::confidence::{Reliability, confidence};
use crate::evaluate::argmax;
use mergevit_runtime::{Classifier, ScoreKind, normalize};
use rayon::prelude::*;

/// Numbers of all embeddings, times the classes, up to which every image is held out once; beyond, the images of one fold
/// are, which are then many.
const THOROUGH: usize = 100_000_000;

/// What classifiers said of images that had no part in making them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assessment {
    /// Label and answer of each image, by class.
    pub answers: Vec<(usize, usize)>,
    /// Those that were called unknown.
    pub unknown: usize,
    /// Confidence against accuracy, with the temperature; and with a temperature of 1.
    pub reliability: Reliability,
    /// As above.
    pub reliability_before: Reliability,
}

impl Assessment {
    /// Images.
    pub fn images(&self) -> usize {
        self.answers.len()
    }

    /// Fraction of the images whose best class is right; none without images.
    pub fn accuracy(&self) -> Option<f64> {
        let right = self
            .answers
            .iter()
            .filter(|(label, answer)| label == answer);
        (self.images() > 0).then(|| right.count() as f64 / self.images() as f64)
    }

    fn add(mut self, other: Self) -> Self {
        self.answers.extend(other.answers);
        self.unknown += other.unknown;
        self.reliability.add_all(&other.reliability);
        self.reliability_before.add_all(&other.reliability_before);
        self
    }
}

/// Makes a classifier without the images of a fold, and asks it for these: fold after fold, or the first alone where
/// there are very many images. So nothing that is chosen or fitted, not the regularization, the temperature or the
/// thresholds, has seen an image that it is judged by. `done` is called, from any thread, after each fold, of which
/// [`folds_of`] says how many there are.
pub fn assess(
    features: &Features,
    labels: &[String],
    options: &HeadOptions,
    done: &(dyn Fn() + Sync),
) -> Assessment {
    let fold_of = folds(features.labels(), features.classes(), options.folds);
    let one = |fold: usize| {
        let known = features.filtered(|i| fold_of[i] != fold);
        let held_out = features.filtered(|i| fold_of[i] == fold);
        let assessment = match known.is_empty() || held_out.is_empty() {
            true => Assessment::default(),
            false => answers(&make(&known, labels, options), &held_out),
        };
        done();
        assessment
    };
    let of_folds: Vec<Assessment> = (0..folds_of(features, options))
        .into_par_iter()
        .map(one)
        .collect();
    let none = Assessment::default();
    of_folds.into_iter().fold(none, Assessment::add)
}

/// How many folds [`assess`] holds out.
pub fn folds_of(features: &Features, options: &HeadOptions) -> usize {
    match features.rows().len() * features.classes() <= THOROUGH {
        true => options.folds,
        false => 1,
    }
}

/// What `head` says of `features`, in the arithmetic that the pack is run with.
pub(super) fn answers(head: &Head, features: &Features) -> Assessment {
    let classifier = Classifier::new(&head.classes, features.columns());
    let mut unit = vec![0.0; features.columns()];
    let mut scores = vec![0.0; features.classes()];
    let temperature = head.temperature.unwrap_or(1.0);
    let mut assessment = Assessment::default();
    let rows = features.rows().chunks_exact(features.columns());
    for (row, &label) in rows.zip(features.labels()) {
        normalize(row, &mut unit);
        classifier.score(row, &unit, &mut scores);
        let answer = argmax(&scores);
        assessment.answers.push((label, answer));
        if classifier.is_unknown(&unit, answer) == Some(true) {
            assessment.unknown += 1;
        }
        let sure = |temperature| confidence(ScoreKind::Softmax, &scores, temperature);
        let is_right = label == answer;
        assessment.reliability.add(sure(temperature), is_right);
        assessment.reliability_before.add(sure(1.0), is_right);
    }
    assessment
}
