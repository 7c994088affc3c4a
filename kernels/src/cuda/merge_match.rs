//! Which tokens merge: `merge_match.cu`.

use super::address::{Accesses, Address};
use super::kernel::Kernel;
use super::launch::Launch;
use super::params::{Params, params};
use super::work;
use crate::ops::HEAD_WIDTH;

params! {
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
}

impl Params for MergeMatchParams {
    fn accesses(&self, _: Kernel, [_, batch, _]: [u32; 3]) -> Accesses {
        let (batch, tokens) = (batch as usize, self.tokens as usize);
        let sources = batch * tokens.div_ceil(2);
        Accesses::new()
            .read(self.qkv, batch * tokens * 3 * self.width as usize)
            .write(self.similarity, 4 * sources)
            .write(self.partner, 4 * sources)
            .update(self.arrived, 4 * batch)
    }
}

/// A tokens of a block, the height of one Tensor Core product.
const SOURCES: u32 = 16;

const THREADS: u32 = 128;

/// B tokens are taken in groups of this many.
const TARGETS: u32 = 32;

/// Dynamic shared memory for images of `tokens` tokens: two bytes for each channel of the metric, and a norm, of
/// every B token and of 16 A tokens.
pub const fn merge_match_shared_bytes(tokens: u32) -> u32 {
    let rows = (tokens / 2).next_multiple_of(TARGETS) + SOURCES;
    rows * (2 * HEAD_WIDTH as u32 + 4)
}

/// Finds the partner of every A token of `batch` images.
pub fn merge_match(batch: u32, params: &MergeMatchParams) -> Launch {
    let grid = [params.tokens.div_ceil(2).div_ceil(SOURCES), batch, 1];
    let shared = merge_match_shared_bytes(params.tokens);
    let targets = params.tokens / 2;
    let rows = targets.next_multiple_of(TARGETS) + SOURCES;
    let pairs = SOURCES * targets.next_multiple_of(8);
    let work = work::merge_match(grid[0] * batch, rows, pairs, params.width);
    Launch::new(Kernel::MergeMatch, grid, THREADS, shared, params).with_work(work)
}
