//! Classes that a pack is given for its embeddings.

use super::kind::TensorKind;
use crate::config::{EmbeddingClassifier, ScoreKind};

/// Classes of embeddings of C numbers, for [`PackWriter::with_classes`](super::PackWriter::with_classes).
#[derive(Clone, Debug, PartialEq)]
pub struct Classes {
    /// Their names.
    pub labels: Vec<String>,
    /// How they are scored.
    pub kind: EmbeddingClassifier,
    /// What scores say of them.
    pub scores: ScoreKind,
    /// (classes, C): directions of any length where cosines are scored, else weights.
    pub vectors: Vec<f32>,
    /// (classes) where the classifier is linear, else nothing.
    pub bias: Vec<f32>,
    /// When an image is of none of them, if that can be.
    pub unknown: Option<Unknown>,
}

/// How far from every class an embedding must be to be of none.
#[derive(Clone, Debug, PartialEq)]
pub struct Unknown {
    /// (classes, C): directions of any length.
    pub centers: Vec<f32>,
    /// (classes): the smallest cosine of an embedding of the class with its center, -1 to 1.
    pub thresholds: Vec<f32>,
}

impl Classes {
    /// Classes by the cosine with `vectors`, of which one is right.
    pub fn by_cosine(scale: f32, bias: f32, labels: Vec<String>, vectors: Vec<f32>) -> Self {
        Self {
            labels,
            kind: EmbeddingClassifier::Cosine { scale, bias },
            scores: ScoreKind::Softmax,
            vectors,
            bias: Vec::new(),
            unknown: None,
        }
    }

    /// The tensors that a pack has of them, of embeddings of `columns` numbers.
    pub(super) fn into_tensors(
        self,
        columns: usize,
    ) -> impl Iterator<Item = (TensorKind, Vec<f32>)> {
        let linear = self.kind.is_linear();
        let vectors = match linear {
            true => self.vectors,
            false => of_length_one(&self.vectors, columns),
        };
        let bias = linear.then_some((TensorKind::ClassBias, self.bias));
        let unknown = self.unknown.map(|unknown| {
            let centers = of_length_one(&unknown.centers, columns);
            [
                (TensorKind::ClassCenter, centers),
                (TensorKind::ClassThreshold, unknown.thresholds),
            ]
        });
        let vectors = std::iter::once((TensorKind::ClassVector, vectors));
        vectors.chain(bias).chain(unknown.into_iter().flatten())
    }
}

/// Each row of `columns` numbers over its length.
fn of_length_one(rows: &[f32], columns: usize) -> Vec<f32> {
    let rows = rows.chunks(columns).flat_map(|row| {
        let squares: f64 = row.iter().map(|&x| f64::from(x).powi(2)).sum();
        let length = squares.sqrt();
        row.iter().map(move |&x| (f64::from(x) / length) as f32)
    });
    rows.collect()
}
