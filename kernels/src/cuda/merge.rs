//! Token merging: two launches, of which the second takes the place of the layer norm that follows.

use super::modules::Module;
use super::norm::{ROWS, row_instructions};
use super::params::{MergeMatchParams, MergeNormParams};
use super::{Kernel, Launch, Work};
use crate::ops::HEAD_WIDTH;

const MATCH: Kernel = Kernel {
    module: Module::MergeMatch,
    name: "merge_match",
};

const NORM: Kernel = Kernel {
    module: Module::MergeNorm,
    name: "merge_norm",
};

/// A tokens of a block, the height of one Tensor Core product.
const SOURCES: u32 = 16;

/// Threads of a block of `merge_match`.
const MATCH_THREADS: u32 = 128;

/// B tokens are taken in blocks of this many.
const BLOCK: u32 = 32;

/// Dynamic shared memory of `merge_match` for images of `tokens` tokens: two bytes for each channel of the
/// metric, and a norm, of every B token and of 16 A tokens.
pub const fn match_shared_bytes(tokens: u32) -> u32 {
    let rows = (tokens / 2).next_multiple_of(BLOCK) + SOURCES;
    rows * (2 * HEAD_WIDTH as u32 + 4)
}

/// Finds the partner of every A token of `batch` images.
pub fn match_tokens(batch: u32, params: &MergeMatchParams) -> Launch {
    let grid = [params.tokens.div_ceil(2).div_ceil(SOURCES), batch, 1];
    let shared = match_shared_bytes(params.tokens);
    let rows = u64::from((params.tokens / 2).next_multiple_of(BLOCK) + SOURCES);
    let heads = u64::from(params.width) / HEAD_WIDTH as u64;
    let pairs = SOURCES * (params.tokens / 2).next_multiple_of(8);
    let work = Work {
        // Products of high and low bytes with each other.
        tensor_macs: u64::from(grid[0] * batch * pairs) * 4 * HEAD_WIDTH as u64,
        instructions: u64::from(grid[0] * batch) * (1330 + rows * (37 + 7 * heads / 2)),
    };
    Launch::new(MATCH, grid, MATCH_THREADS, shared, params).with_work(work)
}

/// Merges the most similar tokens of `batch` images, then normalizes and quantizes all that are left.
pub fn merge_norm(batch: u32, params: &MergeNormParams) -> Launch {
    let grid = [(params.tokens - params.merged).div_ceil(ROWS), batch, 1];
    let words = u64::from(params.tokens.div_ceil(2).div_ceil(32));
    let row = row_instructions(params.width) + 230 + 16 * words;
    let work = Work {
        tensor_macs: 0,
        instructions: u64::from((params.tokens - params.merged) * batch) * row,
    };
    Launch::new(NORM, grid, 32 * ROWS, 0, params).with_work(work)
}
