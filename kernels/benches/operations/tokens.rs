//! Operations on pixels and tokens: patches, norms, positions, attention, merging, pooling.

use super::Random;
use super::operation::Operation;
use super::suite::{Measured, Work};
use bytemuck::cast_slice_mut;
use half::f16;
use mergevit_kernels::Kernels;
use mergevit_kernels::ops::{
    self, HEAD_WIDTH, LayerNorm, Merge, MergeInput, MergeOutput, NormKind, Pool, Pooling, Positions,
};

/// Bytes of a slice's elements.
fn bytes<T>(slice: &[T]) -> u64 {
    size_of_val(slice) as u64
}

/// Patches that each of `count` tokens stands for, as after some layers of merging.
fn sizes(random: &mut Random, count: usize) -> Vec<u32> {
    (0..count).map(|_| 1 + random.below(8) as u32).collect()
}

/// One image cut into patches.
pub(crate) struct Patchify {
    shape: ops::Patchify,
    pixels: Vec<u8>,
    patches: Vec<i8>,
}

impl Patchify {
    pub(crate) fn new(random: &mut Random, image_size: usize, patch_size: usize) -> Self {
        let shape = ops::Patchify {
            batch: 1,
            image_size,
            patch_size,
        };
        let pixels = 3 * image_size * image_size;
        Self {
            pixels: (0..pixels).map(|_| random.bits() as u8).collect(),
            patches: vec![0; shape.patches() * shape.row()],
            shape,
        }
    }
}

impl Measured for Patchify {
    fn work(&self) -> Work {
        Work {
            macs: 0,
            bytes: bytes(&self.pixels) + bytes(&self.patches),
        }
    }

    fn results(&mut self) -> Vec<&mut [u8]> {
        vec![cast_slice_mut(&mut self.patches)]
    }
}

impl Operation for Patchify {
    fn run(&mut self, kernels: &mut dyn Kernels) {
        kernels.patchify(&self.shape, &self.pixels, &mut self.patches);
    }
}

/// A norm to 8 bits, or to 16.
pub(crate) struct Norm {
    kind: NormKind,
    gain: Vec<f32>,
    bias: Vec<f32>,
    input: Vec<f16>,
    /// High bytes, or all there is.
    high: Vec<i8>,
    low: Option<Vec<i8>>,
}

impl Norm {
    /// To 8 bits; `shape` is (M, C).
    pub(crate) fn new(random: &mut Random, shape: [usize; 2]) -> Self {
        Self::with_gain(random, shape, 40.0)
    }

    /// To 16 bits; `shape` is (M, C).
    pub(crate) fn wide(random: &mut Random, shape: [usize; 2]) -> Self {
        let low = Some(vec![0; shape[0] * shape[1]]);
        let norm = Self::with_gain(random, shape, 8000.0);
        Self { low, ..norm }
    }

    /// By the root mean square, to 8 bits; `shape` is (M, C).
    pub(crate) fn rms(random: &mut Random, shape: [usize; 2]) -> Self {
        let kind = NormKind::Rms;
        let norm = Self::with_gain(random, shape, 40.0);
        Self { kind, ..norm }
    }

    fn with_gain(random: &mut Random, [rows, width]: [usize; 2], gain: f32) -> Self {
        Self {
            kind: NormKind::Layer,
            gain: random.f32s(width, gain),
            bias: random.f32s(width, 20.0),
            input: random.f16s(rows * width, 1.0),
            high: vec![0; rows * width],
            low: None,
        }
    }
}

impl Measured for Norm {
    fn work(&self) -> Work {
        let low = self.low.as_deref().map_or(0, bytes);
        let affine = bytes(&self.gain) + bytes(&self.bias);
        Work {
            macs: 0,
            bytes: affine + bytes(&self.input) + bytes(&self.high) + low,
        }
    }

    fn results(&mut self) -> Vec<&mut [u8]> {
        let parts = [Some(&mut self.high), self.low.as_mut()];
        let parts = parts.into_iter().flatten();
        parts.map(|part| cast_slice_mut(part)).collect()
    }
}

impl Operation for Norm {
    fn run(&mut self, kernels: &mut dyn Kernels) {
        let norm = LayerNorm {
            kind: self.kind,
            count: self.gain.len(),
            gain: &self.gain,
            bias: &self.bias,
            epsilon: 1e-6,
        };
        match &mut self.low {
            None => kernels.layer_norm(&norm, &self.input, &mut self.high),
            Some(low) => kernels.layer_norm_wide(&norm, &self.input, &mut self.high, low),
        }
    }
}

/// Attention of one image.
pub(crate) struct Attention {
    tokens: usize,
    score_scale: Vec<f32>,
    context_scale: Vec<f32>,
    qkv: Vec<i8>,
    sizes: Option<Vec<u32>>,
    context: Vec<i8>,
}

impl Attention {
    /// `merged` says whether tokens stand for different numbers of patches.
    pub(crate) fn new(random: &mut Random, tokens: usize, heads: usize, merged: bool) -> Self {
        let width = heads * HEAD_WIDTH;
        Self {
            tokens,
            score_scale: random.f32s(heads, 3e-4),
            context_scale: (0..heads).map(|_| 1.5 + random.unit()).collect(),
            qkv: random.i8s(tokens * 3 * width, false),
            sizes: merged.then(|| sizes(random, tokens)),
            context: vec![0; tokens * width],
        }
    }
}

impl Measured for Attention {
    fn work(&self) -> Work {
        let heads = self.score_scale.len();
        let scales = bytes(&self.score_scale) + bytes(&self.context_scale);
        let sizes = self.sizes.as_deref().map_or(0, bytes);
        Work {
            // Scores, then the weighted sum of values.
            macs: (2 * heads * self.tokens * self.tokens * HEAD_WIDTH) as u64,
            bytes: scales + sizes + bytes(&self.qkv) + bytes(&self.context),
        }
    }

    fn results(&mut self) -> Vec<&mut [u8]> {
        vec![cast_slice_mut(&mut self.context)]
    }
}

impl Operation for Attention {
    fn run(&mut self, kernels: &mut dyn Kernels) {
        let shape = ops::Attention {
            batch: 1,
            tokens: self.tokens,
            queries: self.tokens,
            heads: self.score_scale.len(),
            head_width: HEAD_WIDTH,
            score_scale: &self.score_scale,
            context_scale: &self.context_scale,
        };
        let sizes = self.sizes.as_deref();
        kernels.attention(&shape, &self.qkv, sizes, &mut self.context);
    }
}

/// Attention of one constant query a head over one image.
pub(crate) struct PoolAttention {
    tokens: usize,
    score_scale: Vec<f32>,
    context_scale: Vec<f32>,
    query: Vec<i8>,
    key_value: Vec<i8>,
    context: Vec<i8>,
}

impl PoolAttention {
    pub(crate) fn new(random: &mut Random, tokens: usize, heads: usize) -> Self {
        let width = heads * HEAD_WIDTH;
        Self {
            tokens,
            score_scale: random.f32s(heads, 3e-4),
            context_scale: (0..heads).map(|_| 1.5 + random.unit()).collect(),
            query: random.i8s(width, false),
            key_value: random.i8s(tokens * 2 * width, false),
            context: vec![0; width],
        }
    }
}

impl Measured for PoolAttention {
    fn work(&self) -> Work {
        let scales = bytes(&self.score_scale) + bytes(&self.context_scale);
        let operands = scales + bytes(&self.query) + bytes(&self.key_value);
        Work {
            macs: 0,
            bytes: operands + bytes(&self.context),
        }
    }

    fn results(&mut self) -> Vec<&mut [u8]> {
        vec![cast_slice_mut(&mut self.context)]
    }
}

impl Operation for PoolAttention {
    fn run(&mut self, kernels: &mut dyn Kernels) {
        let shape = ops::Attention {
            batch: 1,
            tokens: self.tokens,
            queries: 1,
            heads: self.score_scale.len(),
            head_width: HEAD_WIDTH,
            score_scale: &self.score_scale,
            context_scale: &self.context_scale,
        };
        let (query, key_value) = (&self.query, &self.key_value);
        kernels.pool_attention(&shape, query, key_value, None, &mut self.context);
    }
}

/// Cosines and sines of one image's tokens, on the grid of patches behind a class token.
pub(crate) struct Rotary {
    tokens: usize,
    head_width: usize,
    frequencies: Vec<f32>,
    table: Vec<f32>,
}

impl Rotary {
    pub(crate) fn new(random: &mut Random, tokens: usize, head_width: usize) -> Self {
        Self {
            tokens,
            head_width,
            frequencies: random.f32s(head_width / 2 * 3, 0.2),
            table: vec![0.0; tokens * head_width],
        }
    }
}

impl Measured for Rotary {
    fn work(&self) -> Work {
        Work {
            macs: 0,
            bytes: bytes(&self.frequencies) + bytes(&self.table),
        }
    }

    fn results(&mut self) -> Vec<&mut [u8]> {
        vec![cast_slice_mut(&mut self.table)]
    }
}

impl Operation for Rotary {
    fn run(&mut self, kernels: &mut dyn Kernels) {
        let shape = ops::Rotary {
            batch: 1,
            tokens: self.tokens,
            prefix: 1,
            head_width: self.head_width,
            frequencies: &self.frequencies,
        };
        let side = (self.tokens - 1).isqrt();
        kernels.rotary(&shape, Positions::Grid { side }, &mut self.table);
    }
}

/// Merging some tokens of one image.
pub(crate) struct Merging {
    shape: Merge,
    qkv: Vec<i8>,
    residual: Vec<f16>,
    sizes: Vec<u32>,
    score_scale: Option<Vec<f32>>,
    merged_residual: Vec<f16>,
    merged_sizes: Vec<u32>,
}

impl Merging {
    pub(crate) fn new(random: &mut Random, shape: Merge, by_class: bool) -> Self {
        let kept = shape.tokens - shape.merged;
        Self {
            qkv: random.i8s(shape.tokens * 3 * shape.width, false),
            residual: random.f16s(shape.tokens * shape.width, 1.0),
            sizes: sizes(random, shape.tokens),
            score_scale: by_class.then(|| vec![1e-4; shape.heads]),
            merged_residual: vec![f16::ZERO; kept * shape.width],
            merged_sizes: vec![0; kept],
            shape,
        }
    }
}

impl Measured for Merging {
    fn work(&self) -> Work {
        // Of qkv only the keys are read.
        let input = bytes(&self.qkv) / 3 + bytes(&self.residual) + bytes(&self.sizes);
        Work {
            // The dot products of matching are few; what moves is what counts.
            macs: 0,
            bytes: input + bytes(&self.merged_residual) + bytes(&self.merged_sizes),
        }
    }

    fn results(&mut self) -> Vec<&mut [u8]> {
        vec![
            cast_slice_mut(&mut self.merged_residual),
            cast_slice_mut(&mut self.merged_sizes),
        ]
    }
}

impl Operation for Merging {
    fn run(&mut self, kernels: &mut dyn Kernels) {
        let input = MergeInput {
            qkv: &self.qkv,
            residual: &self.residual,
            sizes: &self.sizes,
            score_scale: self.score_scale.as_deref(),
            positions: Positions::None,
        };
        let output = MergeOutput {
            residual: &mut self.merged_residual,
            sizes: &mut self.merged_sizes,
            positions: None,
        };
        kernels.merge(&self.shape, input, output);
    }
}

/// The tokens of one image to one vector.
pub(crate) struct Pooled {
    shape: Pool,
    residual: Vec<f16>,
    sizes: Vec<u32>,
    pooled: Vec<f16>,
}

impl Pooled {
    /// `shape` is (T, C).
    pub(crate) fn new(random: &mut Random, shape: [usize; 2], pooling: Pooling) -> Self {
        let [tokens, width] = shape;
        Self {
            shape: Pool {
                batch: 1,
                tokens,
                width,
                pooling,
            },
            residual: random.f16s(tokens * width, 1.0),
            sizes: sizes(random, tokens),
            pooled: vec![f16::ZERO; width],
        }
    }
}

impl Measured for Pooled {
    fn work(&self) -> Work {
        let read = match self.shape.pooling {
            Pooling::First(_) => bytes(&self.pooled),
            Pooling::Mean { .. } | Pooling::FirstAndMean { .. } => {
                bytes(&self.residual) + bytes(&self.sizes)
            }
        };
        Work {
            macs: 0,
            bytes: read + bytes(&self.pooled),
        }
    }

    fn results(&mut self) -> Vec<&mut [u8]> {
        vec![cast_slice_mut(&mut self.pooled)]
    }
}

impl Operation for Pooled {
    fn run(&mut self, kernels: &mut dyn Kernels) {
        kernels.pool(&self.shape, &self.residual, &self.sizes, &mut self.pooled);
    }
}
