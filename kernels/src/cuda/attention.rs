//! Attention.

use super::modules::Module;
use super::params::AttentionParams;
use super::{Kernel, Launch, Work};
use crate::ops::HEAD_WIDTH;

const KERNEL: Kernel = Kernel {
    module: Module::Attention,
    name: "attention",
};

/// Queries of a block: 16 a warp.
const QUERIES: u32 = 64;

/// Tokens are taken in blocks of this many.
const BLOCK: u32 = 32;

/// Dynamic shared memory for images of `tokens` tokens: keys, values and a bias for each.
pub const fn attention_shared_bytes(tokens: u32) -> u32 {
    tokens.next_multiple_of(BLOCK) * (2 * HEAD_WIDTH as u32 + 4)
}

/// Attention of `batch` images.
pub fn attention(batch: u32, params: &AttentionParams) -> Launch {
    let grid = [params.tokens.div_ceil(QUERIES), params.heads, batch];
    let shared = attention_shared_bytes(params.tokens);
    let groups = u64::from(params.tokens.div_ceil(16) * params.heads * batch);
    let padded = u64::from(params.tokens.next_multiple_of(BLOCK));
    let work = Work {
        // Scores twice, values once.
        tensor_macs: groups * 16 * padded * 3 * HEAD_WIDTH as u64,
        instructions: groups * (552 * padded / u64::from(BLOCK) + 756),
    };
    Launch::new(KERNEL, grid, 2 * QUERIES, shared, params).with_work(work)
}
