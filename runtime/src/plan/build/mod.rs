//! From a configuration to a plan: patches and embedding here, then [`layer`]s, then the [`tail`].

mod layer;
mod tail;

use super::op::{
    EmbedOp, LayerNormOp, LinearEpilogue, LinearOp, NormOutput, PatchifyOp, ResetSizesOp,
    TokenPositions,
};
use super::place::{Buffer, Wish, place};
use super::span::Span;
use super::step::Step;
use super::{MAX_BUFFERS, MAX_STEPS, Plan};
use crate::config::{ModelConfig, Ranking, RotaryKind, Schedule};
use crate::pack::{Linear, Norm};
use half::f16;
use mergevit_kernels::ops::{Merge, Patchify};

/// Plans a valid model under a schedule that suits it.
pub(super) fn build(config: &ModelConfig, schedule: &Schedule, batch: usize) -> Plan {
    let merge = &schedule.merge;
    let mut builder = Builder {
        config,
        ranking: schedule.ranking,
        batch,
        tokens: config.tokens(),
        merges: 0,
        steps: heapless::Vec::new(),
        buffers: heapless::Vec::new(),
    };
    let mut patchify = builder.patchify();
    let mut stream = builder.embedding(&patchify);
    let mut tokens = heapless::Vec::new();
    for (layer, &r) in merge.iter().enumerate() {
        push(&mut tokens, builder.tokens as u16);
        let last = layer + 1 == merge.len();
        match config.pooled_prefix().filter(|_| last) {
            Some(pooled) => builder.last_layer(layer, pooled, &mut stream),
            None => {
                let r = usize::from(r).min(Merge::limit(builder.tokens, config.prefix));
                builder.layer(layer, r, &mut stream);
            }
        }
    }
    push(&mut tokens, stream.tokens as u16);
    let mut output = builder.tail(&stream);
    let mut sizes = stream.sizes;
    let (steps, arena_len) = builder.resolve(&mut patchify, [&mut output, &mut sizes]);
    Plan {
        steps,
        tokens,
        batch,
        arena_len,
        patchify,
        output,
        sizes,
    }
}

fn push<T: std::fmt::Debug, const N: usize>(list: &mut heapless::Vec<T, N>, item: T) {
    list.push(item)
        .expect("the limits on layers bound every list of a plan");
}

/// What goes from layer to layer.
struct Stream {
    /// (B, T, C) f16; from the last layer on, of the tokens that are pooled, if these are the first ones
    residual: Span,
    /// T
    tokens: usize,
    /// (B, T) u32
    sizes: Span,
    /// Where the tokens are, in models that rotate by it.
    positions: Option<TokenPositions>,
    /// (B, T, 1, D) f32, where all layers share it and it is of the tokens that are left.
    table: Option<Span>,
}

/// A plan in the making. Until [`resolve`](Self::resolve), a span's offset is the index of its buffer.
struct Builder<'a> {
    config: &'a ModelConfig,
    ranking: Ranking,
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

    /// Patch rows to what enters the first layer.
    fn embedding(&mut self, patchify: &PatchifyOp) -> Stream {
        let mut residual = match self.config.pre_norm {
            true => self.token_buffer(self.config.width * size_of::<f16>()),
            false => self.residual(),
        };
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
        if self.config.pre_norm {
            let normed = self.residual();
            residual = self.norm_into(None, Norm::Pre, NormOutput::Half, residual, normed);
        }
        let side = self.config.side();
        Stream {
            residual,
            tokens: self.tokens,
            sizes,
            positions: (self.config.rotary != RotaryKind::None)
                .then_some(TokenPositions::Grid { side }),
            table: None,
        }
    }

    /// A norm of as many rows as there are tokens, to 8 bits.
    fn norm(&mut self, layer: Option<usize>, norm: Norm, input: Span) -> Span {
        let (width, _) = norm.widths(self.config);
        let output = self.token_buffer(width);
        self.norm_into(layer, norm, NormOutput::Quantized, input, output)
    }

    /// A norm; returns `output`.
    fn norm_into(
        &mut self,
        layer: Option<usize>,
        norm: Norm,
        writes: NormOutput,
        input: Span,
        output: Span,
    ) -> Span {
        let (width, _) = norm.widths(self.config);
        let op = LayerNormOp {
            layer,
            norm,
            writes,
            rows: self.rows(),
            width,
            input,
            output,
        };
        self.push(Step::LayerNorm(op));
        output
    }

    /// A linear layer; returns `output`.
    fn linear(
        &mut self,
        layer: Option<usize>,
        linear: Linear,
        epilogue: LinearEpilogue,
        input: Span,
        output: Span,
    ) -> Span {
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
        output
    }

    /// Sizes as attention takes them: only once they are not all 1.
    fn merged_sizes(&self, sizes: Span) -> Option<Span> {
        (self.merges > 0).then_some(sizes)
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
