//! From a configuration to a plan.

use super::op::{
    AttentionOp, EmbedOp, FinalNormOp, HeadOp, LayerNormOp, LinearEpilogue, LinearOp, MergeOp,
    PatchifyOp, PoolOp, ResetSizesOp,
};
use super::place::{Buffer, Wish, place};
use super::span::Span;
use super::step::Step;
use super::{MAX_BUFFERS, MAX_STEPS, Plan};
use crate::config::{ModelConfig, Pooling};
use crate::pack::{Linear, Norm};
use half::f16;
use mergevit_kernels::ops::{self, Merge, Patchify, Pool};

/// Plans a valid model. `merge` has one entry a layer.
pub(super) fn build(config: &ModelConfig, merge: &[u16], batch: usize) -> Plan {
    let mut builder = Builder {
        config,
        batch,
        tokens: config.tokens(),
        merges: 0,
        steps: heapless::Vec::new(),
        buffers: heapless::Vec::new(),
    };
    let mut patchify = builder.patchify();
    let (mut residual, mut sizes) = builder.embedding(&patchify);
    let mut tokens = heapless::Vec::new();
    for (layer, &r) in merge.iter().enumerate() {
        push(&mut tokens, builder.tokens as u16);
        let r = usize::from(r).min(Merge::limit(builder.tokens, config.class_token));
        (residual, sizes) = builder.layer(layer, r, residual, sizes);
    }
    push(&mut tokens, builder.tokens as u16);
    let mut logits = builder.classifier(residual, sizes);
    let (steps, arena_len) = builder.resolve(&mut patchify, [&mut logits, &mut sizes]);
    Plan {
        steps,
        tokens,
        batch,
        arena_len,
        patchify,
        logits,
        sizes,
    }
}

fn push<T: std::fmt::Debug, const N: usize>(list: &mut heapless::Vec<T, N>, item: T) {
    list.push(item)
        .expect("the limits on layers bound every list of a plan");
}

/// A plan in the making. Until [`resolve`](Self::resolve), a span's offset is the index of its buffer.
struct Builder<'a> {
    config: &'a ModelConfig,
    batch: usize,
    /// Tokens an image at this point.
    tokens: usize,
    /// Layers so far that have merged.
    merges: usize,
    steps: heapless::Vec<Step, MAX_STEPS>,
    buffers: heapless::Vec<Buffer, MAX_BUFFERS>,
}

impl Builder<'_> {
    fn buffer(&mut self, len: usize) -> Span {
        let span = Span {
            offset: self.buffers.len(),
            len,
        };
        let buffer = Buffer {
            len,
            wish: Wish::None,
            first: usize::MAX,
            last: 0,
            offset: 0,
        };
        push(&mut self.buffers, buffer);
        span
    }

    /// A buffer of `columns` bytes for each token of the batch at this point.
    fn token_buffer(&mut self, columns: usize) -> Span {
        self.buffer(self.rows() * columns)
    }

    /// A buffer for the residual stream, at alternating ends of the arena: what is left between the two
    /// that are alive while tokens merge is then in one piece.
    fn residual(&mut self) -> Span {
        let span = self.token_buffer(self.config.width * size_of::<f16>());
        self.buffers[span.offset].wish = match self.merges.is_multiple_of(2) {
            true => Wish::End,
            false => Wish::Start,
        };
        span
    }

    /// M: tokens of the batch at this point.
    fn rows(&self) -> usize {
        self.batch * self.tokens
    }

    fn push(&mut self, step: Step) {
        push(&mut self.steps, step);
    }

    /// Pixels to patch rows.
    fn patchify(&mut self) -> PatchifyOp {
        let shape = Patchify {
            batch: self.batch,
            image_size: self.config.image_size,
            patch_size: self.config.patch_size,
        };
        let op = PatchifyOp {
            shape,
            pixels: self.buffer(self.batch * self.config.image_bytes()),
            patches: self.buffer(self.batch * shape.patches() * shape.row()),
        };
        self.push(Step::Patchify(op));
        op
    }

    /// Patch rows to the residual stream, (B, T, C) f16, and sizes, (B, T) u32.
    fn embedding(&mut self, patchify: &PatchifyOp) -> (Span, Span) {
        let residual = self.residual();
        let sizes = self.token_buffer(size_of::<u32>());
        let embed = EmbedOp {
            batch: self.batch,
            rows: self.batch * patchify.shape.patches(),
            inputs: patchify.shape.row(),
            outputs: self.config.width,
            patches: patchify.patches,
            residual,
        };
        self.push(Step::Embed(ResetSizesOp { sizes }, embed));
        (residual, sizes)
    }

    /// One encoder layer that merges `r` tokens. Returns where residual stream and sizes are after it.
    fn layer(&mut self, layer: usize, r: usize, residual: Span, sizes: Span) -> (Span, Span) {
        use LinearEpilogue::{Gelu, Requantize, ResidualAdd};
        let (width, mlp) = (self.config.width, self.config.mlp_width);
        let norm1 = self.norm(layer, Norm::First, residual);
        self.push(Step::LayerNorm(norm1));
        let qkv = self.token_buffer(3 * width);
        self.linear(layer, Linear::Qkv, Requantize, norm1.output, qkv);
        let context = self.token_buffer(width);
        let attention = AttentionOp {
            layer,
            batch: self.batch,
            tokens: self.tokens,
            heads: self.config.heads,
            qkv,
            sizes: (self.merges > 0).then_some(sizes),
            context,
        };
        self.push(Step::Attention(attention));
        self.linear(layer, Linear::Projection, ResidualAdd, context, residual);
        let (norm2, residual, sizes) = self.norm2(layer, r, qkv, residual, sizes);
        // Beside its residual stream: query, key and value lie beyond when tokens merge, and later in their
        // place, in one piece, the hidden activations.
        self.buffers[norm2.offset].wish = self.buffers[residual.offset].wish;
        let hidden = self.token_buffer(mlp);
        self.linear(layer, Linear::Fc1, Gelu, norm2, hidden);
        self.linear(layer, Linear::Fc2, ResidualAdd, hidden, residual);
        (residual, sizes)
    }

    /// The second layer norm, behind merging if `r` is not 0. Returns its output, and where residual stream and
    /// sizes are after it.
    fn norm2(
        &mut self,
        layer: usize,
        r: usize,
        qkv: Span,
        residual: Span,
        sizes: Span,
    ) -> (Span, Span, Span) {
        if r == 0 {
            let norm = self.norm(layer, Norm::Second, residual);
            self.push(Step::LayerNorm(norm));
            return (norm.output, residual, sizes);
        }
        let merge = self.merge(layer, r, qkv, residual, sizes);
        let norm = self.norm(layer, Norm::Second, merge.merged_residual);
        self.push(Step::MergeNorm(merge, norm));
        (norm.output, merge.merged_residual, merge.merged_sizes)
    }

    fn norm(&mut self, layer: usize, norm: Norm, input: Span) -> LayerNormOp {
        LayerNormOp {
            layer,
            norm,
            rows: self.rows(),
            width: self.config.width,
            input,
            output: self.token_buffer(self.config.width),
        }
    }

    fn linear(
        &mut self,
        layer: usize,
        linear: Linear,
        epilogue: LinearEpilogue,
        input: Span,
        output: Span,
    ) {
        let (outputs, inputs) = linear.tensors().weight.shape(self.config);
        let op = LinearOp {
            layer,
            linear,
            epilogue,
            rows: self.rows(),
            inputs,
            outputs,
            input,
            output,
        };
        self.push(Step::Linear(op));
    }

    fn merge(&mut self, layer: usize, r: usize, qkv: Span, residual: Span, sizes: Span) -> MergeOp {
        let shape = Merge {
            batch: self.batch,
            tokens: self.tokens,
            width: self.config.width,
            merged: r,
            class_token: self.config.class_token,
        };
        self.tokens -= r;
        self.merges += 1;
        MergeOp {
            layer,
            shape,
            qkv,
            residual,
            sizes,
            merged_residual: self.residual(),
            merged_sizes: self.token_buffer(size_of::<u32>()),
        }
    }

    /// The residual stream to logits, (B, classes) f32.
    fn classifier(&mut self, residual: Span, sizes: Span) -> Span {
        let (batch, width, classes) = (self.batch, self.config.width, self.config.classes);
        let pooled = self.buffer(batch * width * size_of::<f16>());
        let (high, low) = (self.buffer(batch * width), self.buffer(batch * width));
        let logits = self.buffer(batch * classes * size_of::<f32>());
        let pool = PoolOp {
            shape: Pool {
                batch,
                tokens: self.tokens,
                width,
                class_token: self.config.class_token,
                pooling: match self.config.pooling {
                    Pooling::ClassToken => ops::Pooling::ClassToken,
                    Pooling::Mean => ops::Pooling::Mean,
                },
            },
            residual,
            sizes,
            pooled,
        };
        let norm = FinalNormOp {
            rows: batch,
            width,
            input: pooled,
            high,
            low,
        };
        let head = HeadOp {
            rows: batch,
            inputs: width,
            outputs: classes,
            high,
            low,
            logits,
        };
        self.push(Step::PoolNorm(pool, norm));
        self.push(Step::Head(head));
        logits
    }

    /// Places the buffers and puts their offsets into every span, those of `first`, the first step, too. `outputs`
    /// are read after the last step.
    ///
    /// Lifetimes count in steps: a backend that runs a step as one reads what its first operation needs while it
    /// writes what the last gives.
    fn resolve(
        mut self,
        first: &mut PatchifyOp,
        outputs: [&mut Span; 2],
    ) -> (heapless::Vec<Step, MAX_STEPS>, usize) {
        let buffers = &mut self.buffers;
        for (index, step) in self.steps.iter_mut().enumerate() {
            step.visit_spans(&mut |span, _| {
                let buffer = &mut buffers[span.offset];
                buffer.first = buffer.first.min(index);
                buffer.last = index;
            });
        }
        for output in &outputs {
            buffers[output.offset].last = self.steps.len();
        }
        let arena_len = place(buffers);
        for step in &mut self.steps {
            step.visit_spans(&mut |span, _| span.offset = buffers[span.offset].offset);
        }
        for span in outputs
            .into_iter()
            .chain([&mut first.pixels, &mut first.patches])
        {
            span.offset = buffers[span.offset].offset;
        }
        (self.steps, arena_len)
    }
}
