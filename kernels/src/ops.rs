//! The operations every backend implements, their shapes and their limits.
//!
//! Shapes are written `(rows, columns)`, row-major. `B` images a batch, `T` tokens an image, `C` channels
//! (the width), `H` heads, `D = C / H = 64` channels a head, `F` channels inside the MLP.

use half::f16;

/// Channels of one attention head. Every model this project runs uses 64; the kernels are built on it
/// (64 bytes of a head's row are one cache line, and one K-step of every matrix unit).
pub const HEAD_WIDTH: usize = 64;

/// Most tokens of an image: a class token and 32 x 32 patches. The `log2 size` table, the attention
/// scratch space and the 16-bit token counts are dimensioned by it.
pub const MAX_TOKENS: usize = 1025;

/// Most channels of a token (32 heads). Bounds the layer norm's row buffer, and keeps the merge metric's
/// norm, `64 * (32 * 127)^2`, inside an `i32`.
pub const MAX_WIDTH: usize = 2048;

/// Longest inner dimension of a linear layer. Keeps `255 * 127 * K` inside an `i32` (it would up to
/// K = 66,000), and covers four times [`MAX_WIDTH`].
pub const MAX_INNER: usize = 4 * MAX_WIDTH;

/// Most images of a batch. A discrete GPU is busy from about 32 images of ViT-B on; Orin, and processors,
/// from fewer.
pub const MAX_BATCH: usize = 32;

/// A row of weights, and of activations that meet weights, is a multiple of this many bytes.
pub const ROW_ALIGN: usize = 64;

/// Weights of a linear layer as every backend uses them, in place from the pack.
#[derive(Clone, Copy, Debug)]
pub struct LinearWeights<'a> {
    /// Output channels, N.
    pub outputs: usize,
    /// Inner dimension, K: a multiple of [`ROW_ALIGN`], at most [`MAX_INNER`].
    pub inputs: usize,
    /// (N, K) i8 in [-127, 127].
    pub data: &'a [i8],
    /// (N) factor from the i32 sum to the epilogue's unit.
    pub scale: &'a [f32],
    /// (N) added after scaling, in the epilogue's unit.
    pub bias: &'a [f32],
    /// (N) `sum over k of data[n][k]`, for instructions that take activations as unsigned bytes.
    pub sums: &'a [i32],
}

/// What happens to `y = fma(acc as f32, scale[n], bias[n])` of a linear layer's (M, N) sums.
#[derive(Debug)]
pub enum Epilogue<'a> {
    /// `sat8(y)`; scale and bias are in units of the output's quantization step.
    Requantize {
        /// (M, N)
        output: &'a mut [i8],
    },
    /// `sat8(fma(gelu(y), inverse_scale, zero_point))`; scale and bias are in real units.
    GeluRequantize {
        /// One over the output's quantization step.
        inverse_scale: f32,
        /// The integer, as f32, that stands for zero.
        zero_point: f32,
        /// (M, N)
        output: &'a mut [i8],
    },
    /// `residual = f16(residual + y)`; scale and bias are in real units.
    ResidualAdd {
        /// (M, N), read and written.
        residual: &'a mut [f16],
    },
    /// Patch embedding: `f16(y + position)`, and the class token's row where the model has one.
    Embed(Embed<'a>),
}

/// Where the patch embedding's rows go. M is `batch * patches`.
#[derive(Debug)]
pub struct Embed<'a> {
    /// Images.
    pub batch: usize,
    /// Whether row 0 of each image is a class token. Then `T = patches + 1`, else `T = patches`.
    pub class_token: bool,
    /// (T, C) f32; row 0 is class token plus its position where there is a class token.
    pub position: &'a [f32],
    /// (B, T, C)
    pub residual: &'a mut [f16],
}

/// Layer normalization with everything that follows it folded into its affine.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'a> {
    /// (C) gamma, divided by the output's quantization step and smoothing factor.
    pub gain: &'a [f32],
    /// (C) beta, likewise.
    pub bias: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

/// Shape and scales of one attention operation.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Images.
    pub batch: usize,
    /// Tokens an image.
    pub tokens: usize,
    /// Heads of [`HEAD_WIDTH`] channels.
    pub heads: usize,
    /// (H) from the integer score to log2 units: both scales, 1/sqrt(D) and log2 e.
    pub score_scale: &'a [f32],
    /// (H) from value units to the output's quantization step.
    pub context_scale: &'a [f32],
}

/// Shape of one token merging operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Images.
    pub batch: usize,
    /// Tokens an image before merging.
    pub tokens: usize,
    /// Channels.
    pub width: usize,
    /// Tokens that disappear, r: at least 1, at most [`Merge::limit`].
    pub merged: usize,
    /// Whether token 0 is a class token, which never merges.
    pub class_token: bool,
}

impl Merge {
    /// The most tokens that bipartite matching can take from `tokens`: half of the unprotected ones.
    pub const fn limit(tokens: usize, class_token: bool) -> usize {
        (tokens - class_token as usize) / 2
    }
}

/// How the tokens of an image become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// Row 0.
    ClassToken,
    /// The mean of all rows but the class token's, each weighted by the patches it stands for.
    Mean,
}

/// Shape of the pooling operation.
#[derive(Clone, Copy, Debug)]
pub struct Pool {
    /// Images.
    pub batch: usize,
    /// Tokens an image.
    pub tokens: usize,
    /// Channels.
    pub width: usize,
    /// Whether row 0 is a class token.
    pub class_token: bool,
    /// What is pooled.
    pub pooling: Pooling,
}

/// Shape of cutting images into patches.
#[derive(Clone, Copy, Debug)]
pub struct Patchify {
    /// Images.
    pub batch: usize,
    /// Side of the square image in pixels; a multiple of `patch_size`.
    pub image_size: usize,
    /// Side of the square patch in pixels.
    pub patch_size: usize,
}

impl Patchify {
    /// Patches an image.
    pub const fn patches(&self) -> usize {
        let side = self.image_size / self.patch_size;
        side * side
    }

    /// Bytes of one patch row: `3 p^2` rounded up to [`ROW_ALIGN`]; the rest is zero.
    pub const fn row(&self) -> usize {
        (3 * self.patch_size * self.patch_size).next_multiple_of(ROW_ALIGN)
    }
}

/// One implementation of every operation. All implementations give the same bits.
///
/// Slices must have exactly the sizes their comments give; an implementation panics on others, which is
/// a bug of the caller (the runtime derives all of them from one validated plan). Nothing allocates:
/// what scratch space an implementation needs, it reserved when it was made.
pub trait Kernels: Send {
    /// Short name: `reference`, `cpu/avx512-vnni`, ...
    fn name(&self) -> &'static str;

    /// Threads that an operation is spread over, the caller's included.
    fn threads(&self) -> usize;

    /// Cuts u8 RGB images into rows of i8 patches, `pixel - 128`, in (y, x, colour) order.
    /// `pixels` (B, S, S, 3), `patches` (B, N, [`Patchify::row`]).
    fn patchify(&mut self, shape: &Patchify, pixels: &[u8], patches: &mut [i8]);

    /// `input` (M, K) times the transpose of the weights (N, K), then the epilogue.
    fn linear(
        &mut self,
        rows: usize,
        input: &[i8],
        weights: &LinearWeights<'_>,
        epilogue: Epilogue<'_>,
    );

    /// Normalizes each row of `input` (M, C) and quantizes it: `output` (M, C).
    fn layer_norm(&mut self, norm: &LayerNorm<'_>, input: &[f16], output: &mut [i8]);

    /// Normalizes each row of `input` (M, C) and quantizes it to 16 bits, written as two bytes:
    /// `q = 256 * high + low`, both (M, C).
    fn layer_norm_wide(
        &mut self,
        norm: &LayerNorm<'_>,
        input: &[f16],
        high: &mut [i8],
        low: &mut [i8],
    );

    /// Attention over `qkv` (B, T, 3C) i8; `sizes` (B, T) if tokens have merged; `context` (B, T, C).
    fn attention(
        &mut self,
        shape: &Attention<'_>,
        qkv: &[i8],
        sizes: Option<&[u32]>,
        context: &mut [i8],
    );

    /// Merges `merged` tokens of each image. The keys inside `qkv` (B, T, 3C) say which; `residual`
    /// (B, T, C) and `sizes` (B, T) become `merged_residual` (B, T - r, C), `merged_sizes` (B, T - r).
    fn merge(&mut self, shape: &Merge, tokens: MergeInput<'_>, output: MergeOutput<'_>);

    /// `residual` (B, T, C) to `pooled` (B, C); `sizes` (B, T) weighs the mean.
    fn pool(&mut self, shape: &Pool, residual: &[f16], sizes: &[u32], pooled: &mut [f16]);

    /// The classifier on 16-bit activations `256 * high + low` (B, C): `logits` (B, N) f32,
    /// `fma(acc_high, 256 * scale, fma(acc_low, scale, bias))`.
    fn head(&mut self, high: &[i8], low: &[i8], weights: &LinearWeights<'_>, logits: &mut [f32]);
}

/// What token merging reads.
#[derive(Clone, Copy, Debug)]
pub struct MergeInput<'a> {
    /// (B, T, 3C) i8; the keys are columns C to 2C.
    pub qkv: &'a [i8],
    /// (B, T, C)
    pub residual: &'a [f16],
    /// (B, T)
    pub sizes: &'a [u32],
}

/// What token merging writes.
#[derive(Debug)]
pub struct MergeOutput<'a> {
    /// (B, T - r, C)
    pub residual: &'a mut [f16],
    /// (B, T - r)
    pub sizes: &'a mut [u32],
}

/// What an implementation must reserve space for: the largest of each over all plans it will run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// Images a batch.
    pub batch: usize,
    /// Tokens an image.
    pub tokens: usize,
    /// Channels of a token.
    pub width: usize,
    /// Inner dimension of a linear layer, the patch embedding's included.
    pub inner: usize,
}

/// The sum of every weight row, (N): what [`LinearWeights::sums`] holds.
pub fn row_sums(data: &[i8], inputs: usize) -> impl Iterator<Item = i32> + '_ {
    data.chunks_exact(inputs)
        .map(|row| row.iter().map(|&w| i32::from(w)).sum())
}
