//! Attention: `attention.cu`.

use super::address::{Accesses, Address};
use super::kernel::Kernel;
use super::launch::Launch;
use super::params::{Params, params};
use super::work;
use crate::ops::{HEAD_WIDTH, MAX_TOKENS};

params! {
    /// `attention.cu`
    AttentionParams {
        /// (B, T, 3C) i8
        qkv: Address,
        /// (B, T) u32, or null if all are 1
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
}

impl Params for AttentionParams {
    fn accesses(&self, _: Kernel, [_, _, batch]: [u32; 3]) -> Accesses {
        let (tokens, heads) = ((batch * self.tokens) as usize, self.heads as usize);
        let width = HEAD_WIDTH * heads;
        Accesses::new()
            .read(self.qkv, tokens * 3 * width)
            .read(self.sizes, 4 * tokens)
            .read(self.log2_size, 4 * (MAX_TOKENS + 1))
            .read(self.score_scale, 4 * heads)
            .read(self.context_scale, 4 * heads)
            .write(self.context, tokens * width)
    }
}

/// Queries of a block: 16 a warp.
const QUERIES: u32 = 64;

/// Keys, with their values, that a warp takes at once.
const KEYS: u32 = 32;

/// Dynamic shared memory for images of `tokens` tokens: keys, values and a bias for each.
pub const fn attention_shared_bytes(tokens: u32) -> u32 {
    tokens.next_multiple_of(KEYS) * (2 * HEAD_WIDTH as u32 + 4)
}

/// Attention of `batch` images.
pub fn attention(batch: u32, params: &AttentionParams) -> Launch {
    let grid = [params.tokens.div_ceil(QUERIES), params.heads, batch];
    let shared = attention_shared_bytes(params.tokens);
    let warps = params.tokens.div_ceil(16) * params.heads * batch;
    let work = work::attention(warps, params.tokens.next_multiple_of(KEYS));
    Launch::new(Kernel::Attention, grid, 2 * QUERIES, shared, params).with_work(work)
}
