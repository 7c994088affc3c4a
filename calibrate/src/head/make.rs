//! Making a classifier of embeddings.

use super::features::Features;
use super::prototypes::Means;
use super::temperature::temperature;
use super::{linear, unknown};
use crate::confidence::FitError;
use crate::evaluate::argmax;
use mergevit_runtime::{Classes, EmbeddingClassifier, ScoreKind};

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
