//! From a configuration to a plan.

use super::op::{Linear, Norm, Op, OpKind, Span};
use super::place::{Buffer, Wish, place};
use super::{MAX_BUFFERS, MAX_OPS, Plan};
use crate::config::{ModelConfig, Pooling};
use half::f16;
use mergevit_kernels::ops::{self, Merge, Patchify, Pool};

/// Plans a valid model. `merge` has one entry a layer.
pub(super) fn build(config: &ModelConfig, merge: &[u16], batch: usize) -> Plan {
    let mut builder = Builder {
        config,
        batch,
        tokens: config.tokens(),
        merges: 0,
        ops: heapless::Vec::new(),
        buffers: heapless::Vec::new(),
    };
    let pixels = builder.buffer(batch * config.image_bytes());
    let (mut residual, mut sizes) = builder.embedding(pixels);
    let mut tokens = heapless::Vec::new();
    for (layer, &r) in merge.iter().enumerate() {
        push(&mut tokens, builder.tokens as u16);
        let r = usize::from(r).min(Merge::limit(builder.tokens, config.class_token));
        (residual, sizes) = builder.layer(layer, r, residual, sizes);
    }
    push(&mut tokens, builder.tokens as u16);
    let logits = builder.classifier(residual, sizes);
    let (mut pixels, mut logits, mut sizes) = (pixels, logits, sizes);
    let (ops, arena_len) = builder.resolve(&mut pixels, [&mut logits, &mut sizes]);
    Plan {
        ops,
        tokens,
        batch,
        arena_len,
        pixels,
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
    ops: heapless::Vec<Op, MAX_OPS>,
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

    fn push(&mut self, layer: Option<usize>, kind: OpKind) {
        push(&mut self.ops, Op { layer, kind });
    }

    /// Pixels to the residual stream, (B, T, C) f16, and sizes, (B, T) u32.
    fn embedding(&mut self, pixels: Span) -> (Span, Span) {
        let shape = Patchify {
            batch: self.batch,
            image_size: self.config.image_size,
            patch_size: self.config.patch_size,
        };
        let rows = self.batch * shape.patches();
        let patches = self.buffer(rows * shape.row());
        let residual = self.residual();
        let sizes = self.token_buffer(size_of::<u32>());
        let patchify = OpKind::Patchify {
            shape,
            pixels,
            patches,
        };
        let embed = OpKind::Linear {
            linear: Linear::Patch,
            rows,
            inputs: shape.row(),
            outputs: self.config.width,
            input: patches,
            output: residual,
        };
        self.push(None, patchify);
        self.push(None, OpKind::ResetSizes { sizes });
        self.push(None, embed);
        (residual, sizes)
    }

    /// One encoder layer that merges `r` tokens. Returns where residual stream and sizes are after it.
    fn layer(&mut self, layer: usize, r: usize, residual: Span, sizes: Span) -> (Span, Span) {
        let (width, mlp) = (self.config.width, self.config.mlp_width);
        let normed = self.norm(layer, Norm::First, residual);
        let qkv = self.token_buffer(3 * width);
        self.linear(layer, Linear::Qkv, (width, 3 * width), normed, qkv);
        let context = self.token_buffer(width);
        let attention = OpKind::Attention {
            batch: self.batch,
            tokens: self.tokens,
            heads: self.config.heads,
            qkv,
            sizes: (self.merges > 0).then_some(sizes),
            context,
        };
        self.push(Some(layer), attention);
        let projection = Linear::Projection;
        self.linear(layer, projection, (width, width), context, residual);
        let (residual, sizes) = match r {
            0 => (residual, sizes),
            _ => self.merge(layer, r, qkv, residual, sizes),
        };
        let normed = self.norm(layer, Norm::Second, residual);
        // Beside its residual stream: query, key and value lie beyond when tokens merge, and later in their
        // place, in one piece, the hidden activations.
        self.buffers[normed.offset].wish = self.buffers[residual.offset].wish;
        let hidden = self.token_buffer(mlp);
        self.linear(layer, Linear::Fc1, (width, mlp), normed, hidden);
        self.linear(layer, Linear::Fc2, (mlp, width), hidden, residual);
        (residual, sizes)
    }

    fn norm(&mut self, layer: usize, norm: Norm, input: Span) -> Span {
        let output = self.token_buffer(self.config.width);
        let op = OpKind::LayerNorm {
            norm,
            rows: self.rows(),
            width: self.config.width,
            input,
            output,
        };
        self.push(Some(layer), op);
        output
    }

    fn linear(
        &mut self,
        layer: usize,
        linear: Linear,
        (inputs, outputs): (usize, usize),
        input: Span,
        output: Span,
    ) {
        let op = OpKind::Linear {
            linear,
            rows: self.rows(),
            inputs,
            outputs,
            input,
            output,
        };
        self.push(Some(layer), op);
    }

    fn merge(
        &mut self,
        layer: usize,
        r: usize,
        qkv: Span,
        residual: Span,
        sizes: Span,
    ) -> (Span, Span) {
        let shape = Merge {
            batch: self.batch,
            tokens: self.tokens,
            width: self.config.width,
            merged: r,
            class_token: self.config.class_token,
        };
        self.tokens -= r;
        self.merges += 1;
        let merged_residual = self.residual();
        let merged_sizes = self.token_buffer(size_of::<u32>());
        let op = OpKind::Merge {
            shape,
            qkv,
            residual,
            sizes,
            merged_residual,
            merged_sizes,
        };
        self.push(Some(layer), op);
        (merged_residual, merged_sizes)
    }

    /// The residual stream to logits, (B, classes) f32.
    fn classifier(&mut self, residual: Span, sizes: Span) -> Span {
        let (batch, width, classes) = (self.batch, self.config.width, self.config.classes);
        let pooled = self.buffer(batch * width * size_of::<f16>());
        let (high, low) = (self.buffer(batch * width), self.buffer(batch * width));
        let logits = self.buffer(batch * classes * size_of::<f32>());
        let pool = OpKind::Pool {
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
        let norm = OpKind::LayerNormWide {
            rows: batch,
            width,
            input: pooled,
            high,
            low,
        };
        let head = OpKind::Head {
            rows: batch,
            inputs: width,
            outputs: classes,
            high,
            low,
            logits,
        };
        self.push(None, pool);
        self.push(None, norm);
        self.push(None, head);
        logits
    }

    /// Places the buffers and puts their offsets into every span. `input` is filled before the first
    /// operation; `outputs` are read after the last.
    ///
    /// Lifetimes count in steps, which are groups of operations that a backend may run as one: it then reads
    /// what the first needs while it writes what the last gives, so all their buffers are alive together.
    fn resolve(
        mut self,
        input: &mut Span,
        outputs: [&mut Span; 2],
    ) -> (heapless::Vec<Op, MAX_OPS>, usize) {
        let buffers = &mut self.buffers;
        let groups = self.ops.chunk_by_mut(|op, next| op.fuses_with(next));
        for (step, op) in groups
            .enumerate()
            .flat_map(|(step, group)| group.iter_mut().map(move |op| (step, op)))
        {
            op.visit_spans(|span, _| {
                let buffer = &mut buffers[span.offset];
                buffer.first = buffer.first.min(step);
                buffer.last = step;
            });
        }
        for output in &outputs {
            buffers[output.offset].last = self.ops.len();
        }
        let arena_len = place(buffers);
        for op in &mut self.ops {
            op.visit_spans(|span, _| span.offset = buffers[span.offset].offset);
        }
        for span in outputs.into_iter().chain([input]) {
            span.offset = buffers[span.offset].offset;
        }
        (self.ops, arena_len)
    }
}
