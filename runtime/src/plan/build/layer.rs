//! One encoder layer.

use super::super::op::{
    AttentionOp, LayerNormOp, LinearEpilogue, MergeOp, MergedPositions, NormOutput, PoolOp,
    RotaryOp, TokenPositions,
};
use super::super::span::Span;
use super::super::step::Step;
use super::{Builder, Stream};
use crate::config::{Mlp, RotaryKind};
use crate::pack::{Linear, Norm};
use half::f16;
use mergevit_kernels::ops::{Merge, Pool, Pooling};

impl Builder<'_> {
    /// One encoder layer that merges `r` tokens.
    pub(super) fn layer(&mut self, layer: usize, r: usize, stream: &mut Stream) {
        let qkv = self.query_key_value(layer, stream);
        let context = self.attention(layer, self.tokens, qkv, stream);
        self.projection(layer, context, stream);
        let normed = self.second_norm(layer, r, qkv, stream);
        // Beside its residual stream: query, key and value lie beyond when tokens merge, and later in their
        // place, in one piece, the hidden activations.
        self.buffers[normed.offset].wish = self.buffers[stream.residual.offset].wish;
        self.mlp(layer, normed, stream);
    }

    /// The last encoder layer, where the first `pooled` tokens of an image alone are pooled: the others end with their
    /// keys and values. Merging would change nothing of what is left.
    pub(super) fn last_layer(&mut self, layer: usize, pooled: usize, stream: &mut Stream) {
        let qkv = self.query_key_value(layer, stream);
        let context = self.attention(layer, pooled, qkv, stream);
        stream.residual = self.first_tokens(pooled, stream);
        self.tokens = pooled;
        self.projection(layer, context, stream);
        let normed = self.norm(Some(layer), Norm::Second, stream.residual);
        self.mlp(layer, normed, stream);
    }

    /// The residual stream of the first `count` tokens of each image, without the others.
    fn first_tokens(&mut self, count: usize, stream: &Stream) -> Span {
        let shape = Pool {
            batch: self.batch,
            tokens: self.tokens,
            width: self.config.width,
            pooling: Pooling::First(count),
        };
        let len = self.batch * shape.pooled_width() * size_of::<f16>();
        // Of one image they are in one piece where they lie.
        if self.batch == 1 {
            return Span {
                len,
                ..stream.residual
            };
        }
        let pooled = self.buffer(len);
        self.push(Step::Pool(PoolOp {
            shape,
            residual: stream.residual,
            sizes: stream.sizes,
            pooled,
        }));
        pooled
    }

    /// The layer's first norm and its queries, keys and values, (B, T, 3A) i8.
    fn query_key_value(&mut self, layer: usize, stream: &mut Stream) -> Span {
        let table = self.rotary(layer, stream);
        let normed = self.norm(Some(layer), Norm::First, stream.residual);
        let qkv = self.token_buffer(3 * self.config.attention_width());
        let epilogue = match table {
            Some(table) => LinearEpilogue::Rotate { table },
            None => LinearEpilogue::Requantize,
        };
        self.linear(Some(layer), Linear::Qkv, epilogue, normed, qkv)
    }

    /// Attention of the first `queries` tokens of each image, (B, Q, A) i8.
    fn attention(&mut self, layer: usize, queries: usize, qkv: Span, stream: &Stream) -> Span {
        let context = self.buffer(self.batch * queries * self.config.attention_width());
        self.push(Step::Attention(AttentionOp {
            layer,
            batch: self.batch,
            tokens: self.tokens,
            queries,
            heads: self.config.heads,
            head_width: self.config.head_width,
            qkv,
            sizes: self.merged_sizes(stream.sizes),
            context,
        }));
        context
    }

    fn projection(&mut self, layer: usize, context: Span, stream: &Stream) {
        self.linear(
            Some(layer),
            Linear::Projection,
            LinearEpilogue::ResidualAdd,
            context,
            stream.residual,
        );
    }

    fn mlp(&mut self, layer: usize, normed: Span, stream: &Stream) {
        let hidden = self.hidden(layer, normed);
        self.linear(
            Some(layer),
            Linear::Fc2,
            LinearEpilogue::ResidualAdd,
            hidden,
            stream.residual,
        );
    }

    /// The table that this layer rotates by, if it rotates: its own, or the shared one, which is made anew once tokens
    /// have merged.
    fn rotary(&mut self, layer: usize, stream: &mut Stream) -> Option<Span> {
        let positions = stream.positions?;
        let (layer, tables) = match self.config.rotary {
            RotaryKind::None => return None,
            RotaryKind::Shared if stream.table.is_some() => return stream.table,
            RotaryKind::Shared => (None, 1),
            RotaryKind::PerLayer => (Some(layer), self.config.heads),
        };
        let head_width = self.config.head_width;
        let table = self.token_buffer(tables * head_width * size_of::<f32>());
        self.push(Step::Rotary(RotaryOp {
            layer,
            batch: self.batch,
            tokens: self.tokens,
            prefix: self.config.prefix,
            tables,
            head_width,
            positions,
            table,
        }));
        if layer.is_none() {
            stream.table = Some(table);
        }
        Some(table)
    }

    /// The second norm, behind merging if `r` is not 0.
    fn second_norm(&mut self, layer: usize, r: usize, qkv: Span, stream: &mut Stream) -> Span {
        if r == 0 {
            return self.norm(Some(layer), Norm::Second, stream.residual);
        }
        let merge = self.merge(layer, r, qkv, stream);
        let norm = LayerNormOp {
            layer: Some(layer),
            norm: Norm::Second,
            writes: NormOutput::Quantized,
            rows: self.rows(),
            width: self.config.width,
            input: stream.residual,
            output: self.token_buffer(self.config.width),
        };
        self.push(Step::MergeNorm(merge, norm));
        norm.output
    }

    fn merge(&mut self, layer: usize, r: usize, qkv: Span, stream: &mut Stream) -> MergeOp {
        let shape = Merge {
            batch: self.batch,
            tokens: self.tokens,
            width: self.config.width,
            heads: self.config.heads,
            head_width: self.config.head_width,
            merged: r,
            prefix: self.config.prefix,
        };
        self.tokens -= r;
        self.merges += 1;
        let positions = stream.positions.map(|from| MergedPositions {
            from,
            merged: self.token_buffer(2 * size_of::<f32>()),
        });
        let merge = MergeOp {
            layer,
            shape,
            ranking: self.ranking,
            qkv,
            residual: stream.residual,
            sizes: stream.sizes,
            merged_residual: self.residual(),
            merged_sizes: self.token_buffer(size_of::<u32>()),
            positions,
        };
        *stream = Stream {
            residual: merge.merged_residual,
            tokens: self.tokens,
            sizes: merge.merged_sizes,
            positions: positions.map(|positions| TokenPositions::At(positions.merged)),
            table: None,
        };
        merge
    }

    /// The first half of the MLP: what enters its last linear layer.
    fn hidden(&mut self, layer: usize, normed: Span) -> Span {
        let row = self.config.mlp_row();
        let (epilogue, bytes) = match self.config.mlp {
            Mlp::Plain => (LinearEpilogue::Activate, row),
            Mlp::Gated => (LinearEpilogue::Gate, row),
            Mlp::GatedNorm => (LinearEpilogue::GateHalf, row * size_of::<f16>()),
        };
        let hidden = self.token_buffer(bytes);
        self.linear(Some(layer), Linear::Fc1, epilogue, normed, hidden);
        match self.config.mlp {
            Mlp::Plain | Mlp::Gated => hidden,
            Mlp::GatedNorm => self.norm(Some(layer), Norm::Inner, hidden),
        }
    }
}
