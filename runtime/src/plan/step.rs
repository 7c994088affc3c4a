//! Steps of a plan: operations, and those neighbours that a backend may compute as one.

use super::op::{
    AttentionOp, EmbedOp, FinalNormOp, HeadOp, LayerNormOp, LinearOp, MergeOp, Op, PatchifyOp,
    PoolAttentionOp, PoolOp, ResetSizesOp, RotaryOp, Spans,
};
use super::span::{Access, Span};

/// Most operations of one step.
pub const MAX_STEP_OPS: usize = 2;

/// One step. Where it has two operations, a backend may run them one after the other or as one: all spans of a
/// step are alive together, so no two of them share a byte unless they are the same value.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Pixels to patch rows.
    Patchify(PatchifyOp),
    /// The patch embedding, which also resets token sizes.
    Embed(ResetSizesOp, EmbedOp),
    /// A norm before the last one.
    LayerNorm(LayerNormOp),
    /// The table by which queries and keys are rotated.
    Rotary(RotaryOp),
    /// Linear layer of the encoder or of the attention pooling.
    Linear(LinearOp),
    /// Multi-head attention.
    Attention(AttentionOp),
    /// Attention of one constant query.
    PoolAttention(PoolAttentionOp),
    /// Tokens merge on their way through the layer norm.
    MergeNorm(MergeOp, LayerNormOp),
    /// The tokens that are pooled leave the others behind.
    Pool(PoolOp),
    /// Tokens are pooled on their way through the last norm.
    PoolNorm(PoolOp, FinalNormOp),
    /// The last norm, of what has been pooled before.
    FinalNorm(FinalNormOp),
    /// The classifier.
    Head(HeadOp),
}

/// One operation, or two.
pub type StepOps = heapless::Vec<Op, MAX_STEP_OPS>;

impl Step {
    /// Its operations, in the order in which they are computed one by one.
    pub fn ops(&self) -> StepOps {
        let [first, second] = match *self {
            Self::Patchify(op) => [Some(Op::Patchify(op)), None],
            Self::Embed(sizes, embed) => [Some(Op::ResetSizes(sizes)), Some(Op::Embed(embed))],
            Self::LayerNorm(op) => [Some(Op::LayerNorm(op)), None],
            Self::Rotary(op) => [Some(Op::Rotary(op)), None],
            Self::Linear(op) => [Some(Op::Linear(op)), None],
            Self::Attention(op) => [Some(Op::Attention(op)), None],
            Self::PoolAttention(op) => [Some(Op::PoolAttention(op)), None],
            Self::MergeNorm(merge, norm) => [Some(Op::Merge(merge)), Some(Op::LayerNorm(norm))],
            Self::Pool(op) => [Some(Op::Pool(op)), None],
            Self::PoolNorm(pool, norm) => [Some(Op::Pool(pool)), Some(Op::FinalNorm(norm))],
            Self::FinalNorm(op) => [Some(Op::FinalNorm(op)), None],
            Self::Head(op) => [Some(Op::Head(op)), None],
        };
        first.into_iter().chain(second).collect()
    }

    /// Calls `visit` on every span, in a fixed order.
    pub(super) fn visit_spans(&mut self, visit: &mut impl FnMut(&mut Span, Access)) {
        match self {
            Self::Patchify(op) => op.visit_spans(visit),
            Self::Embed(sizes, embed) => {
                sizes.visit_spans(visit);
                embed.visit_spans(visit);
            }
            Self::LayerNorm(op) => op.visit_spans(visit),
            Self::Rotary(op) => op.visit_spans(visit),
            Self::Linear(op) => op.visit_spans(visit),
            Self::Attention(op) => op.visit_spans(visit),
            Self::PoolAttention(op) => op.visit_spans(visit),
            Self::MergeNorm(merge, norm) => {
                merge.visit_spans(visit);
                norm.visit_spans(visit);
            }
            Self::Pool(op) => op.visit_spans(visit),
            Self::PoolNorm(pool, norm) => {
                pool.visit_spans(visit);
                norm.visit_spans(visit);
            }
            Self::FinalNorm(op) => op.visit_spans(visit),
            Self::Head(op) => op.visit_spans(visit),
        }
    }
}
