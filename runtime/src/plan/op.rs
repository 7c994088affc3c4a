//! Operations of a plan: plain data that every backend, profiler and report walks over.
//!
//! `B` images, `T` tokens an image at this point of which `P` are the prefix, `C` channels, `H` heads of `D` channels,
//! `A = H D`, `V` channels of the pooled vector, `M` rows.

use super::span::{Access, Span};
use crate::config::Ranking;
use crate::pack::{Linear, Norm};
use Access::{Read, Update, Write};
use mergevit_kernels::ops::{Merge, Patchify, Pool};

/// Most spans of one operation.
pub const MAX_SPANS: usize = 7;

/// Pixels to patch rows.
#[derive(Clone, Copy, Debug)]
pub struct PatchifyOp {
    /// Sizes.
    pub shape: Patchify,
    /// (B, S, S, 3) u8
    pub pixels: Span,
    /// (B, patches, K) i8
    pub patches: Span,
}

/// Every token stands for itself.
#[derive(Clone, Copy, Debug)]
pub struct ResetSizesOp {
    /// (B, T) u32, set to 1
    pub sizes: Span,
}

/// The patch embedding: patch rows to the residual stream, with prefix and positions.
#[derive(Clone, Copy, Debug)]
pub struct EmbedOp {
    /// B
    pub batch: usize,
    /// M: patches of the batch.
    pub rows: usize,
    /// K: bytes of a patch row.
    pub inputs: usize,
    /// N: channels, C.
    pub outputs: usize,
    /// (M, K) i8
    pub patches: Span,
    /// (B, T, N) f16
    pub residual: Span,
}

/// What a norm writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormOutput {
    /// i8, in steps of what reads it.
    Quantized,
    /// f16, in real units.
    Half,
}

/// A norm before the last one.
#[derive(Clone, Copy, Debug)]
pub struct LayerNormOp {
    /// Encoder layer, from 0, if it belongs to one.
    pub layer: Option<usize>,
    /// Which gain and bias.
    pub norm: Norm,
    /// What it writes.
    pub writes: NormOutput,
    /// M
    pub rows: usize,
    /// L: channels of a row.
    pub width: usize,
    /// (M, L) f16
    pub input: Span,
    /// (M, L) i8 or f16
    pub output: Span,
}

/// Where the tokens of a batch lie in their images.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenPositions {
    /// Where they are before any merging.
    Grid {
        /// Patches of a row.
        side: usize,
    },
    /// (B, T, 2) f32: row, column.
    At(Span),
}

/// The table by which queries and keys are rotated.
#[derive(Clone, Copy, Debug)]
pub struct RotaryOp {
    /// Encoder layer, from 0, if it has frequencies of its own.
    pub layer: Option<usize>,
    /// B
    pub batch: usize,
    /// T
    pub tokens: usize,
    /// P: first tokens, which are not rotated.
    pub prefix: usize,
    /// R: tables a token, 1 or H.
    pub tables: usize,
    /// D
    pub head_width: usize,
    /// Where the tokens are.
    pub positions: TokenPositions,
    /// (B, T, R, D) f32
    pub table: Span,
}

/// What a linear layer of the encoder or of the attention pooling does with its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinearEpilogue {
    /// Rounds them to i8.
    Requantize,
    /// Rotates queries and keys, then rounds to i8.
    Rotate {
        /// (B, T, R, D) f32
        table: Span,
    },
    /// Applies the activation, then rounds to i8.
    Activate,
    /// Multiplies values by their activated gates, then rounds to i8.
    Gate,
    /// Multiplies values by their activated gates, and rounds to f16.
    GateHalf,
    /// Rounds them to f16.
    Half,
    /// Adds them to the residual stream.
    ResidualAdd,
}

/// A linear layer of the encoder or of the attention pooling.
#[derive(Clone, Copy, Debug)]
pub struct LinearOp {
    /// Encoder layer, from 0, if it belongs to one.
    pub layer: Option<usize>,
    /// Which weights.
    pub linear: Linear,
    /// What happens to the sums.
    pub epilogue: LinearEpilogue,
    /// M: rows of the input.
    pub rows: usize,
    /// K: columns of the input.
    pub inputs: usize,
    /// N: sums of a row.
    pub outputs: usize,
    /// (M, K) i8
    pub input: Span,
    /// (M, N) i8 or f16, behind a gate (M, N / 2), or the residual stream, (B, T, N) f16
    pub output: Span,
}

/// Multi-head attention.
#[derive(Clone, Copy, Debug)]
pub struct AttentionOp {
    /// Encoder layer, from 0.
    pub layer: usize,
    /// B
    pub batch: usize,
    /// T
    pub tokens: usize,
    /// Q: first tokens whose contexts are of use, all or, in the last layer, those that are pooled.
    pub queries: usize,
    /// H
    pub heads: usize,
    /// D
    pub head_width: usize,
    /// (B, T, 3A) i8
    pub qkv: Span,
    /// (B, T) u32, once tokens have merged
    pub sizes: Option<Span>,
    /// (B, Q, A) i8
    pub context: Span,
}

/// Attention of one constant query over all tokens.
#[derive(Clone, Copy, Debug)]
pub struct PoolAttentionOp {
    /// B
    pub batch: usize,
    /// T
    pub tokens: usize,
    /// H
    pub heads: usize,
    /// D
    pub head_width: usize,
    /// (B, T, 2A) i8
    pub key_value: Span,
    /// (B, T) u32, once tokens have merged
    pub sizes: Option<Span>,
    /// (B, A) i8
    pub context: Span,
}

/// Positions of tokens that merge.
#[derive(Clone, Copy, Debug)]
pub struct MergedPositions {
    /// Of T tokens an image.
    pub from: TokenPositions,
    /// (B, T - r, 2) f32
    pub merged: Span,
}

/// Token merging.
#[derive(Clone, Copy, Debug)]
pub struct MergeOp {
    /// Encoder layer, from 0.
    pub layer: usize,
    /// Sizes, and how many tokens disappear.
    pub shape: Merge,
    /// Which tokens those are.
    pub ranking: Ranking,
    /// (B, T, 3A) i8
    pub qkv: Span,
    /// (B, T, C) f16
    pub residual: Span,
    /// (B, T) u32
    pub sizes: Span,
    /// (B, T - r, C) f16
    pub merged_residual: Span,
    /// (B, T - r) u32
    pub merged_sizes: Span,
    /// Where the tokens are, in models that rotate by it.
    pub positions: Option<MergedPositions>,
}

/// Tokens to one vector an image.
#[derive(Clone, Copy, Debug)]
pub struct PoolOp {
    /// Sizes, and what is pooled.
    pub shape: Pool,
    /// (B, T, C) f16
    pub residual: Span,
    /// (B, T) u32
    pub sizes: Span,
    /// (B, V) f16
    pub pooled: Span,
}

/// What the last norm writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FinalOutput {
    /// 16 bits as two bytes, for the classifier.
    Wide {
        /// (B, V) i8
        high: Span,
        /// (B, V) i8
        low: Span,
    },
    /// (B, V) f32: the network's output.
    Real(Span),
}

/// The last norm.
#[derive(Clone, Copy, Debug)]
pub struct FinalNormOp {
    /// M: rows that are normalized by themselves, one or more an image.
    pub rows: usize,
    /// L: channels of a row. `M L = B V`.
    pub width: usize,
    /// (B, V) f16
    pub input: Span,
    /// What it writes.
    pub output: FinalOutput,
}

/// The classifier.
#[derive(Clone, Copy, Debug)]
pub struct HeadOp {
    /// B
    pub rows: usize,
    /// V: channels of the pooled vector.
    pub inputs: usize,
    /// Classes.
    pub outputs: usize,
    /// (B, V) i8
    pub high: Span,
    /// (B, V) i8
    pub low: Span,
    /// (B, classes) f32
    pub output: Span,
}

/// One operation.
#[derive(Clone, Copy, Debug)]
pub enum Op {
    /// Pixels to patch rows.
    Patchify(PatchifyOp),
    /// Every token stands for itself.
    ResetSizes(ResetSizesOp),
    /// Patch embedding.
    Embed(EmbedOp),
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
    /// Token merging.
    Merge(MergeOp),
    /// Tokens to one vector an image.
    Pool(PoolOp),
    /// The last norm.
    FinalNorm(FinalNormOp),
    /// The classifier.
    Head(HeadOp),
}

impl Op {
    /// Short name for profiles and reports.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Patchify(_) => "patchify",
            Self::ResetSizes(_) => "reset_sizes",
            Self::Embed(_) => Linear::Patch.name(),
            Self::LayerNorm(op) => op.norm.name(),
            Self::Linear(op) => op.linear.name(),
            Self::Rotary(_) => "rotary",
            Self::Attention(_) => "attention",
            Self::PoolAttention(_) => "pool_attention",
            Self::Merge(_) => "merge",
            Self::Pool(_) => "pool",
            Self::FinalNorm(_) => Norm::Final.name(),
            Self::Head(_) => Linear::Head.name(),
        }
    }

    /// The encoder layer that it belongs to, if any.
    pub const fn layer(&self) -> Option<usize> {
        match self {
            Self::LayerNorm(op) => op.layer,
            Self::Rotary(op) => op.layer,
            Self::Linear(op) => op.layer,
            Self::Attention(op) => Some(op.layer),
            Self::Merge(op) => Some(op.layer),
            Self::Patchify(_)
            | Self::ResetSizes(_)
            | Self::Embed(_)
            | Self::PoolAttention(_)
            | Self::Pool(_)
            | Self::FinalNorm(_)
            | Self::Head(_) => None,
        }
    }

    /// The spans it touches.
    pub fn spans(&self) -> heapless::Vec<(Span, Access), MAX_SPANS> {
        let mut spans = heapless::Vec::new();
        let mut visit = |span: &mut Span, access| {
            spans
                .push((*span, access))
                .expect("no operation has more spans");
        };
        match *self {
            Self::Patchify(mut op) => op.visit_spans(&mut visit),
            Self::ResetSizes(mut op) => op.visit_spans(&mut visit),
            Self::Embed(mut op) => op.visit_spans(&mut visit),
            Self::LayerNorm(mut op) => op.visit_spans(&mut visit),
            Self::Rotary(mut op) => op.visit_spans(&mut visit),
            Self::Linear(mut op) => op.visit_spans(&mut visit),
            Self::Attention(mut op) => op.visit_spans(&mut visit),
            Self::PoolAttention(mut op) => op.visit_spans(&mut visit),
            Self::Merge(mut op) => op.visit_spans(&mut visit),
            Self::Pool(mut op) => op.visit_spans(&mut visit),
            Self::FinalNorm(mut op) => op.visit_spans(&mut visit),
            Self::Head(mut op) => op.visit_spans(&mut visit),
        }
        spans
    }
}

/// What an operation does with each of its spans, in a fixed order. Placing a plan's buffers writes the spans'
/// offsets through it.
pub(super) trait Spans {
    fn visit_spans(&mut self, visit: &mut impl FnMut(&mut Span, Access));
}

/// Implements [`Spans`] from a list of `field: access`.
macro_rules! spans {
    ($($op:ident { $($field:ident: $access:expr),* })*) => {$(
        impl Spans for $op {
            fn visit_spans(&mut self, visit: &mut impl FnMut(&mut Span, Access)) {
                $(visit(&mut self.$field, $access);)*
            }
        }
    )*};
}

spans! {
    PatchifyOp { pixels: Read, patches: Write }
    ResetSizesOp { sizes: Write }
    EmbedOp { patches: Read, residual: Write }
    LayerNormOp { input: Read, output: Write }
    PoolOp { residual: Read, sizes: Read, pooled: Write }
    HeadOp { high: Read, low: Read, output: Write }
}

impl TokenPositions {
    fn visit_spans(&mut self, visit: &mut impl FnMut(&mut Span, Access)) {
        if let Self::At(span) = self {
            visit(span, Read);
        }
    }
}

impl Spans for RotaryOp {
    fn visit_spans(&mut self, visit: &mut impl FnMut(&mut Span, Access)) {
        self.positions.visit_spans(visit);
        visit(&mut self.table, Write);
    }
}

impl Spans for LinearOp {
    fn visit_spans(&mut self, visit: &mut impl FnMut(&mut Span, Access)) {
        use LinearEpilogue::{Activate, Gate, GateHalf, Half, Requantize, ResidualAdd, Rotate};
        visit(&mut self.input, Read);
        if let Rotate { table } = &mut self.epilogue {
            visit(table, Read);
        }
        let output = match self.epilogue {
            ResidualAdd => Update,
            Requantize | Rotate { .. } | Activate | Gate | GateHalf | Half => Write,
        };
        visit(&mut self.output, output);
    }
}

impl Spans for AttentionOp {
    fn visit_spans(&mut self, visit: &mut impl FnMut(&mut Span, Access)) {
        visit(&mut self.qkv, Read);
        if let Some(sizes) = &mut self.sizes {
            visit(sizes, Read);
        }
        visit(&mut self.context, Write);
    }
}

impl Spans for PoolAttentionOp {
    fn visit_spans(&mut self, visit: &mut impl FnMut(&mut Span, Access)) {
        visit(&mut self.key_value, Read);
        if let Some(sizes) = &mut self.sizes {
            visit(sizes, Read);
        }
        visit(&mut self.context, Write);
    }
}

impl Spans for MergeOp {
    fn visit_spans(&mut self, visit: &mut impl FnMut(&mut Span, Access)) {
        visit(&mut self.qkv, Read);
        visit(&mut self.residual, Read);
        visit(&mut self.sizes, Read);
        visit(&mut self.merged_residual, Write);
        visit(&mut self.merged_sizes, Write);
        if let Some(positions) = &mut self.positions {
            positions.from.visit_spans(visit);
            visit(&mut positions.merged, Write);
        }
    }
}

impl Spans for FinalNormOp {
    fn visit_spans(&mut self, visit: &mut impl FnMut(&mut Span, Access)) {
        visit(&mut self.input, Read);
        match &mut self.output {
            FinalOutput::Wide { high, low } => {
                visit(high, Write);
                visit(low, Write);
            }
            FinalOutput::Real(output) => visit(output, Write),
        }
    }
}
