//! Attention.

use super::images::Image;
use super::params::AttentionParams;
use super::{Kernel, Launch};
use crate::ops::HEAD_WIDTH;

const KERNEL: Kernel = Kernel {
    image: Image::Attention,
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
    Launch::new(KERNEL, grid, 2 * QUERIES, shared, params)
}
