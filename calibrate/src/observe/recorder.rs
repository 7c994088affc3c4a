//! Observing the full-precision pass over a calibration set, in bounded memory.

use super::error::ObserveError;
use super::statistics::{LayerStatistics, Statistics, widen};
use crate::checkpoint::Checkpoint;
use crate::fp32::{Forward, Point, Tap};
use mergevit_kernels::ops::Patchify;
use mergevit_kernels::reference::patchify;
use mergevit_runtime::RotaryKind;
use std::fmt;

/// Rows of each activation that are kept, over all images.
const SAMPLE_ROWS: usize = 2048;

/// Images that are processed at once; bounds memory.
const BATCH: usize = 32;

/// Which tokens' activations are kept.
#[derive(Clone, Copy, Debug)]
struct SamplePlan {
    tokens: usize,
    prefix: usize,
    /// Tokens of one image.
    quota: usize,
}

impl SamplePlan {
    fn new(checkpoint: &Checkpoint, images: usize) -> Self {
        let model = &checkpoint.model;
        Self {
            tokens: model.tokens(),
            prefix: model.prefix,
            quota: SAMPLE_ROWS.div_ceil(images).clamp(2, model.tokens().max(2)),
        }
    }

    /// Tokens of image `index` that are kept, ascending. Of the prefix the first always is, because the decision
    /// rests on it, and others up to half of them all. Patches are spread over the image, from a different
    /// start in each.
    fn tokens(&self, index: usize) -> Vec<usize> {
        let first = self.prefix.min(self.quota / 2);
        let patches = self.tokens - self.prefix;
        let wanted = (self.quota - first).min(patches);
        let start = index * 7919 % patches;
        let spread = |i: usize| self.prefix + (start + i * patches / wanted) % patches;
        let mut kept: Vec<usize> = (0..first).chain((0..wanted).map(spread)).collect();
        kept.sort_unstable();
        kept
    }
}

/// The statistics of one image, in progress.
struct Recorder {
    keep: Vec<usize>,
    /// Whether queries and keys are rotated: then their rows cannot be had from those of the norm before.
    rotated: bool,
    statistics: Statistics,
}

impl Recorder {
    /// Of the image with this index.
    fn new(checkpoint: &Checkpoint, plan: &SamplePlan, index: usize) -> Self {
        Self {
            keep: plan.tokens(index),
            rotated: checkpoint.model.rotary != RotaryKind::None,
            statistics: empty(checkpoint),
        }
    }

    /// The statistics of the image, whose pixels these are.
    fn finish(self, checkpoint: &Checkpoint, plan: &SamplePlan, pixels: &[u8]) -> Statistics {
        let mut statistics = self.statistics;
        let first = plan.prefix;
        let patches = self
            .keep
            .iter()
            .filter(|&&token| token >= first)
            .map(|token| token - first);
        statistics.patches = kept_patches(checkpoint, pixels, patches);
        statistics.images = 1;
        statistics
    }

    fn layer(&mut self, layer: usize) -> &mut LayerStatistics {
        &mut self.statistics.layers[layer]
    }
}

impl Tap for Recorder {
    fn see(&mut self, point: Point, values: &[f32], width: usize) {
        let keep = std::mem::take(&mut self.keep);
        let rotated: &[usize] = if self.rotated { &keep } else { &[] };
        match point {
            Point::Norm1(layer) => self.layer(layer).norm1.record(values, width, &keep),
            Point::Query(layer) => self.layer(layer).query.record(values, width, rotated),
            Point::Key(layer) => self.layer(layer).key.record(values, width, rotated),
            Point::Value(layer) => widen(&mut self.layer(layer).value, values, width),
            Point::Context(layer) => self.layer(layer).context.record(values, width, &keep),
            Point::Norm2(layer) => self.layer(layer).norm2.record(values, width, &keep),
            Point::MlpHidden(layer) => widen(&mut self.layer(layer).hidden, values, width),
            Point::InnerNorm(layer) => self.layer(layer).inner.record(values, width, &keep),
            Point::FinalNorm => self.statistics.final_norm.record(values, width, &[0]),
            Point::TokenNorm => self.statistics.pooling.tokens.record(values, width, &keep),
            Point::PoolKeyValue => widen(&mut self.statistics.pooling.key_value, values, width),
            Point::PoolContext => self.statistics.pooling.context.record(values, width, &[0]),
            Point::PoolNorm => self.statistics.pooling.norm.record(values, width, &[0]),
            Point::PoolHidden => widen(&mut self.statistics.pooling.hidden, values, width),
            Point::PatchEmbed
            | Point::AttentionWeights(_)
            | Point::AttentionResidual(_)
            | Point::MlpPreActivation(_)
            | Point::MlpResidual(_)
            | Point::PoolAttentionWeights
            | Point::Logits => {}
        }
        self.keep = keep;
    }
}

/// Collects the statistics of a calibration set, batch by batch.
pub struct Observation<'a> {
    checkpoint: &'a Checkpoint,
    plan: SamplePlan,
    total: Statistics,
    on_image: Box<dyn Fn() + Sync + 'a>,
}

impl fmt::Debug for Observation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Observation")
            .field("plan", &self.plan)
            .field("total", &self.total)
            .finish_non_exhaustive()
    }
}

impl<'a> Observation<'a> {
    /// Starts with no images. `images` is the expected total, which sets how many rows of each are kept.
    pub fn new(checkpoint: &'a Checkpoint, images: usize) -> Self {
        Self {
            checkpoint,
            plan: SamplePlan::new(checkpoint, images.max(1)),
            total: empty(checkpoint),
            on_image: Box::new(|| {}),
        }
    }

    /// Calls `done` after each image, from any thread: for a progress bar.
    #[must_use]
    pub fn on_image(mut self, done: impl Fn() + Sync + 'a) -> Self {
        self.on_image = Box::new(done);
        self
    }

    /// Runs N images through the full-precision network, without merging, and keeps what quantization
    /// needs: `pixels` u8 (N, S, S, 3). The result depends on the images and their order, not on threads
    /// or on the split into batches.
    pub fn see(&mut self, pixels: &[u8]) {
        let image = self.checkpoint.model.image_bytes();
        for pixels in pixels.chunks(BATCH * image) {
            let first = self.total.images as usize;
            let recorder = |index| Recorder::new(self.checkpoint, &self.plan, first + index);
            let forward = Forward::new(self.checkpoint);
            let seen = forward.watch(pixels, &[], recorder, &self.on_image);
            for (pixels, (_, recorder)) in pixels.chunks_exact(image).zip(seen) {
                let part = recorder.finish(self.checkpoint, &self.plan, pixels);
                self.total.append(part);
            }
        }
    }

    /// The statistics of all images so far.
    ///
    /// # Errors
    /// [`ObserveError`]: no images, or activations that are not finite.
    pub fn finish(self) -> Result<Statistics, ObserveError> {
        self.total.check()?;
        Ok(self.total)
    }
}

fn empty(checkpoint: &Checkpoint) -> Statistics {
    Statistics {
        layers: vec![LayerStatistics::default(); checkpoint.model.depth],
        ..Statistics::default()
    }
}

/// The pixels of the given patches, less 128.
fn kept_patches(
    checkpoint: &Checkpoint,
    pixels: &[u8],
    kept: impl Iterator<Item = usize>,
) -> Vec<f32> {
    let model = &checkpoint.model;
    let shape = Patchify {
        batch: 1,
        image_size: model.image_size,
        patch_size: model.patch_size,
    };
    let mut patches = vec![0; shape.patches() * shape.row()];
    patchify(&shape, pixels, &mut patches);
    let inner = 3 * model.patch_size * model.patch_size;
    kept.flat_map(|patch| &patches[patch * shape.row()..][..inner])
        .map(|&q| f32::from(q))
        .collect()
}
