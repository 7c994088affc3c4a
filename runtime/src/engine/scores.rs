//! What a network's output is made into on the host: unit vectors, and the scores of classes.

use crate::classifier::{Classifier, normalize};
use crate::config::{ModelConfig, OutputKind};
use crate::pack::Pack;
use mergevit_kernels::memory::{OutOfMemory, zeroed};

/// Room for what is made of the outputs of the largest batch. Nothing where outputs are logits.
#[derive(Debug)]
pub(super) struct Scores {
    /// (B, outputs) of length 1 each.
    unit: Box<[f32]>,
    /// (B, classes) logits.
    logits: Box<[f32]>,
}

impl Scores {
    pub(super) fn new(config: &ModelConfig, max_batch: usize) -> Result<Self, OutOfMemory> {
        let columns = match config.output {
            OutputKind::Logits => 0,
            OutputKind::Embedding => config.classes,
        };
        let classes = config.classifier.map_or(0, |_| config.labels.len());
        Ok(Self {
            unit: zeroed(max_batch * columns, "embeddings")?,
            logits: zeroed(max_batch * classes, "scores")?,
        })
    }

    /// Makes unit vectors and scores of `outputs`, (B, outputs), if they are embeddings.
    pub(super) fn make(&mut self, pack: &Pack, outputs: &[f32]) {
        let config = pack.config();
        if config.output == OutputKind::Logits {
            return;
        }
        let columns = config.classes;
        let unit = &mut self.unit[..outputs.len()];
        let embeddings = outputs.chunks_exact(columns);
        for (embedding, unit) in embeddings.clone().zip(unit.chunks_exact_mut(columns)) {
            normalize(embedding, unit);
        }
        let Some(classifier) = Classifier::of(pack) else {
            return;
        };
        let classes = classifier.classes();
        let logits = &mut self.logits[..embeddings.len() * classes];
        let rows = logits.chunks_exact_mut(classes);
        for ((embedding, unit), logits) in embeddings.zip(unit.chunks_exact(columns)).zip(rows) {
            classifier.score(embedding, unit, logits);
        }
    }

    /// What was last made, of `batch` images: (B, outputs) and (B, classes). Both are empty where outputs are logits;
    /// scores are empty also without a classifier.
    pub(super) fn of(&self, config: &ModelConfig, batch: usize) -> (&[f32], &[f32]) {
        if config.output == OutputKind::Logits {
            return (&[], &[]);
        }
        let classes = config.classifier.map_or(0, |_| config.labels.len());
        (
            &self.unit[..batch * config.classes],
            &self.logits[..batch * classes],
        )
    }
}
