//! One operation of a plan on one backend: spans become slices, weights come from the pack.

use super::weights::Weights;
use crate::plan::{Linear, Norm, Op, OpKind, Span};
use bytemuck::{cast_slice as view, cast_slice_mut as view_mut};
use mergevit_kernels::ops::{Attention, Embed, Epilogue, Kernels, Merge, MergeInput, MergeOutput};

/// A plan never lets two spans of one operation share a byte, or end beyond its arena.
const DISJOINT: &str = "the spans of an operation are disjoint and inside the arena";

/// The bytes of several spans at once.
fn split<const N: usize>(arena: &mut [u8], spans: [Span; N]) -> [&mut [u8]; N] {
    arena
        .get_disjoint_mut(spans.map(Span::range))
        .expect(DISJOINT)
}

/// Runs one operation.
pub(super) fn execute(op: &Op, weights: Weights<'_>, kernels: &mut dyn Kernels, arena: &mut [u8]) {
    match op.kind {
        OpKind::Patchify {
            shape,
            pixels,
            patches,
        } => {
            let [pixels, patches] = split(arena, [pixels, patches]);
            kernels.patchify(&shape, pixels, view_mut(patches));
        }
        OpKind::Linear {
            linear,
            rows,
            input,
            output,
            ..
        } => {
            let [input, output] = split(arena, [input, output]);
            let epilogue = epilogue(linear, rows, op.layer, weights, output);
            let weights = weights.linear(linear, op.layer);
            kernels.linear(rows, view(input), &weights, epilogue);
        }
        OpKind::ResetSizes { sizes } => {
            let [sizes] = split(arena, [sizes]);
            view_mut::<u8, u32>(sizes).fill(1);
        }
        OpKind::LayerNorm {
            norm,
            input,
            output,
            ..
        } => {
            let [input, output] = split(arena, [input, output]);
            let norm = weights.norm(norm, op.layer);
            kernels.layer_norm(&norm, view(input), view_mut(output));
        }
        OpKind::LayerNormWide {
            input, high, low, ..
        } => {
            let [input, high, low] = split(arena, [input, high, low]);
            let norm = weights.norm(Norm::Final, None);
            kernels.layer_norm_wide(&norm, view(input), view_mut(high), view_mut(low));
        }
        OpKind::Head {
            high, low, logits, ..
        } => {
            let [high, low, logits] = split(arena, [high, low, logits]);
            let weights = weights.linear(Linear::Head, None);
            kernels.head(view(high), view(low), &weights, view_mut(logits));
        }
        OpKind::Attention {
            batch,
            tokens,
            heads,
            qkv,
            sizes,
            context,
        } => {
            let (score_scale, context_scale) = weights.attention(op.layer);
            let shape = Attention {
                batch,
                tokens,
                heads,
                score_scale,
                context_scale,
            };
            attention(&shape, qkv, sizes, context, kernels, arena);
        }
        OpKind::Merge {
            shape,
            qkv,
            residual,
            sizes,
            merged_residual,
            merged_sizes,
        } => {
            let spans = [qkv, residual, sizes, merged_residual, merged_sizes];
            merge(&shape, spans, kernels, arena);
        }
        OpKind::Pool {
            shape,
            residual,
            sizes,
            pooled,
        } => {
            let [residual, sizes, pooled] = split(arena, [residual, sizes, pooled]);
            kernels.pool(&shape, view(residual), view(sizes), view_mut(pooled));
        }
    }
}

fn attention(
    shape: &Attention<'_>,
    qkv: Span,
    sizes: Option<Span>,
    context: Span,
    kernels: &mut dyn Kernels,
    arena: &mut [u8],
) {
    match sizes {
        None => {
            let [qkv, context] = split(arena, [qkv, context]);
            kernels.attention(shape, view(qkv), None, view_mut(context));
        }
        Some(sizes) => {
            let [qkv, sizes, context] = split(arena, [qkv, sizes, context]);
            kernels.attention(shape, view(qkv), Some(view(sizes)), view_mut(context));
        }
    }
}

/// `spans`: query-key-value, residual, sizes, merged residual, merged sizes.
fn merge(shape: &Merge, spans: [Span; 5], kernels: &mut dyn Kernels, arena: &mut [u8]) {
    let [qkv, residual, sizes, merged_residual, merged_sizes] = split(arena, spans);
    let input = MergeInput {
        qkv: view(qkv),
        residual: view(residual),
        sizes: view(sizes),
    };
    let output = MergeOutput {
        residual: view_mut(merged_residual),
        sizes: view_mut(merged_sizes),
    };
    kernels.merge(shape, input, output);
}

/// What a linear layer does with its sums, and where it puts them.
fn epilogue<'a>(
    linear: Linear,
    rows: usize,
    layer: Option<usize>,
    weights: Weights<'a>,
    output: &'a mut [u8],
) -> Epilogue<'a> {
    match linear {
        Linear::Patch => Epilogue::Embed(Embed {
            batch: rows / weights.config().patches(),
            class_token: weights.config().class_token,
            position: weights.position(),
            residual: view_mut(output),
        }),
        Linear::Qkv | Linear::Head => Epilogue::Requantize {
            output: view_mut(output),
        },
        Linear::Projection | Linear::Fc2 => Epilogue::ResidualAdd {
            residual: view_mut(output),
        },
        Linear::Fc1 => {
            let (inverse_scale, zero_point) = weights.gelu(layer);
            Epilogue::GeluRequantize {
                inverse_scale,
                zero_point,
                output: view_mut(output),
            }
        }
    }
}
