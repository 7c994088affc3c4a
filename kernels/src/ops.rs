//! The operations every backend implements, their shapes and their limits.
//!
//! Shapes are written `(rows, columns)`, row-major. `B` images a batch, `T` tokens an image of which the
//! first `P` are the prefix (class token, distillation token, registers), `C` channels (the width), `H`
//! heads of `D` channels, `A = H D` channels inside attention, `F` channels inside the MLP.

use crate::math::activation::Activation;
use half::f16;

/// The usual width of a head, which kernels are tuned for.
pub const HEAD_WIDTH: usize = 64;

/// Widths of a head that kernels take; models of other widths are padded with zero rows.
pub const HEAD_WIDTHS: [usize; 4] = [32, 64, 96, 128];

/// Most channels of a head.
pub const MAX_HEAD_WIDTH: usize = 128;

/// Most heads. Keeps the merge metric's norm, `128 * (32 * 127)^2`, inside an `i32`.
pub const MAX_HEADS: usize = 32;

/// Most patches of an image: 64 x 64.
pub const MAX_PATCHES: usize = 4096;

/// Most tokens before the patches.
pub const MAX_PREFIX: usize = 16;

/// Most tokens of an image. The `log2 size` table, the attention scratch space and the 16-bit token counts are
/// dimensioned by it; softmax sums, `255 * 4112`, stay exact in an f32.
pub const MAX_TOKENS: usize = MAX_PATCHES + MAX_PREFIX;

/// Most channels of a token, and of attention (32 heads of 128).
pub const MAX_WIDTH: usize = 4096;

/// Longest inner dimension of a linear layer, and longest row of a norm. Keeps `255 * 127 * K` inside an `i32` (it
/// would up to K = 66,000), and covers four times [`MAX_WIDTH`].
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

/// How the outputs of an activation become integers.
#[derive(Clone, Copy, Debug)]
pub struct Steps<'a> {
    /// (N) one over the quantization step of each column.
    pub inverse: &'a [f32],
    /// (N) the integer, as f32, that stands for zero in each column.
    pub zero_point: &'a [f32],
}

/// What happens to `y = fma(acc as f32, scale[n], bias[n])` of a linear layer's (M, N) sums.
#[derive(Debug)]
pub enum Epilogue<'a> {
    /// `sat8(y)`; scale and bias are in units of the output's quantization step.
    Requantize {
        /// (M, N)
        output: &'a mut [i8],
    },
    /// Queries and keys are rotated by their token's position, then everything is rounded as by
    /// [`Epilogue::Requantize`]. N = 3 A.
    Rotate {
        /// By how much.
        rotation: Rotation<'a>,
        /// (M, N)
        output: &'a mut [i8],
    },
    /// `sat8(fma(activation(y), inverse_step[n], zero_point[n]))`; scale and bias are in real units.
    Activate {
        /// The function.
        activation: &'a Activation,
        /// How its outputs become integers.
        steps: Steps<'a>,
        /// (M, N)
        output: &'a mut [i8],
    },
    /// `sat8(activation(y[2i]) * y[2i + 1])`: gates and values alternate. The gates' scale and bias are in real
    /// units, the values' in the output's steps.
    Gate {
        /// The function.
        activation: &'a Activation,
        /// (M, N / 2)
        output: &'a mut [i8],
    },
    /// `f16(activation(y[2i]) * y[2i + 1])`, where a norm follows.
    GateHalf {
        /// The function.
        activation: &'a Activation,
        /// (M, N / 2)
        output: &'a mut [f16],
    },
    /// `f16(y)`; scale and bias are in real units.
    Half {
        /// (M, N)
        output: &'a mut [f16],
    },
    /// `residual = f16(residual + y)`; scale and bias are in real units.
    ResidualAdd {
        /// (M, N), read and written.
        residual: &'a mut [f16],
    },
    /// Patch embedding: `f16(y + position)`, and the prefix's rows.
    Embed(Embed<'a>),
}

/// Rotary position embedding (Su et al., arXiv 2104.09864) of queries and keys.
///
/// Of each pair of neighbouring channels of a head, `(a, b)` becomes
/// `(fma(a, cos, -(b * sin)), fma(b, cos, a * sin))`.
#[derive(Clone, Copy, Debug)]
pub struct Rotation<'a> {
    /// (M, R, D): cosine and sine of each pair, alternating. R is 1 where all heads share them, else H.
    pub table: &'a [f32],
    /// H
    pub heads: usize,
    /// D
    pub head_width: usize,
    /// Whether all heads share one table.
    pub shared: bool,
}

/// Where the patch embedding's rows go. M is `batch * patches`.
#[derive(Debug)]
pub struct Embed<'a> {
    /// Images.
    pub batch: usize,
    /// P: rows of an image before its patches. `T = P + patches`.
    pub prefix: usize,
    /// (T, C) f32: the prefix's tokens with their positions, then the patches' positions.
    pub position: &'a [f32],
    /// (B, T, C)
    pub residual: &'a mut [f16],
}

/// How a norm centres and scales a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NormKind {
    /// Layer normalization (Ba et al., arXiv 1607.06450): by mean and standard deviation.
    Layer,
    /// Root mean square (Zhang and Sennrich, arXiv 1910.07467): no mean is taken off.
    Rms,
    /// Not at all: gain and bias alone.
    None,
}

/// Normalization of rows with everything that follows it folded into its affine.
#[derive(Clone, Copy, Debug)]
pub struct LayerNorm<'a> {
    /// What is normalized by.
    pub kind: NormKind,
    /// Channels that count, at most the row's length: those beyond are padding, whose gain and bias are 0.
    pub count: usize,
    /// (L) gamma, divided by the output's quantization step and smoothing factor.
    pub gain: &'a [f32],
    /// (L) beta, likewise.
    pub bias: &'a [f32],
    /// Added to the variance.
    pub epsilon: f32,
}

/// Shape and scales of one attention operation.
#[derive(Clone, Copy, Debug)]
pub struct Attention<'a> {
    /// Images.
    pub batch: usize,
    /// Tokens an image, T.
    pub tokens: usize,
    /// Queries an image, Q: those of its first tokens, of all unless the others' contexts are of no use. Of pooling, 1.
    pub queries: usize,
    /// H
    pub heads: usize,
    /// D, one of [`HEAD_WIDTHS`].
    pub head_width: usize,
    /// (H) from the integer score to log2 units: both scales, 1/sqrt(D) and log2 e.
    pub score_scale: &'a [f32],
    /// (H) from value units to the output's quantization step.
    pub context_scale: &'a [f32],
}

impl Attention<'_> {
    /// A: channels of all heads.
    pub const fn width(&self) -> usize {
        self.heads * self.head_width
    }
}

/// Shape of one token merging operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merge {
    /// Images.
    pub batch: usize,
    /// Tokens an image before merging.
    pub tokens: usize,
    /// Channels of the residual stream.
    pub width: usize,
    /// H
    pub heads: usize,
    /// D, one of [`HEAD_WIDTHS`].
    pub head_width: usize,
    /// Tokens that disappear, r: at least 1, at most [`Merge::limit`].
    pub merged: usize,
    /// P: first rows, which never merge and which nothing merges into.
    pub prefix: usize,
}

impl Merge {
    /// The most tokens that bipartite matching can take from `tokens`: half of the unprotected ones.
    pub const fn limit(tokens: usize, prefix: usize) -> usize {
        (tokens - prefix) / 2
    }

    /// Tokens of the set A, the even ones, protected ones included.
    pub const fn sources(&self) -> usize {
        self.tokens.div_ceil(2)
    }

    /// Tokens of the set B, the odd ones, protected ones included.
    pub const fn targets(&self) -> usize {
        self.tokens / 2
    }

    /// How many of the first sources are protected.
    pub const fn protected_sources(&self) -> usize {
        self.prefix.div_ceil(2)
    }

    /// How many of the first targets are protected.
    pub const fn protected_targets(&self) -> usize {
        self.prefix / 2
    }
}

/// Where the tokens of a batch lie in their images, in patches.
#[derive(Clone, Copy, Debug)]
pub enum Positions<'a> {
    /// Nobody asks.
    None,
    /// On the grid of patches, before any merging: token `P + i` is at row `i / side`, column `i % side`; the
    /// prefix is at (0, 0).
    Grid {
        /// Patches of a row.
        side: usize,
    },
    /// (B, T, 2): row, column.
    At(&'a [f32]),
}

impl Positions<'_> {
    /// (row, column) of token `token` of image `image`.
    pub fn of(&self, image: usize, token: usize, tokens: usize, prefix: usize) -> [f32; 2] {
        match *self {
            Self::None => [0.0; 2],
            Self::Grid { .. } if token < prefix => [0.0; 2],
            Self::Grid { side } => {
                let patch = token - prefix;
                [(patch / side) as f32, (patch % side) as f32]
            }
            Self::At(all) => {
                let at = 2 * (image * tokens + token);
                [all[at], all[at + 1]]
            }
        }
    }
}

/// What the table of a [`Rotation`] is made from.
#[derive(Clone, Copy, Debug)]
pub struct Rotary<'a> {
    /// Images.
    pub batch: usize,
    /// Tokens an image.
    pub tokens: usize,
    /// P: first rows, which are not rotated.
    pub prefix: usize,
    /// D
    pub head_width: usize,
    /// (R, D / 2, 3): turns a row of patches, turns a column, turns at (0, 0). R is 1 where all heads share them,
    /// else H.
    pub frequencies: &'a [f32],
}

/// How the tokens of an image become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pooling {
    /// The first rows, one behind the other.
    First(usize),
    /// The mean of the rows from `first` on, each weighted by the patches it stands for.
    Mean {
        /// Rows that are left out.
        first: usize,
    },
    /// Row 0, and behind it that mean.
    FirstAndMean {
        /// Rows that the mean leaves out.
        first: usize,
    },
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
    /// What is pooled.
    pub pooling: Pooling,
}

impl Pool {
    /// Channels of the pooled vector.
    pub const fn pooled_width(&self) -> usize {
        match self.pooling {
            Pooling::First(rows) => rows * self.width,
            Pooling::Mean { .. } => self.width,
            Pooling::FirstAndMean { .. } => 2 * self.width,
        }
    }
}

/// Shape of cutting images into patches.
#[derive(Clone, Copy, Debug)]
pub struct Patchify {
    /// Images.
    pub batch: usize,
    /// Side of the square image in pixels. Columns and rows beyond the last whole patch belong to none.
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

    /// Normalizes each row of `input` (M, L) and quantizes it: `output` (M, L).
    fn layer_norm(&mut self, norm: &LayerNorm<'_>, input: &[f16], output: &mut [i8]);

    /// Normalizes each row of `input` (M, L): `output` (M, L), in real units.
    fn layer_norm_half(&mut self, norm: &LayerNorm<'_>, input: &[f16], output: &mut [f16]);

    /// Normalizes each row of `input` (M, L) and quantizes it to 16 bits, written as two bytes:
    /// `q = 256 * high + low`, both (M, L).
    fn layer_norm_wide(
        &mut self,
        norm: &LayerNorm<'_>,
        input: &[f16],
        high: &mut [i8],
        low: &mut [i8],
    );

    /// Normalizes each row of `input` (M, L): `output` (M, L), not rounded any further.
    fn layer_norm_real(&mut self, norm: &LayerNorm<'_>, input: &[f16], output: &mut [f32]);

    /// Attention of the first tokens over all: `qkv` (B, T, 3A) i8; `sizes` (B, T) if tokens have merged; `context`
    /// (B, Q, A).
    fn attention(
        &mut self,
        shape: &Attention<'_>,
        qkv: &[i8],
        sizes: Option<&[u32]>,
        context: &mut [i8],
    );

    /// Attention of one constant query a head, `query` (A), over `key_value` (B, T, 2A): keys, then values.
    /// `sizes` (B, T) if tokens have merged; `context` (B, A).
    fn pool_attention(
        &mut self,
        shape: &Attention<'_>,
        query: &[i8],
        key_value: &[i8],
        sizes: Option<&[u32]>,
        context: &mut [i8],
    );

    /// Merges `merged` tokens of each image. The keys inside `qkv` (B, T, 3A) say which; `residual`
    /// (B, T, C), `sizes` (B, T) and positions become those of T - r tokens.
    fn merge(&mut self, shape: &Merge, tokens: MergeInput<'_>, output: MergeOutput<'_>);

    /// Cosines and sines of every token's position: `table` (B, T, R, D), for [`Epilogue::Rotate`].
    fn rotary(&mut self, shape: &Rotary<'_>, positions: Positions<'_>, table: &mut [f32]);

    /// `residual` (B, T, C) to `pooled` (B, [`Pool::pooled_width`]); `sizes` (B, T) weighs the mean.
    fn pool(&mut self, shape: &Pool, residual: &[f16], sizes: &[u32], pooled: &mut [f16]);

    /// The classifier on 16-bit activations `256 * high + low` (B, K): `logits` (B, N) f32,
    /// `fma(acc_high, 256 * scale, fma(acc_low, scale, bias))`.
    fn head(&mut self, high: &[i8], low: &[i8], weights: &LinearWeights<'_>, logits: &mut [f32]);
}

/// What token merging reads.
#[derive(Clone, Copy, Debug)]
pub struct MergeInput<'a> {
    /// (B, T, 3A) i8; the queries are the first A columns, the keys are columns A to 2A.
    pub qkv: &'a [i8],
    /// (B, T, C)
    pub residual: &'a [f16],
    /// (B, T)
    pub sizes: &'a [u32],
    /// (H) as in [`Attention`], where the attention of the class token, the first one, ranks sources too; without
    /// it their similarity alone does.
    pub score_scale: Option<&'a [f32]>,
    /// Where the tokens are, if their successors' positions are asked for.
    pub positions: Positions<'a>,
}

/// What token merging writes.
#[derive(Debug)]
pub struct MergeOutput<'a> {
    /// (B, T - r, C)
    pub residual: &'a mut [f16],
    /// (B, T - r)
    pub sizes: &'a mut [u32],
    /// (B, T - r, 2) row and column, where the model rotates by them.
    pub positions: Option<&'a mut [f32]>,
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
    /// Channels of a head.
    pub head_width: usize,
    /// Inner dimension of a linear layer, the patch embedding's included.
    pub inner: usize,
}

/// The sum of every weight row, (N): what [`LinearWeights::sums`] holds.
pub fn row_sums(data: &[i8], inputs: usize) -> impl Iterator<Item = i32> + '_ {
    data.chunks_exact(inputs)
        .map(|row| row.iter().map(|&w| i32::from(w)).sum())
}
