//! A model under one merge schedule as data: steps, each of one operation or two, over spans of one arena.
//!
//! A schedule fixes how many tokens each layer merges, so every shape is static although which tokens
//! merge is decided image by image. Planning does not allocate: schedule and batch can change between
//! frames.

mod build;
mod cost;
mod op;
mod place;
mod span;
mod step;

pub use cost::Cost;
pub use op::{
    AttentionOp, EmbedOp, FinalNormOp, HeadOp, LayerNormOp, LinearEpilogue, LinearOp, MAX_SPANS,
    MergeOp, Op, PatchifyOp, PoolOp, ResetSizesOp,
};
pub use span::{Access, Span};
pub use step::{MAX_STEP_OPS, Step, StepOps};

use crate::config::{ConfigError, ModelConfig, Schedule};
use crate::limits::MAX_LAYERS;
use mergevit_kernels::ops::{Capacity, MAX_BATCH};
use thiserror::Error;

/// Most steps: seven a layer (two norms, four linear layers, attention), two before and two after the layers.
pub const MAX_STEPS: usize = 7 * MAX_LAYERS + 4;

/// Most buffers: seven a layer (two norms, query-key-value, context, hidden, merged residual and sizes),
/// and pixels, patches, residual, sizes, pooled, high, low, logits.
pub(crate) const MAX_BUFFERS: usize = 7 * MAX_LAYERS + 8;

/// Why there is no plan.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlanError {
    /// No images, or too many.
    #[error("plan: batch of {found}, expected 1 to {MAX_BATCH}")]
    Batch {
        /// Images asked for.
        found: usize,
    },
    /// A schedule for another model.
    #[error("plan: schedule of {found} layers, expected {expected}")]
    Schedule {
        /// Layers of the schedule.
        found: usize,
        /// Layers of the model.
        expected: usize,
    },
    /// An impossible model.
    #[error("plan: {0}")]
    Config(#[from] ConfigError),
}

/// A model, a schedule and a batch size, ready to run.
#[derive(Clone, Debug)]
pub struct Plan {
    steps: heapless::Vec<Step, MAX_STEPS>,
    /// Tokens that enter each layer, then those that leave the last.
    tokens: heapless::Vec<u16, { MAX_LAYERS + 1 }>,
    batch: usize,
    arena_len: usize,
    patchify: PatchifyOp,
    logits: Span,
    sizes: Span,
}

impl Plan {
    /// Plans `batch` images through the model, each layer merging as many tokens as `schedule` says and as
    /// can be merged. Does not allocate unless it fails.
    ///
    /// # Errors
    /// [`PlanError`] for a batch beyond [`MAX_BATCH`], a schedule of another depth, or a configuration that
    /// [`ModelConfig::validate`] refuses.
    pub fn new(config: &ModelConfig, schedule: &Schedule, batch: usize) -> Result<Self, PlanError> {
        config.validate_shape()?;
        if !(1..=MAX_BATCH).contains(&batch) {
            return Err(PlanError::Batch { found: batch });
        }
        if schedule.merge.len() != config.depth {
            return Err(PlanError::Schedule {
                found: schedule.merge.len(),
                expected: config.depth,
            });
        }
        Ok(build::build(config, &schedule.merge, batch))
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The operations of all steps, in order.
    pub fn ops(&self) -> impl Iterator<Item = Op> {
        self.steps.iter().flat_map(Step::ops)
    }

    /// Images.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Tokens an image that enter each layer, then those that leave the last: depth + 1 numbers.
    pub fn tokens(&self) -> &[u16] {
        &self.tokens
    }

    /// Bytes of arena it needs.
    pub fn arena_len(&self) -> usize {
        self.arena_len
    }

    /// The first step: pixels to patch rows.
    pub fn patchify(&self) -> PatchifyOp {
        self.patchify
    }

    /// (B, S, S, 3) u8: what the first step reads.
    pub fn pixels(&self) -> Span {
        self.patchify.pixels
    }

    /// (B, classes) f32: the result.
    pub fn logits(&self) -> Span {
        self.logits
    }

    /// (B, T of the last layer) u32: how many patches each remaining token stands for.
    pub fn sizes(&self) -> Span {
        self.sizes
    }

    /// The sum over all steps.
    pub fn cost(&self) -> Cost {
        self.ops().map(|op| op.cost()).sum()
    }
}

/// What a backend must reserve for every plan of a model with at most `batch` images.
pub(crate) fn capacity(config: &ModelConfig, batch: usize) -> Capacity {
    Capacity {
        batch,
        tokens: config.tokens(),
        width: config.width,
        inner: config.patch_row().max(config.width).max(config.mlp_width),
    }
}
