//! One more class beside directions that are there already.

use super::assess::Assessment;
use super::features::Features;
use super::make::Head;
use super::prototypes::Means;
use super::unknown;
use crate::confidence::FitError;
use crate::evaluate::argmax;
use mergevit_runtime::{Classes, Classifier, EmbeddingClassifier, Unknown};

/// Adds the class `label`, of which `features` are, as its only class, to `classes` of cosines. Nothing else changes: the
/// direction of a class is that of its own images alone. If the classes have thresholds, the new one gets one beyond which
/// a `share` of its images are.
///
/// Returns also what was said of the images, each by a direction of the others.
///
/// # Panics
/// If the features are of several classes, or fewer than two.
pub fn with_class(
    mut classes: Classes,
    label: String,
    features: &Features,
    share: Option<f64>,
) -> (Head, Assessment) {
    assert!(
        features.classes() == 1 && features.len() >= 2,
        "images of one class"
    );
    let unit = features.unit();
    let means = Means::of(&unit);
    let added = classes.labels.len();
    let assessment = assess(&classes, &unit, &means);
    let direction = means.directions();
    classes.labels.push(label);
    classes.vectors.extend_from_slice(&direction);
    classes.unknown = classes.unknown.zip(share).map(|(known, share)| {
        let own = unknown::fit(&unit, unit.labels(), share);
        Unknown {
            centers: [known.centers, own.centers].concat(),
            thresholds: [known.thresholds, own.thresholds].concat(),
        }
    });
    let head = Head {
        classes,
        temperature: Err(FitError::Few { found: 0 }),
        strength: None,
    };
    let answers = assessment.into_iter().map(|answer| (added, answer));
    let assessment = Assessment {
        answers: answers.collect(),
        ..Assessment::default()
    };
    (head, assessment)
}

/// The answer for each image, the new class's direction being that of the other images.
fn assess(classes: &Classes, unit: &Features, means: &Means) -> Vec<usize> {
    let columns = unit.columns();
    let classifier = Classifier::new(classes, columns);
    let mut scores = vec![0.0; classes.labels.len() + 1];
    let (scale, bias) = match classes.kind {
        EmbeddingClassifier::Cosine { scale, bias } => (scale, bias),
        EmbeddingClassifier::Linear => (1.0, 0.0),
    };
    let rows = unit.rows().chunks_exact(columns);
    rows.map(|row| {
        let (known, own) = scores.split_at_mut(classes.labels.len());
        classifier.score(row, row, known);
        own[0] = means.cosine(row, 0, true) as f32 * scale + bias;
        argmax(&scores)
    })
    .collect()
}
