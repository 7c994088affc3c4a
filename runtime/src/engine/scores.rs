//! What a network's output is made into on the host: unit vectors, and the scores of classes that text embeddings
//! name. In a fixed order of plain f32 arithmetic, so that every backend and machine gives the same bits.

use crate::config::{ModelConfig, OutputKind};
use crate::pack::{Pack, TensorKind};
use mergevit_kernels::memory::{OutOfMemory, zeroed};

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

/// `vector` times one over its length: a vector of length 1, or zeros of zeros.
fn normalize(vector: &[f32], to: &mut [f32]) {
    let square = dot(vector, vector);
    let inverse = if square == 0.0 {
        0.0
    } else {
        1.0 / square.sqrt()
    };
    for (to, x) in to.iter_mut().zip(vector) {
        *to = x * inverse;
    }
}

/// Room for what is made of the outputs of the largest batch. Nothing where outputs are logits.
#[derive(Debug)]
pub(super) struct Scores {
    /// (B, outputs) of length 1 each.
    unit: Box<[f32]>,
    /// (B, names) logits.
    logits: Box<[f32]>,
}

impl Scores {
    pub(super) fn new(config: &ModelConfig, max_batch: usize) -> Result<Self, OutOfMemory> {
        let columns = match config.output {
            OutputKind::Logits => 0,
            OutputKind::Embedding => config.classes,
        };
        let names = config.zero_shot.map_or(0, |_| config.labels.len());
        Ok(Self {
            unit: zeroed(max_batch * columns, "embeddings")?,
            logits: zeroed(max_batch * names, "scores")?,
        })
    }

    /// Makes unit vectors and scores of `outputs`, (B, outputs), if they are embeddings. Returns them: (B, outputs) and
    /// (B, names), both empty if they are not; scores are empty also without text embeddings.
    pub(super) fn of(&mut self, pack: &Pack, outputs: &[f32]) -> (&[f32], &[f32]) {
        let config = pack.config();
        if config.output == OutputKind::Logits {
            return (&[], &[]);
        }
        let columns = config.classes;
        let unit = &mut self.unit[..outputs.len()];
        for (vector, to) in outputs
            .chunks_exact(columns)
            .zip(unit.chunks_exact_mut(columns))
        {
            normalize(vector, to);
        }
        let text = pack.tensor_f32(TensorKind::TextEmbedding, None);
        let (Some(zero_shot), Some(text)) = (config.zero_shot, text) else {
            return (unit, &[]);
        };
        let names = text.len() / columns;
        let logits = &mut self.logits[..outputs.len() / columns * names];
        for (vector, logits) in unit
            .chunks_exact(columns)
            .zip(logits.chunks_exact_mut(names))
        {
            for (logit, text) in logits.iter_mut().zip(text.chunks_exact(columns)) {
                *logit = dot(vector, text) * zero_shot.scale + zero_shot.bias;
            }
        }
        (unit, logits)
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
}
