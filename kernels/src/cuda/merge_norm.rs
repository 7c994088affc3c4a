//! Merging, with the norm that follows: `merge_norm.cu`.

use super::address::{Accesses, Address};
use super::kernel::Kernel;
use super::launch::Launch;
use super::layer_norm::ROWS;
use super::merge_match::sources;
use super::norm::NormParams;
use super::params::{Params, params};
use super::prefetch::Prefetch;
use super::work;
use crate::ops::Merge;

params! {
    /// `merge_norm.cu`
    MergeNormParams {
        /// (B, S) u32, as `merge_match` leaves it
        partner: Address,
        /// (B, T, C) f16
        residual: Address,
        /// (B, T) u32
        sizes: Address,
        /// (B, T, 2) f32, or null for those of the grid
        positions: Address,
        /// (B, T - r, C) f16
        merged_residual: Address,
        /// (B, T - r) u32
        merged_sizes: Address,
        /// (B, T - r, 2) f32, or null
        merged_positions: Address,
        /// (B, T - r, C) i8
        normed: Address,
        /// What rows are normalized by
        norm: NormParams,
        /// What is asked for on behalf of the next launch
        next: Prefetch,
        /// T
        tokens: u32,
        /// P
        prefix: u32,
        /// r
        merged: u32,
        /// Patches of a row of the grid
        side: u32,
    }
}

impl Params for MergeNormParams {
    fn accesses(&self, _: Kernel, [_, batch, _]: [u32; 3]) -> Accesses {
        let (batch, width) = (batch as usize, self.norm.width as usize);
        let tokens = batch * self.tokens as usize;
        let kept = batch * (self.tokens - self.merged) as usize;
        let sources = batch * sources(self.tokens, self.prefix) as usize;
        let accesses = Accesses::new()
            .read(self.partner, 4 * sources)
            .read(self.residual, 2 * tokens * width)
            .read(self.sizes, 4 * tokens)
            .read(self.positions, 8 * tokens)
            .write(self.merged_residual, 2 * kept * width)
            .write(self.merged_sizes, 4 * kept)
            .write(self.merged_positions, 8 * kept)
            .write(self.normed, kept * width);
        self.norm.read(self.next.read(accesses))
    }
}

/// Where tokens are before merging, and where that of the merged ones is written, (B, T - r, 2) f32.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MergePositions {
    /// Nobody asks.
    None,
    /// On the grid: nothing has merged so far.
    Grid {
        /// Patches of a row.
        side: u32,
        /// Of the merged tokens.
        merged: Address,
    },
    /// In memory.
    At {
        /// (B, T, 2) f32: row, column
        positions: Address,
        /// Of the merged tokens.
        merged: Address,
    },
}

/// What merging works on.
#[derive(Clone, Copy, Debug)]
pub struct MergeNormOperands {
    /// (B, ceil(T / 2)) u32, as `merge_match` leaves it
    pub partner: Address,
    /// (B, T, C) f16
    pub residual: Address,
    /// (B, T) u32
    pub sizes: Address,
    /// Where the tokens are
    pub positions: MergePositions,
    /// (B, T - r, C) f16
    pub merged_residual: Address,
    /// (B, T - r) u32
    pub merged_sizes: Address,
    /// (B, T - r, C) i8
    pub normed: Address,
    /// What merged rows are normalized by
    pub norm: NormParams,
    /// What is asked for on behalf of the next launch
    pub next: Prefetch,
}

/// Merges the most similar tokens of images, then normalizes and quantizes all that are left.
pub fn merge_norm(shape: &Merge, operands: &MergeNormOperands) -> Launch {
    let (positions, merged_positions, side) = match operands.positions {
        MergePositions::None => (Address::NULL, Address::NULL, 1),
        MergePositions::Grid { side, merged } => (Address::NULL, merged, side),
        MergePositions::At { positions, merged } => (positions, merged, 1),
    };
    let params = MergeNormParams {
        partner: operands.partner,
        residual: operands.residual,
        sizes: operands.sizes,
        positions,
        merged_residual: operands.merged_residual,
        merged_sizes: operands.merged_sizes,
        merged_positions,
        normed: operands.normed,
        norm: operands.norm,
        next: operands.next,
        tokens: shape.tokens as u32,
        prefix: shape.prefix as u32,
        merged: shape.merged as u32,
        side,
    };
    let (batch, kept) = (shape.batch as u32, params.tokens - params.merged);
    let sources = sources(params.tokens, params.prefix);
    let work = work::merge_norm(kept * batch, sources, &params.norm);
    let grid = [kept.div_ceil(ROWS), batch, 1];
    let kernel = Kernel::MergeNorm {
        rows: params.norm.row_width(),
    };
    Launch::new(kernel, grid, 32 * ROWS, 0, &params).with_work(work)
}
