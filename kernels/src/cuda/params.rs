//! The kernels' parameters, field for field the structs of `kernels/cuda`.

use super::Address;
use bytemuck::{Pod, Zeroable};

/// A kernel's one parameter.
pub trait Params: Pod {}

macro_rules! params {
    ($(#[$meta:meta] $name:ident { $($(#[$doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        #[$meta]
        #[derive(Clone, Copy, Debug, Default, Pod, Zeroable)]
        #[repr(C)]
        pub struct $name {
            $($(#[$doc])* pub $field: $type,)*
        }
        impl Params for $name {}
    )*};
}

params! {
    /// `gemm.cuh`
    GemmParams {
        /// (M, K) i8
        input: Address,
        /// (N, K) i8
        weights: Address,
        /// (N) f32
        scale: Address,
        /// (N) f32
        bias: Address,
        /// (M, N) i8, or the residual stream, f16
        output: Address,
        /// Embedding: (T, N) f32
        position: Address,
        /// Embedding: (B, T) u32, set to 1
        sizes: Address,
        /// More than one part: (tiles, parts, BM x BN) i32
        partial: Address,
        /// More than one part: (tiles) u32, zero before and after
        arrived: Address,
        /// M
        rows: u32,
        /// N
        outputs: u32,
        /// K
        inputs: u32,
        /// GELU: one over the output's quantization step
        inverse_scale: f32,
        /// GELU: the integer that stands for zero
        zero_point: f32,
        /// Embedding: B
        batch: u32,
        /// Embedding: rows of an image
        patches: u32,
        /// Embedding: 1 if row 0 of an image is a class token, else 0
        class_token: u32,
    }

    /// `layer_norm.cu`
    LayerNormParams {
        /// (M, C) f16
        input: Address,
        /// (C) f32
        gain: Address,
        /// (C) f32
        bias: Address,
        /// (M, C) i8
        output: Address,
        /// M
        rows: u32,
        /// C
        width: u32,
        /// Added to the variance
        epsilon: f32,
        /// Nothing
        padding: u32,
    }

    /// `attention.cu`
    AttentionParams {
        /// (B, T, 3C) i8
        qkv: Address,
        /// (B, T) u32, or null if every token stands for itself
        sizes: Address,
        /// (MAX_TOKENS + 1) f32
        log2_size: Address,
        /// (H) f32
        score_scale: Address,
        /// (H) f32
        context_scale: Address,
        /// (B, T, C) i8
        context: Address,
        /// T
        tokens: u32,
        /// H
        heads: u32,
    }

    /// `merge_match.cu`
    MergeMatchParams {
        /// (B, T, 3C) i8
        qkv: Address,
        /// (B, ceil(T / 2)) f32
        similarity: Address,
        /// (B, ceil(T / 2)) u32: the B token that an A token merges into, `u32::MAX` if it stays
        partner: Address,
        /// (B) u32, zero before and after
        arrived: Address,
        /// T
        tokens: u32,
        /// C
        width: u32,
        /// r
        merged: u32,
        /// 1 if token 0 is a class token, else 0
        class_token: u32,
    }

    /// `merge_norm.cu`
    MergeNormParams {
        /// (B, ceil(T / 2)) u32, as `merge_match` leaves it
        partner: Address,
        /// (B, T, C) f16
        residual: Address,
        /// (B, T) u32
        sizes: Address,
        /// (B, T - r, C) f16
        merged_residual: Address,
        /// (B, T - r) u32
        merged_sizes: Address,
        /// (C) f32
        gain: Address,
        /// (C) f32
        bias: Address,
        /// (B, T - r, C) i8
        normed: Address,
        /// T
        tokens: u32,
        /// C
        width: u32,
        /// r
        merged: u32,
        /// Added to the variance
        epsilon: f32,
    }

    /// `pool_norm.cu`
    PoolNormParams {
        /// (B, T, C) f16
        residual: Address,
        /// (B, T) u32
        sizes: Address,
        /// (C) f32
        gain: Address,
        /// (C) f32
        bias: Address,
        /// (B, C) f16
        pooled: Address,
        /// (B, C) i8
        high: Address,
        /// (B, C) i8
        low: Address,
        /// T
        tokens: u32,
        /// C
        width: u32,
        /// 1 if token 0 is a class token, else 0
        class_token: u32,
        /// 1 for the mean, 0 for row 0
        mean: u32,
        /// Added to the variance
        epsilon: f32,
        /// Nothing
        padding: u32,
    }

    /// `head.cu`
    HeadParams {
        /// (B, K) i8
        high: Address,
        /// (B, K) i8
        low: Address,
        /// (N, K) i8
        weights: Address,
        /// (N) f32
        scale: Address,
        /// (N) f32
        bias: Address,
        /// (B, N) f32
        logits: Address,
        /// B
        batch: u32,
        /// N: classes
        classes: u32,
        /// K
        inputs: u32,
        /// Nothing
        padding: u32,
    }

    /// `top_classes.cu`
    TopParams {
        /// (B, N) f32
        logits: Address,
        /// (B, T) u32
        sizes: Address,
        /// (B, K) pairs of class (u32) and logit (f32), best first; class `u32::MAX` where classes run out
        top: Address,
        /// (B, N) f32: a copy of the logits
        host_logits: Address,
        /// (B, T) u32: a copy of the sizes
        host_sizes: Address,
        /// N
        classes: u32,
        /// T
        tokens: u32,
        /// K
        count: u32,
        /// Nothing
        padding: u32,
    }

    /// `patchify.cu`
    PatchifyParams {
        /// (B, S, S, 3) u8
        pixels: Address,
        /// (B, patches, row) i8
        patches: Address,
        /// S: side of an image in pixels
        image_size: u32,
        /// Side of a patch in pixels
        patch_size: u32,
        /// Bytes of a patch row
        row: u32,
        /// Nothing
        padding: u32,
    }

    /// `resample_columns` of `preprocess.cu`
    ResampleColumnsParams {
        /// The frame's planes, without padding, u8
        frame: Address,
        /// (W) u32: first source column, a multiple of 4
        starts: Address,
        /// (W / 32 rounded up, groups, 3, 32): low, middle and high bytes, signed, of four coefficients with 22
        /// fractional bits
        coefficients: Address,
        /// (R, W, 3) u8
        out: Address,
        /// Bytes of a row of the first plane
        stride: u32,
        /// Where the first chroma plane starts, in bytes
        chroma: u32,
        /// Bytes of a chroma row
        chroma_stride: u32,
        /// Bytes from the first chroma plane to the second
        second_chroma: u32,
        /// First source row, even
        first_row: u32,
        /// R
        rows: u32,
        /// First source column that is read, a multiple of 4
        first_column: u32,
        /// Source columns that are read, a multiple of 4
        pixels: u32,
        /// W
        columns: u32,
        /// Fours of coefficients of a window
        groups: u32,
        /// Index of the pixel format
        format: u32,
        /// Six coefficients of the colour space with 13 fractional bits, the first an offset
        color: [i32; 6],
        /// Nothing
        padding: u32,
    }

    /// `resample_rows` of `preprocess.cu`
    ResampleRowsParams {
        /// (R, W, 3) u8
        rows: Address,
        /// (kept, 2) u32: first source row, number of rows
        windows: Address,
        /// (kept, taps) i32
        coefficients: Address,
        /// Pixels (height, width, 3) u8, or patches (patches, row bytes) i8
        out: Address,
        /// Source row that `rows` starts with
        first_row: u32,
        /// W
        columns: u32,
        /// Black columns before them
        left: u32,
        /// Output rows that are not black
        kept: u32,
        /// Black rows before them
        top: u32,
        /// Coefficients of a window
        taps: u32,
        /// Output pixels of a row
        width: u32,
        /// Side of a patch, 0 for pixels
        patch_size: u32,
        /// Bytes of a patch
        row_bytes: u32,
        /// Nothing
        padding: u32,
    }
}
