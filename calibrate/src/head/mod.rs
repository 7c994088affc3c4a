//! A classifier for classes of one's own, from some images of each, on the embeddings of a pack without classes.
//!
//! The embeddings are those that the pack gives in INT8, so that the classifier learns what it will see. [`make`] makes
//! one: a linear layer with cross-validated regularization, or a direction a class. [`assess`] says how good it is on
//! images that had no part in making it, by making it again without them.

mod add;
mod assess;
mod features;
mod folds;
mod lbfgs;
mod linear;
mod logistic;
mod prototypes;
mod unknown;

pub use add::with_class;
pub use assess::{Assessment, assess, folds_of};
pub use features::Features;
pub use folds::folds;

use crate::confidence::{self, FitError, Sample};
use crate::evaluate::argmax;
use mergevit_runtime::{Classes, EmbeddingClassifier, ScoreKind};
use prototypes::Means;

/// What a classifier is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadKind {
    /// A linear layer on the embedding: multinomial logistic regression.
    Linear,
    /// The cosine with the mean direction of each class's images.
    Prototypes,
}

impl HeadKind {
    /// As command lines and packs have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Prototypes => "prototypes",
        }
    }
}

/// How a classifier is made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadOptions {
    /// What it is made of.
    pub kind: HeadKind,
    /// Parts that images are divided in for cross-validation, 2 or more.
    pub folds: usize,
    /// Share of images of its classes that may be called unknown; none if no image is to be.
    pub unknown: Option<f64>,
}

impl Default for HeadOptions {
    fn default() -> Self {
        Self {
            kind: HeadKind::Linear,
            folds: 5,
            unknown: Some(0.01),
        }
    }
}

/// A classifier of embeddings.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// As a pack takes it.
    pub classes: Classes,
    /// What its scores are divided by before they become probabilities, fitted by cross-validation; or why there is none.
    pub temperature: Result<f64, FitError>,
    /// The strength of the regularization that cross-validation chose; of a linear layer.
    pub strength: Option<f64>,
}

/// Scale of cosines where there are too few images to fit one.
const SCALE: f64 = 20.0;

/// Makes a classifier of the classes `labels` from `features`, of which every class has one at least.
///
/// # Panics
/// If there are no features, another number of classes than labels, or fewer than 2 folds.
pub fn make(features: &Features, labels: &[String], options: &HeadOptions) -> Head {
    assert!(!features.is_empty(), "images");
    assert_eq!(features.classes(), labels.len(), "labels");
    assert!(options.folds >= 2, "folds");
    let unit = features.unit();
    // Each image's scores by a classifier that has not seen it.
    let (mut head, scores) = match options.kind {
        HeadKind::Linear => linear_head(features, labels, options.folds),
        HeadKind::Prototypes => prototype_head(&unit, labels),
    };
    if let Some(share) = options.unknown {
        let rows = scores.chunks_exact(labels.len());
        let predicted: Vec<usize> = rows.map(argmax).collect();
        head.classes.unknown = Some(unknown::fit(&unit, &predicted, share));
    }
    head
}

fn linear_head(features: &Features, labels: &[String], folds: usize) -> (Head, Vec<f32>) {
    let fitted = linear::fit(features, folds);
    let head = Head {
        classes: Classes {
            labels: labels.to_vec(),
            kind: EmbeddingClassifier::Linear,
            scores: ScoreKind::Softmax,
            vectors: fitted.weights,
            bias: fitted.bias,
            unknown: None,
        },
        temperature: temperature(&fitted.scores, features.labels()),
        strength: Some(fitted.strength),
    };
    (head, fitted.scores)
}

/// The scale takes the place of a temperature, which is then 1.
fn prototype_head(unit: &Features, labels: &[String]) -> (Head, Vec<f32>) {
    let means = Means::of(unit);
    let cosines = means.cosines_without_self(unit);
    let fitted = temperature(&cosines, unit.labels());
    let scale = fitted.map_or(SCALE, |temperature| 1.0 / temperature);
    let head = Head {
        classes: Classes::by_cosine(scale as f32, 0.0, labels.to_vec(), means.directions()),
        temperature: fitted.map(|_| 1.0),
        strength: None,
    };
    (head, cosines)
}

/// The temperature of `scores` (N, classes) under which the labels are most likely.
fn temperature(scores: &[f32], labels: &[usize]) -> Result<f64, FitError> {
    let rows = scores.chunks_exact(scores.len() / labels.len());
    let sample = |(scores, label)| Sample {
        scores,
        classes: std::slice::from_ref(label),
    };
    let samples: Vec<Sample<'_>> = rows.zip(labels).map(sample).collect();
    confidence::fit(ScoreKind::Softmax, &samples)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_kernels::testing::Random;

    fn labels(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("class {class}")).collect()
    }

    /// Images of four classes around a direction each, far enough apart if `signal` is large.
    fn images(seed: u64, count: usize, signal: f32) -> Features {
        let mut random = Random(seed);
        let mut features = Features::new(32, 4);
        for i in 0..count {
            let mut row = random.f32s(32, 1.0);
            row[i % 4] += signal;
            features.push(&row, i % 4);
        }
        features
    }

    const KINDS: [HeadKind; 2] = [HeadKind::Linear, HeadKind::Prototypes];

    fn options(kind: HeadKind) -> HeadOptions {
        HeadOptions {
            kind,
            ..HeadOptions::default()
        }
    }

    #[test]
    fn what_it_says_of_images_it_has_not_seen_is_true_of_others() {
        let (some, others) = (images(1, 200, 2.0), images(2, 4000, 2.0));
        for kind in KINDS {
            let assessment = assess(&some, &labels(4), &options(kind), &|| ());
            assert_eq!(assessment.images(), 200, "every image once");
            let head = make(&some, &labels(4), &options(kind));
            let truth = assess::answers(&head, &others);
            let (said, is) = (assessment.accuracy().unwrap(), truth.accuracy().unwrap());
            assert!((0.5..0.999).contains(&is), "{kind:?}: {is}");
            assert!((said - is).abs() < 0.08, "{kind:?}: {said} {is}");
            let error = truth.reliability.expected_error().unwrap();
            assert!(error < 0.08, "{kind:?}: {error}");
            let unknown = truth.unknown as f64 / truth.images() as f64;
            assert!(unknown < 0.04, "{kind:?}: {unknown}");
        }
    }

    /// Labels that mean nothing are guessed as often as chance has it: nothing leaks from what is held out.
    #[test]
    fn meaningless_labels_are_not_recognized() {
        let noise = images(3, 240, 0.0);
        for kind in KINDS {
            let assessment = assess(&noise, &labels(4), &options(kind), &|| ());
            let right = assessment.accuracy().unwrap();
            assert!((right - 0.25).abs() < 0.1, "{kind:?}: {right}");
        }
    }

    #[test]
    fn images_of_no_class_are_unknown() {
        let known = images(4, 400, 12.0);
        let mut strange = Features::new(32, 4);
        let mut random = Random(5);
        for _ in 0..100 {
            let mut row = random.f32s(32, 1.0);
            row[20] += 12.0;
            strange.push(&row, 0);
        }
        for kind in KINDS {
            let head = make(&known, &labels(4), &options(kind));
            assert_eq!(assess::answers(&head, &strange).unknown, 100, "{kind:?}");
            let sure = HeadOptions {
                unknown: None,
                ..options(kind)
            };
            let head = make(&known, &labels(4), &sure);
            assert_eq!(head.classes.unknown, None);
            assert_eq!(assess::answers(&head, &strange).unknown, 0);
        }
    }

    #[test]
    fn a_class_added_to_prototypes_is_what_it_would_have_been_among_them() {
        let all = images(6, 120, 4.0);
        let options = options(HeadKind::Prototypes);
        let mut first = Features::new(32, 3);
        let mut last = Features::new(32, 1);
        for (i, &label) in all.labels().iter().enumerate() {
            match label {
                3 => last.push(all.row(i), 0),
                _ => first.push(all.row(i), label),
            }
        }
        let whole = make(&all, &labels(4), &options).classes;
        let three = make(&first, &labels(3), &options).classes;
        let (added, assessment) = with_class(three.clone(), "class 3".into(), &last, Some(0.01));
        assert_eq!(added.classes.vectors, whole.vectors);
        assert_eq!(added.classes.labels, whole.labels);
        assert_eq!(added.classes.kind, three.kind, "the others' scores stay");
        let (before, after) = (three.unknown.unwrap(), added.classes.unknown.unwrap());
        assert_eq!(after.thresholds[..3], before.thresholds);
        assert_eq!(after.centers, whole.unknown.unwrap().centers);
        assert_eq!(assessment.images(), 30);
        assert!(assessment.accuracy().unwrap() > 0.9);
    }

    #[test]
    fn a_few_images_are_enough_to_begin_with() {
        for kind in KINDS {
            let few = images(7, 8, 6.0);
            let head = make(&few, &labels(4), &options(kind));
            assert!(head.temperature.is_err(), "too few to fit one");
            let finite = |values: &[f32]| values.iter().all(|x| x.is_finite());
            let unknown = head.classes.unknown.as_ref().unwrap();
            assert!(finite(&head.classes.vectors) && finite(&unknown.thresholds));
            let assessment = assess(&few, &labels(4), &options(kind), &|| ());
            assert_eq!(assessment.images(), 8);
        }
    }
}
