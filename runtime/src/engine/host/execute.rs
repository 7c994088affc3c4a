//! One operation of a plan on the processor: spans become slices, weights come from the pack.

use super::weights::Weights;
use crate::config::{Ranking, RotaryKind};
use crate::pack::{Linear, Norm};
use crate::plan::{
    AttentionOp, EmbedOp, FinalNormOp, FinalOutput, HeadOp, LayerNormOp, LinearEpilogue, LinearOp,
    MergeOp, NormOutput, Op, PatchifyOp, PoolAttentionOp, PoolOp, ResetSizesOp, RotaryOp, Span,
    TokenPositions,
};
use bytemuck::{cast_slice as view, cast_slice_mut as view_mut};
use mergevit_kernels::ops::{
    Attention, Embed, Epilogue, Kernels, MergeInput, MergeOutput, Positions, Rotary, Rotation,
};

/// A plan never lets two spans of one operation share a byte, or end beyond its arena.
const DISJOINT: &str = "the spans of an operation are disjoint and inside the arena";

/// The bytes of several spans at once.
fn split<const N: usize>(arena: &mut [u8], spans: [Span; N]) -> [&mut [u8]; N] {
    arena
        .get_disjoint_mut(spans.map(Span::range))
        .expect(DISJOINT)
}

/// Where positions lie in the arena, if they do.
fn span_of(positions: TokenPositions) -> Span {
    match positions {
        TokenPositions::Grid { .. } => Span::EMPTY,
        TokenPositions::At(span) => span,
    }
}

/// Positions as the kernels take them; `at` are the bytes of [`span_of`] them.
fn positions(positions: TokenPositions, at: &[u8]) -> Positions<'_> {
    match positions {
        TokenPositions::Grid { side } => Positions::Grid { side },
        TokenPositions::At(_) => Positions::At(view(at)),
    }
}

/// What operations run with.
pub(super) struct Execution<'a> {
    pub(super) weights: Weights<'a>,
    pub(super) kernels: &'a mut dyn Kernels,
    /// What the plan's first operation reads.
    pub(super) pixels: &'a [u8],
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
            Op::Rotary(op) => self.rotary(op),
            Op::Linear(op) => self.linear(op),
            Op::Attention(op) => self.attention(op),
            Op::PoolAttention(op) => self.pool_attention(op),
            Op::Merge(op) => self.merge(op),
            Op::Pool(op) => self.pool(op),
            Op::FinalNorm(op) => self.final_norm(op),
            Op::Head(op) => self.head(op),
        }
    }

    fn patchify(&mut self, op: &PatchifyOp) {
        let [patches] = split(self.arena, [op.patches]);
        self.kernels
            .patchify(&op.shape, self.pixels, view_mut(patches));
    }

    fn reset_sizes(&mut self, op: &ResetSizesOp) {
        let [sizes] = split(self.arena, [op.sizes]);
        view_mut::<u8, u32>(sizes).fill(1);
    }

    fn embed(&mut self, op: &EmbedOp) {
        let [patches, residual] = split(self.arena, [op.patches, op.residual]);
        let epilogue = Epilogue::Embed(Embed {
            batch: op.batch,
            prefix: self.weights.config().prefix,
            position: self.weights.position(),
            residual: view_mut(residual),
        });
        let weights = self.weights.linear(Linear::Patch, None);
        self.kernels
            .linear(op.rows, view(patches), &weights, epilogue);
    }

    fn layer_norm(&mut self, op: &LayerNormOp) {
        let [input, output] = split(self.arena, [op.input, op.output]);
        let norm = self.weights.norm(op.norm, op.layer);
        let (kernels, input) = (&mut self.kernels, view(input));
        match op.writes {
            NormOutput::Quantized => kernels.layer_norm(&norm, input, view_mut(output)),
            NormOutput::Half => kernels.layer_norm_half(&norm, input, view_mut(output)),
        }
    }

    fn rotary(&mut self, op: &RotaryOp) {
        let [at, table] = split(self.arena, [span_of(op.positions), op.table]);
        let shape = Rotary {
            batch: op.batch,
            tokens: op.tokens,
            prefix: op.prefix,
            head_width: op.head_width,
            frequencies: self.weights.frequencies(op.layer),
        };
        self.kernels
            .rotary(&shape, positions(op.positions, at), view_mut(table));
    }

    fn linear(&mut self, op: &LinearOp) {
        let table = match op.epilogue {
            LinearEpilogue::Rotate { table } => table,
            _ => Span::EMPTY,
        };
        let [input, table, output] = split(self.arena, [op.input, table, op.output]);
        let activation = &self.weights.activation();
        let config = self.weights.config();
        let epilogue = match op.epilogue {
            LinearEpilogue::Requantize => Epilogue::Requantize {
                output: view_mut(output),
            },
            LinearEpilogue::Rotate { .. } => Epilogue::Rotate {
                rotation: Rotation {
                    table: view(table),
                    heads: config.heads,
                    head_width: config.head_width,
                    shared: config.rotary == RotaryKind::Shared,
                },
                output: view_mut(output),
            },
            LinearEpilogue::Activate => Epilogue::Activate {
                activation,
                steps: self.weights.hidden(op.linear, op.layer),
                output: view_mut(output),
            },
            LinearEpilogue::Gate => Epilogue::Gate {
                activation,
                output: view_mut(output),
            },
            LinearEpilogue::GateHalf => Epilogue::GateHalf {
                activation,
                output: view_mut(output),
            },
            LinearEpilogue::Half => Epilogue::Half {
                output: view_mut(output),
            },
            LinearEpilogue::ResidualAdd => Epilogue::ResidualAdd {
                residual: view_mut(output),
            },
        };
        let weights = self.weights.linear(op.linear, op.layer);
        self.kernels
            .linear(op.rows, view(input), &weights, epilogue);
    }

    fn attention(&mut self, op: &AttentionOp) {
        let sizes = op.sizes.unwrap_or(Span::EMPTY);
        let [qkv, sizes, context] = split(self.arena, [op.qkv, sizes, op.context]);
        let (score_scale, context_scale) = self.weights.attention(op.layer);
        let shape = Attention {
            batch: op.batch,
            tokens: op.tokens,
            queries: op.queries,
            heads: op.heads,
            head_width: op.head_width,
            score_scale,
            context_scale,
        };
        let sizes = op.sizes.map(|_| view(sizes));
        self.kernels
            .attention(&shape, view(qkv), sizes, view_mut(context));
    }

    fn pool_attention(&mut self, op: &PoolAttentionOp) {
        let sizes = op.sizes.unwrap_or(Span::EMPTY);
        let spans = [op.key_value, sizes, op.context];
        let [key_value, sizes, context] = split(self.arena, spans);
        let (query, score_scale, context_scale) = self.weights.pool_attention();
        let shape = Attention {
            batch: op.batch,
            tokens: op.tokens,
            queries: 1,
            heads: op.heads,
            head_width: op.head_width,
            score_scale,
            context_scale,
        };
        let sizes = op.sizes.map(|_| view(sizes));
        self.kernels
            .pool_attention(&shape, query, view(key_value), sizes, view_mut(context));
    }

    fn merge(&mut self, op: &MergeOp) {
        let from = op.positions.map(|positions| positions.from);
        let merged = op
            .positions
            .map_or(Span::EMPTY, |positions| positions.merged);
        let spans = [
            op.qkv,
            op.residual,
            op.sizes,
            from.map_or(Span::EMPTY, span_of),
            op.merged_residual,
            op.merged_sizes,
            merged,
        ];
        let [
            qkv,
            residual,
            sizes,
            at,
            merged_residual,
            merged_sizes,
            merged,
        ] = split(self.arena, spans);
        let input = MergeInput {
            qkv: view(qkv),
            residual: view(residual),
            sizes: view(sizes),
            score_scale: match op.ranking {
                Ranking::Similarity => None,
                Ranking::ClassAttention => Some(self.weights.attention(op.layer).0),
            },
            positions: from.map_or(Positions::None, |from| positions(from, at)),
        };
        let output = MergeOutput {
            residual: view_mut(merged_residual),
            sizes: view_mut(merged_sizes),
            positions: op.positions.map(|_| view_mut(merged)),
        };
        self.kernels.merge(&op.shape, input, output);
    }

    fn pool(&mut self, op: &PoolOp) {
        let [residual, sizes, pooled] = split(self.arena, [op.residual, op.sizes, op.pooled]);
        self.kernels
            .pool(&op.shape, view(residual), view(sizes), view_mut(pooled));
    }

    fn final_norm(&mut self, op: &FinalNormOp) {
        let norm = self.weights.norm(Norm::Final, None);
        match op.output {
            FinalOutput::Wide { high, low } => {
                let [input, high, low] = split(self.arena, [op.input, high, low]);
                let (high, low) = (view_mut(high), view_mut(low));
                self.kernels.layer_norm_wide(&norm, view(input), high, low);
            }
            FinalOutput::Real(output) => {
                let [input, output] = split(self.arena, [op.input, output]);
                self.kernels
                    .layer_norm_real(&norm, view(input), view_mut(output));
            }
        }
    }

    fn head(&mut self, op: &HeadOp) {
        let [high, low, output] = split(self.arena, [op.high, op.low, op.output]);
        let weights = self.weights.linear(Linear::Head, None);
        self.kernels
            .head(view(high), view(low), &weights, view_mut(output));
    }
}
