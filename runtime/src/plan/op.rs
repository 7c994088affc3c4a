//! Operations of a plan: plain data that every backend, profiler and report walks over.
//!
//! `B` images, `T` tokens an image at this point, `C` channels, `M = B T` rows.

use super::span::{Access, Span};
use crate::pack::{Linear, Norm};
use Access::{Read, Update, Write};
use mergevit_kernels::ops::{Merge, Patchify, Pool};

/// Most spans of one operation.
pub const MAX_SPANS: usize = 5;

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

/// The patch embedding: patch rows to the residual stream, with class token and positions.
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

/// Layer norm of an encoder layer, to 8 bits.
#[derive(Clone, Copy, Debug)]
pub struct LayerNormOp {
    /// Encoder layer, from 0.
    pub layer: usize,
    /// Which gain and bias.
    pub norm: Norm,
    /// M
    pub rows: usize,
    /// C
    pub width: usize,
    /// (M, C) f16
    pub input: Span,
    /// (M, C) i8
    pub output: Span,
}

/// What a linear layer of the encoder does with its sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinearEpilogue {
    /// Rounds them to i8.
    Requantize,
    /// Applies GELU, then rounds to i8.
    Gelu,
    /// Adds them to the residual stream.
    ResidualAdd,
}

/// A linear layer of the encoder.
#[derive(Clone, Copy, Debug)]
pub struct LinearOp {
    /// Encoder layer, from 0.
    pub layer: usize,
    /// Which weights.
    pub linear: Linear,
    /// What happens to the sums.
    pub epilogue: LinearEpilogue,
    /// M: rows of the input.
    pub rows: usize,
    /// K: columns of the input.
    pub inputs: usize,
    /// N: columns of the output.
    pub outputs: usize,
    /// (M, K) i8
    pub input: Span,
    /// (M, N) i8, or the residual stream, (B, T, N) f16
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
    /// H
    pub heads: usize,
    /// (B, T, 3C) i8
    pub qkv: Span,
    /// (B, T) u32, once tokens have merged
    pub sizes: Option<Span>,
    /// (B, T, C) i8
    pub context: Span,
}

/// Token merging.
#[derive(Clone, Copy, Debug)]
pub struct MergeOp {
    /// Encoder layer, from 0.
    pub layer: usize,
    /// Sizes, and how many tokens disappear.
    pub shape: Merge,
    /// (B, T, 3C) i8
    pub qkv: Span,
    /// (B, T, C) f16
    pub residual: Span,
    /// (B, T) u32
    pub sizes: Span,
    /// (B, T - r, C) f16
    pub merged_residual: Span,
    /// (B, T - r) u32
    pub merged_sizes: Span,
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
    /// (B, C) f16
    pub pooled: Span,
}

/// The last layer norm, to 16 bits as two bytes.
#[derive(Clone, Copy, Debug)]
pub struct FinalNormOp {
    /// B
    pub rows: usize,
    /// C
    pub width: usize,
    /// (B, C) f16
    pub input: Span,
    /// (B, C) i8
    pub high: Span,
    /// (B, C) i8
    pub low: Span,
}

/// The classifier.
#[derive(Clone, Copy, Debug)]
pub struct HeadOp {
    /// B
    pub rows: usize,
    /// C
    pub inputs: usize,
    /// Classes.
    pub outputs: usize,
    /// (B, C) i8
    pub high: Span,
    /// (B, C) i8
    pub low: Span,
    /// (B, classes) f32
    pub logits: Span,
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
    /// Layer norm of an encoder layer.
    LayerNorm(LayerNormOp),
    /// Linear layer of the encoder.
    Linear(LinearOp),
    /// Multi-head attention.
    Attention(AttentionOp),
    /// Token merging.
    Merge(MergeOp),
    /// Tokens to one vector an image.
    Pool(PoolOp),
    /// The last layer norm.
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
            Self::Attention(_) => "attention",
            Self::Merge(_) => "merge",
            Self::Pool(_) => "pool",
            Self::FinalNorm(_) => Norm::Final.name(),
            Self::Head(_) => Linear::Head.name(),
        }
    }

    /// The encoder layer that it belongs to, if any.
    pub const fn layer(&self) -> Option<usize> {
        match self {
            Self::LayerNorm(op) => Some(op.layer),
            Self::Linear(op) => Some(op.layer),
            Self::Attention(op) => Some(op.layer),
            Self::Merge(op) => Some(op.layer),
            Self::Patchify(_)
            | Self::ResetSizes(_)
            | Self::Embed(_)
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
            Self::Linear(mut op) => op.visit_spans(&mut visit),
            Self::Attention(mut op) => op.visit_spans(&mut visit),
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
    MergeOp {
        qkv: Read,
        residual: Read,
        sizes: Read,
        merged_residual: Write,
        merged_sizes: Write
    }
    PoolOp { residual: Read, sizes: Read, pooled: Write }
    FinalNormOp { input: Read, high: Write, low: Write }
    HeadOp { high: Read, low: Read, logits: Write }
}

impl Spans for LinearOp {
    fn visit_spans(&mut self, visit: &mut impl FnMut(&mut Span, Access)) {
        visit(&mut self.input, Read);
        let output = match self.epilogue {
            LinearEpilogue::ResidualAdd => Update,
            LinearEpilogue::Requantize | LinearEpilogue::Gelu => Write,
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
