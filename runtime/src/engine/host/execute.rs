//! One operation of a plan on the processor: spans become slices, weights come from the pack.

use super::weights::Weights;
use crate::pack::{Linear, Norm};
use crate::plan::{
    AttentionOp, EmbedOp, FinalNormOp, HeadOp, LayerNormOp, LinearEpilogue, LinearOp, MergeOp, Op,
    PatchifyOp, PoolOp, ResetSizesOp, Span,
};
use bytemuck::{cast_slice as view, cast_slice_mut as view_mut};
use mergevit_kernels::ops::{Attention, Embed, Epilogue, Kernels, MergeInput, MergeOutput};

/// A plan never lets two spans of one operation share a byte, or end beyond its arena.
const DISJOINT: &str = "the spans of an operation are disjoint and inside the arena";

/// The bytes of several spans at once.
fn split<const N: usize>(arena: &mut [u8], spans: [Span; N]) -> [&mut [u8]; N] {
    arena
        .get_disjoint_mut(spans.map(Span::range))
        .expect(DISJOINT)
}

/// What operations run with.
pub(super) struct Execution<'a> {
    pub(super) weights: Weights<'a>,
    pub(super) kernels: &'a mut dyn Kernels,
    pub(super) arena: &'a mut [u8],
}

impl Execution<'_> {
    /// Runs one operation.
    pub(super) fn run(&mut self, op: &Op) {
        match op {
            Op::Patchify(op) => self.patchify(op),
            Op::ResetSizes(op) => self.reset_sizes(op),
            Op::Embed(op) => self.embed(op),
            Op::LayerNorm(op) => self.layer_norm(op),
            Op::Linear(op) => self.linear(op),
            Op::Attention(op) => self.attention(op),
            Op::Merge(op) => self.merge(op),
            Op::Pool(op) => self.pool(op),
            Op::FinalNorm(op) => self.final_norm(op),
            Op::Head(op) => self.head(op),
        }
    }

    fn patchify(&mut self, op: &PatchifyOp) {
        let [pixels, patches] = split(self.arena, [op.pixels, op.patches]);
        self.kernels.patchify(&op.shape, pixels, view_mut(patches));
    }

    fn reset_sizes(&mut self, op: &ResetSizesOp) {
        let [sizes] = split(self.arena, [op.sizes]);
        view_mut::<u8, u32>(sizes).fill(1);
    }

    fn embed(&mut self, op: &EmbedOp) {
        let [patches, residual] = split(self.arena, [op.patches, op.residual]);
        let epilogue = Epilogue::Embed(Embed {
            batch: op.batch,
            class_token: self.weights.config().class_token,
            position: self.weights.position(),
            residual: view_mut(residual),
        });
        let weights = self.weights.linear(Linear::Patch, None);
        self.kernels
            .linear(op.rows, view(patches), &weights, epilogue);
    }

    fn layer_norm(&mut self, op: &LayerNormOp) {
        let [input, output] = split(self.arena, [op.input, op.output]);
        let norm = self.weights.norm(op.norm, Some(op.layer));
        self.kernels
            .layer_norm(&norm, view(input), view_mut(output));
    }

    fn linear(&mut self, op: &LinearOp) {
        let [input, output] = split(self.arena, [op.input, op.output]);
        let epilogue = match op.epilogue {
            LinearEpilogue::Requantize => Epilogue::Requantize {
                output: view_mut(output),
            },
            LinearEpilogue::Gelu => {
                let (inverse_scale, zero_point) = self.weights.gelu(op.layer);
                Epilogue::GeluRequantize {
                    inverse_scale,
                    zero_point,
                    output: view_mut(output),
                }
            }
            LinearEpilogue::ResidualAdd => Epilogue::ResidualAdd {
                residual: view_mut(output),
            },
        };
        let weights = self.weights.linear(op.linear, Some(op.layer));
        self.kernels
            .linear(op.rows, view(input), &weights, epilogue);
    }

    fn attention(&mut self, op: &AttentionOp) {
        let (score_scale, context_scale) = self.weights.attention(op.layer);
        let shape = Attention {
            batch: op.batch,
            tokens: op.tokens,
            heads: op.heads,
            score_scale,
            context_scale,
        };
        let kernels = &mut self.kernels;
        match op.sizes {
            None => {
                let [qkv, context] = split(self.arena, [op.qkv, op.context]);
                kernels.attention(&shape, view(qkv), None, view_mut(context));
            }
            Some(sizes) => {
                let [qkv, sizes, context] = split(self.arena, [op.qkv, sizes, op.context]);
                kernels.attention(&shape, view(qkv), Some(view(sizes)), view_mut(context));
            }
        }
    }

    fn merge(&mut self, op: &MergeOp) {
        let spans = [
            op.qkv,
            op.residual,
            op.sizes,
            op.merged_residual,
            op.merged_sizes,
        ];
        let [qkv, residual, sizes, merged_residual, merged_sizes] = split(self.arena, spans);
        let input = MergeInput {
            qkv: view(qkv),
            residual: view(residual),
            sizes: view(sizes),
        };
        let output = MergeOutput {
            residual: view_mut(merged_residual),
            sizes: view_mut(merged_sizes),
        };
        self.kernels.merge(&op.shape, input, output);
    }

    fn pool(&mut self, op: &PoolOp) {
        let [residual, sizes, pooled] = split(self.arena, [op.residual, op.sizes, op.pooled]);
        self.kernels
            .pool(&op.shape, view(residual), view(sizes), view_mut(pooled));
    }

    fn final_norm(&mut self, op: &FinalNormOp) {
        let [input, high, low] = split(self.arena, [op.input, op.high, op.low]);
        let norm = self.weights.norm(Norm::Final, None);
        self.kernels
            .layer_norm_wide(&norm, view(input), view_mut(high), view_mut(low));
    }

    fn head(&mut self, op: &HeadOp) {
        let [high, low, logits] = split(self.arena, [op.high, op.low, op.logits]);
        let weights = self.weights.linear(Linear::Head, None);
        self.kernels
            .head(view(high), view(low), &weights, view_mut(logits));
    }
}
