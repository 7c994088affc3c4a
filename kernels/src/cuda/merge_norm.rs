//! Merging, with the layer norm that follows: `merge_norm.cu`.

use super::address::{Accesses, Address};
use super::kernel::Kernel;
use super::launch::Launch;
use super::layer_norm::ROWS;
use super::params::{Params, params};
use super::work;

params! {
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
}

impl Params for MergeNormParams {
    fn accesses(&self, _: Kernel, [_, batch, _]: [u32; 3]) -> Accesses {
        let (batch, tokens) = (batch as usize, self.tokens as usize);
        let (width, kept) = (self.width as usize, batch * (tokens - self.merged as usize));
        Accesses::new()
            .read(self.partner, 4 * batch * tokens.div_ceil(2))
            .read(self.residual, 2 * batch * tokens * width)
            .read(self.sizes, 4 * batch * tokens)
            .write(self.merged_residual, 2 * kept * width)
            .write(self.merged_sizes, 4 * kept)
            .read(self.gain, 4 * width)
            .read(self.bias, 4 * width)
            .write(self.normed, kept * width)
    }
}

/// Merges the most similar tokens of `batch` images, then normalizes and quantizes all that are left.
pub fn merge_norm(batch: u32, params: &MergeNormParams) -> Launch {
    let kept = params.tokens - params.merged;
    let work = work::merge_norm(kept * batch, params.tokens, params.width);
    let grid = [kept.div_ceil(ROWS), batch, 1];
    Launch::new(Kernel::MergeNorm, grid, 32 * ROWS, 0, params).with_work(work)
}
