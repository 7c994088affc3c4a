//! Operations of a plan: plain data that every backend, profiler and report walks over.

use mergevit_kernels::ops::{Merge, Patchify, Pool};
use std::ops::Range;

/// Bytes of the arena, at a multiple of 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub offset: usize,
    /// Bytes.
    pub len: usize,
}

impl Span {
    /// As a range of the arena's bytes.
    pub const fn range(self) -> Range<usize> {
        self.offset..self.offset + self.len
    }
}

/// What an operation does with a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads it.
    Read,
    /// Writes all of it.
    Write,
    /// Reads and writes it.
    Update,
}

impl Access {
    /// Whether the operation needs what the span held before.
    pub const fn reads(self) -> bool {
        !matches!(self, Self::Write)
    }

    /// Whether the operation changes the span.
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Read)
    }
}

/// Most spans of one operation.
pub const MAX_SPANS: usize = 5;

/// Linear layers: which weights, and with them which epilogue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Linear {
    /// Patch embedding: to the residual stream, with positions.
    Patch,
    /// Query, key and value: requantized.
    Qkv,
    /// Projection after attention: added to the residual stream.
    Projection,
    /// First layer of the MLP: GELU, requantized.
    Fc1,
    /// Second layer of the MLP: added to the residual stream.
    Fc2,
    /// Classifier.
    Head,
}

/// Layer norms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Norm {
    /// Before attention.
    First,
    /// Before the MLP.
    Second,
    /// Before the classifier.
    Final,
}

/// One step of a plan.
#[derive(Clone, Copy, Debug)]
pub struct Op {
    /// Layer it belongs to, if any.
    pub layer: Option<usize>,
    /// What it does.
    pub kind: OpKind,
}

/// What a step does. `B` images, `T` tokens at this step, `C` channels, `M = B T`.
#[derive(Clone, Copy, Debug)]
pub enum OpKind {
    /// Pixels to patch rows.
    Patchify {
        /// Sizes.
        shape: Patchify,
        /// (B, S, S, 3) u8
        pixels: Span,
        /// (B, N, K) i8
        patches: Span,
    },
    /// A linear layer other than the classifier.
    Linear {
        /// Weights and epilogue.
        linear: Linear,
        /// M: rows of the input.
        rows: usize,
        /// K: columns of the input.
        inputs: usize,
        /// N: columns of the output.
        outputs: usize,
        /// (M, K) i8
        input: Span,
        /// (M, N) i8, or the residual stream, (B, T, N) f16
        output: Span,
    },
    /// Every token stands for itself.
    ResetSizes {
        /// (B, T) u32
        sizes: Span,
    },
    /// Layer norm to 8 bits.
    LayerNorm {
        /// Which gain and bias.
        norm: Norm,
        /// M
        rows: usize,
        /// C
        width: usize,
        /// (M, C) f16
        input: Span,
        /// (M, C) i8
        output: Span,
    },
    /// Multi-head attention.
    Attention {
        /// B
        batch: usize,
        /// T
        tokens: usize,
        /// H
        heads: usize,
        /// (B, T, 3C) i8
        qkv: Span,
        /// (B, T) u32, once tokens have merged
        sizes: Option<Span>,
        /// (B, T, C) i8
        context: Span,
    },
    /// Token merging.
    Merge {
        /// Sizes, and how many tokens disappear.
        shape: Merge,
        /// (B, T, 3C) i8
        qkv: Span,
        /// (B, T, C) f16
        residual: Span,
        /// (B, T) u32
        sizes: Span,
        /// (B, T - r, C) f16
        merged_residual: Span,
        /// (B, T - r) u32
        merged_sizes: Span,
    },
    /// Tokens to one vector an image.
    Pool {
        /// Sizes, and what is pooled.
        shape: Pool,
        /// (B, T, C) f16
        residual: Span,
        /// (B, T) u32
        sizes: Span,
        /// (B, C) f16
        pooled: Span,
    },
    /// The last layer norm, to 16 bits as two bytes.
    LayerNormWide {
        /// B
        rows: usize,
        /// C
        width: usize,
        /// (B, C) f16
        input: Span,
        /// (B, C) i8
        high: Span,
        /// (B, C) i8
        low: Span,
    },
    /// The classifier.
    Head {
        /// B
        rows: usize,
        /// C
        inputs: usize,
        /// Classes.
        outputs: usize,
        /// (B, C) i8
        high: Span,
        /// (B, C) i8
        low: Span,
        /// (B, classes) f32
        logits: Span,
    },
}

impl Op {
    /// Short name for profiles and reports.
    pub const fn name(&self) -> &'static str {
        match &self.kind {
            OpKind::Patchify { .. } => "patchify",
            OpKind::Linear { linear, .. } => match linear {
                Linear::Patch => "embed",
                Linear::Qkv => "qkv",
                Linear::Projection => "projection",
                Linear::Fc1 => "fc1",
                Linear::Fc2 => "fc2",
                Linear::Head => "head",
            },
            OpKind::ResetSizes { .. } => "reset_sizes",
            OpKind::LayerNorm { norm, .. } => match norm {
                Norm::First => "norm1",
                Norm::Second => "norm2",
                Norm::Final => "final_norm",
            },
            OpKind::Attention { .. } => "attention",
            OpKind::Merge { .. } => "merge",
            OpKind::Pool { .. } => "pool",
            OpKind::LayerNormWide { .. } => "final_norm",
            OpKind::Head { .. } => "head",
        }
    }

    /// Whether a backend may compute this operation and the next as one: token sizes are reset by the patch
    /// embedding, tokens merge on their way through the layer norm, and so they are pooled.
    pub const fn fuses_with(&self, next: &Self) -> bool {
        matches!(
            (&self.kind, &next.kind),
            (
                OpKind::ResetSizes { .. },
                OpKind::Linear {
                    linear: Linear::Patch,
                    ..
                }
            ) | (OpKind::Merge { .. }, OpKind::LayerNorm { .. })
                | (OpKind::Pool { .. }, OpKind::LayerNormWide { .. })
        )
    }

    /// The spans it touches.
    pub fn spans(&self) -> heapless::Vec<(Span, Access), MAX_SPANS> {
        let mut spans = heapless::Vec::new();
        self.clone().visit_spans(|span, access| {
            spans
                .push((*span, access))
                .expect("no operation has more spans");
        });
        spans
    }

    /// Calls `visit` on every span, in a fixed order.
    pub(super) fn visit_spans(&mut self, mut visit: impl FnMut(&mut Span, Access)) {
        use Access::{Read, Update, Write};
        match &mut self.kind {
            OpKind::Patchify {
                pixels, patches, ..
            } => {
                visit(pixels, Read);
                visit(patches, Write);
            }
            OpKind::Linear {
                linear,
                input,
                output,
                ..
            } => {
                let adds = matches!(linear, Linear::Projection | Linear::Fc2);
                visit(input, Read);
                visit(output, if adds { Update } else { Write });
            }
            OpKind::ResetSizes { sizes } => visit(sizes, Write),
            OpKind::LayerNorm { input, output, .. } => {
                visit(input, Read);
                visit(output, Write);
            }
            OpKind::Attention {
                qkv,
                sizes,
                context,
                ..
            } => {
                visit(qkv, Read);
                if let Some(sizes) = sizes {
                    visit(sizes, Read);
                }
                visit(context, Write);
            }
            OpKind::Merge {
                qkv,
                residual,
                sizes,
                merged_residual,
                merged_sizes,
                ..
            } => {
                visit(qkv, Read);
                visit(residual, Read);
                visit(sizes, Read);
                visit(merged_residual, Write);
                visit(merged_sizes, Write);
            }
            OpKind::Pool {
                residual,
                sizes,
                pooled,
                ..
            } => {
                visit(residual, Read);
                visit(sizes, Read);
                visit(pooled, Write);
            }
            OpKind::LayerNormWide {
                input, high, low, ..
            } => {
                visit(input, Read);
                visit(high, Write);
                visit(low, Write);
            }
            OpKind::Head {
                high, low, logits, ..
            } => {
                visit(high, Read);
                visit(low, Read);
                visit(logits, Write);
            }
        }
    }
}
