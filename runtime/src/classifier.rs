//! Scores of classes from an embedding, in a fixed order of plain f32 arithmetic: every backend and machine, and full
//! precision where it is compared with them, computes the same.

use crate::config::EmbeddingClassifier;
use crate::pack::{Classes, PRESENT, Pack, TensorKind};

/// Sums that a dot product is spread over: what vector instructions of any machine divide.
const SUMS: usize = 16;

/// The dot product: element i goes to sum `i mod 16`, rounded after the product and after the sum; then sum j takes
/// j + 8, then j + 4, j + 2, j + 1.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; SUMS];
    for (a, b) in a.chunks(SUMS).zip(b.chunks(SUMS)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    let mut half = SUMS / 2;
    while half > 0 {
        for j in 0..half {
            sums[j] += sums[j + half];
        }
        half /= 2;
    }
    sums[0]
}

/// Writes `vector` times one over its length to `unit`, which is as long: a vector of length 1, or zeros of zeros.
pub fn normalize(vector: &[f32], unit: &mut [f32]) {
    let square = dot(vector, vector);
    let inverse = if square == 0.0 {
        0.0
    } else {
        1.0 / square.sqrt()
    };
    for (to, x) in unit.iter_mut().zip(vector) {
        *to = x * inverse;
    }
}

/// A pack's classifier of embeddings.
#[derive(Clone, Copy, Debug)]
pub struct Classifier<'a> {
    kind: EmbeddingClassifier,
    /// Numbers of an embedding.
    columns: usize,
    /// (classes, columns)
    vectors: &'a [f32],
    /// (classes), or nothing.
    bias: &'a [f32],
    /// (classes, columns) of length 1, and (classes); or nothing.
    known: Option<(&'a [f32], &'a [f32])>,
}

impl<'a> Classifier<'a> {
    /// The pack's; `None` where the network itself gives scores, or nothing does.
    pub fn of(pack: &'a Pack) -> Option<Self> {
        let config = pack.config();
        let tensor = |kind| pack.tensor_f32(kind, None);
        let kind = config.classifier?;
        let known = tensor(TensorKind::ClassCenter).zip(tensor(TensorKind::ClassThreshold));
        Some(Self {
            kind,
            columns: config.classes,
            vectors: tensor(TensorKind::ClassVector).expect(PRESENT),
            bias: tensor(TensorKind::ClassBias).unwrap_or(&[]),
            known,
        })
    }

    /// What a pack with `classes` of embeddings of `columns` numbers would have, if their directions have length 1.
    pub fn new(classes: &'a Classes, columns: usize) -> Self {
        let known = classes.unknown.as_ref();
        Self {
            kind: classes.kind,
            columns,
            vectors: &classes.vectors,
            bias: &classes.bias,
            known: known.map(|known| (&*known.centers, &*known.thresholds)),
        }
    }

    /// Classes.
    pub fn classes(&self) -> usize {
        self.vectors.len() / self.columns
    }

    /// Scores an `embedding` (columns), whose vector of length 1 is `unit`, to `scores` (classes).
    pub fn score(&self, embedding: &[f32], unit: &[f32], scores: &mut [f32]) {
        let rows = scores
            .iter_mut()
            .zip(self.vectors.chunks_exact(self.columns));
        match self.kind {
            EmbeddingClassifier::Cosine { scale, bias } => {
                rows.for_each(|(score, row)| *score = dot(unit, row) * scale + bias);
            }
            EmbeddingClassifier::Linear => {
                for ((score, row), bias) in rows.zip(self.bias) {
                    *score = dot(embedding, row) + bias;
                }
            }
        }
    }

    /// Whether an embedding of this `unit` vector is too far from the center of `class`, its best one, to belong to
    /// any; `None` where the pack does not say what is too far. An embedding that is no number is.
    ///
    /// # Panics
    /// If there is no such class.
    pub fn is_unknown(&self, unit: &[f32], class: usize) -> Option<bool> {
        let (centers, thresholds) = self.known?;
        let center = &centers[class * self.columns..][..self.columns];
        let is_near = dot(unit, center) >= thresholds[class];
        Some(!is_near)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_kernels::testing::Random;

    #[test]
    fn unit_vectors_have_length_one() {
        let mut random = Random(5);
        for len in [1, 15, 16, 17, 64, 1000] {
            let vector = random.f32s(len, 100.0);
            let mut unit = vec![0.0; len];
            normalize(&vector, &mut unit);
            let length: f64 = unit.iter().map(|&x| f64::from(x).powi(2)).sum();
            assert!((length - 1.0).abs() < 1e-6, "{len}: {length}");
            let product: f64 = (vector.iter().zip(&unit))
                .map(|(&a, &b)| f64::from(a) * f64::from(b))
                .sum();
            assert!((product - f64::from(dot(&vector, &unit))).abs() < 1e-3);
        }
        let mut zeros = [1.0; 3];
        normalize(&[0.0; 3], &mut zeros);
        assert_eq!(zeros, [0.0; 3]);
    }

    #[test]
    fn scores_are_cosines_or_dot_products() {
        let (vectors, bias) = ([0.6, 0.8, -1.0, 0.0], [0.5, -0.5]);
        let classifier = |kind| Classifier {
            kind,
            columns: 2,
            vectors: &vectors,
            bias: &bias,
            known: Some((&vectors, &[0.9, 0.0])),
        };
        let (embedding, unit) = ([30.0, 40.0], [0.6, 0.8]);
        let mut scores = [0.0; 2];
        let cosine = classifier(EmbeddingClassifier::Cosine {
            scale: 10.0,
            bias: 1.0,
        });
        cosine.score(&embedding, &unit, &mut scores);
        assert_eq!(scores, [11.0, -5.0]);
        let linear = classifier(EmbeddingClassifier::Linear);
        linear.score(&embedding, &unit, &mut scores);
        assert_eq!(scores, [50.5, -30.5]);
        assert_eq!(linear.classes(), 2);

        assert_eq!(linear.is_unknown(&unit, 0), Some(false));
        assert_eq!(linear.is_unknown(&unit, 1), Some(true));
        assert_eq!(linear.is_unknown(&[f32::NAN, 0.0], 0), Some(true));
        let sure = Classifier {
            known: None,
            ..linear
        };
        assert_eq!(sure.is_unknown(&unit, 0), None);
    }
}
