//! What every operation means, in scalar code: the judge of all other implementations.
//!
//! Written for reading, one operation a file; no cleverness, and no speed beyond what the compiler gives.

mod attention;
mod class_share;
mod layer_norm;
mod linear;
mod merge;
mod patchify;
mod pool;
mod rotary;

pub use attention::{attention, pool_attention};
pub(crate) use layer_norm::WIDE_MAX;
pub use layer_norm::{layer_norm, layer_norm_half, layer_norm_real, layer_norm_wide, tree_sum};
pub use linear::{head, linear};
pub use merge::{MatchInput, Matching, destinations, match_tokens, merge};
pub use patchify::patchify;
pub use pool::pool;
pub use rotary::rotary;

use crate::math::log2_table;
use crate::ops::{
    Attention, Epilogue, Kernels, LayerNorm, LinearWeights, Merge, MergeInput, MergeOutput,
    Patchify, Pool, Positions, Rotary,
};
use half::f16;

/// The scalar backend.
#[derive(Debug)]
pub struct Reference {
    log2_size: Box<[f32]>,
    matching: Matching,
    scores: Box<[f32]>,
}

impl Default for Reference {
    fn default() -> Self {
        Self::new()
    }
}

impl Reference {
    /// Reserves the scratch space of the largest model.
    pub fn new() -> Self {
        Self {
            log2_size: log2_table(),
            matching: Matching::new(),
            scores: vec![0.0; crate::ops::MAX_TOKENS].into(),
        }
    }
}

impl Kernels for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn threads(&self) -> usize {
        1
    }

    fn patchify(&mut self, shape: &Patchify, pixels: &[u8], patches: &mut [i8]) {
        patchify(shape, pixels, patches);
    }

    fn linear(
        &mut self,
        rows: usize,
        input: &[i8],
        weights: &LinearWeights<'_>,
        epilogue: Epilogue<'_>,
    ) {
        linear(rows, input, weights, epilogue);
    }

    fn layer_norm(&mut self, norm: &LayerNorm<'_>, input: &[f16], output: &mut [i8]) {
        layer_norm(norm, input, output);
    }

    fn layer_norm_half(&mut self, norm: &LayerNorm<'_>, input: &[f16], output: &mut [f16]) {
        layer_norm_half(norm, input, output);
    }

    fn layer_norm_real(&mut self, norm: &LayerNorm<'_>, input: &[f16], output: &mut [f32]) {
        layer_norm_real(norm, input, output);
    }

    fn layer_norm_wide(
        &mut self,
        norm: &LayerNorm<'_>,
        input: &[f16],
        high: &mut [i8],
        low: &mut [i8],
    ) {
        layer_norm_wide(norm, input, high, low);
    }

    fn attention(
        &mut self,
        shape: &Attention<'_>,
        qkv: &[i8],
        sizes: Option<&[u32]>,
        context: &mut [i8],
    ) {
        attention(
            shape,
            qkv,
            sizes,
            &self.log2_size,
            &mut self.scores,
            context,
        );
    }

    fn pool_attention(
        &mut self,
        shape: &Attention<'_>,
        query: &[i8],
        key_value: &[i8],
        sizes: Option<&[u32]>,
        context: &mut [i8],
    ) {
        pool_attention(
            shape,
            query,
            key_value,
            sizes,
            &self.log2_size,
            &mut self.scores,
            context,
        );
    }

    fn merge(&mut self, shape: &Merge, tokens: MergeInput<'_>, mut output: MergeOutput<'_>) {
        merge(shape, tokens, &mut output, &mut self.matching);
    }

    fn rotary(&mut self, shape: &Rotary<'_>, positions: Positions<'_>, table: &mut [f32]) {
        rotary(shape, positions, table);
    }

    fn pool(&mut self, shape: &Pool, residual: &[f16], sizes: &[u32], pooled: &mut [f16]) {
        pool(shape, residual, sizes, pooled);
    }

    fn head(&mut self, high: &[i8], low: &[i8], weights: &LinearWeights<'_>, logits: &mut [f32]) {
        head(high, low, weights, logits);
    }
}
