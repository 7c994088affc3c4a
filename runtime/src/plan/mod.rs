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
    AttentionOp, EmbedOp, FinalNormOp, FinalOutput, HeadOp, LayerNormOp, LinearEpilogue, LinearOp,
    MAX_SPANS, MergeOp, MergedPositions, NormOutput, Op, PatchifyOp, PoolAttentionOp, PoolOp,
    ResetSizesOp, RotaryOp, TokenPositions,
};
pub use span::{Access, Span};
pub use step::{MAX_STEP_OPS, Step, StepOps};

use crate::config::{ConfigError, ModelConfig, Schedule};
use crate::limits::MAX_LAYERS;
use crate::pack::Linear;
use mergevit_kernels::ops::{Capacity, MAX_BATCH};
use thiserror::Error;

/// Most steps: nine a layer (three norms, four linear layers, attention, the rotary table), three before them
/// (patches, embedding, norm), and nine after (three norms, four linear layers, attention, the classifier; or early
/// pooling, two norms, the classifier).
pub const MAX_STEPS: usize = 9 * MAX_LAYERS + 3 + 9;

/// Most buffers: ten a layer (three norms, query-key-value, context, hidden, rotary table, merged residual, sizes and
/// positions), five before them (pixels, patches, embedded, residual, sizes), and nine after (normed tokens, keys and
/// values, context, residual, normed, hidden, high, low, output).
pub(crate) const MAX_BUFFERS: usize = 10 * MAX_LAYERS + 5 + 9;

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
    /// A schedule that ranks tokens by a class token, for a model that has none.
    #[error("plan: the schedule ranks tokens by class attention, but the model has no class token")]
    Ranking,
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
    output: Span,
    sizes: Span,
}

impl Plan {
    /// Plans `batch` images through the model, each layer merging as many tokens as `schedule` says and as
    /// can be merged, but for a last layer from which only the prefix is pooled. Does not allocate unless it fails.
    ///
    /// # Errors
    /// [`PlanError`] for a batch beyond [`MAX_BATCH`], a schedule of another depth or one that needs a class token that
    /// there is not, or a configuration that [`ModelConfig::validate`] refuses.
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
        if !schedule.ranking.suits(config.prefix) {
            return Err(PlanError::Ranking);
        }
        Ok(build::build(config, schedule, batch))
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

    /// Tokens an image that enter each layer, then those that are left: depth + 1 numbers. Where only tokens of the
    /// prefix are pooled ([`ModelConfig::pooled_prefix`]), the last layer merges nothing, and the last number is that of
    /// the tokens that it sees.
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

    /// (B, outputs) f32: logits, or embeddings.
    pub fn output(&self) -> Span {
        self.output
    }

    /// (B, the last of [`tokens`](Self::tokens)) u32: how many patches each remaining token stands for.
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
    let linears = Linear::ALL.map(|linear| linear.tensors().weight.shape(config).1);
    let pooling = config.attention_pooling;
    let pooling_head = pooling.map_or(0, |pooling| pooling.head_width);
    Capacity {
        batch,
        tokens: config.tokens(),
        width: config.width,
        head_width: config.head_width.max(pooling_head),
        inner: linears.into_iter().max().unwrap_or(0),
    }
}
