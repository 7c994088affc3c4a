//! Attention: `attention.cu`.

use super::address::{Accesses, Address};
use super::head_width::HeadWidth;
use super::kernel::Kernel;
use super::launch::Launch;
use super::params::{Params, params};
use super::work;
use crate::ops::MAX_TOKENS;

params! {
    /// `attention.cu`
    AttentionParams {
        /// (B, Q, A) i8
        query: Address,
        /// (B, T, 2A) i8: keys, then values
        key_value: Address,
        /// (B, T) u32, or null if all are 1
        sizes: Address,
        /// (MAX_TOKENS + 1) f32
        log2_size: Address,
        /// (H) f32
        score_scale: Address,
        /// (H) f32
        context_scale: Address,
        /// (B, Q, A) i8
        context: Address,
        /// Q
        queries: u32,
        /// T
        tokens: u32,
        /// H
        heads: u32,
        /// Bytes from a query to the next
        query_stride: u32,
        /// Bytes from an image's queries to the next image's, 0 if they are the same for all
        query_image: u32,
        /// Bytes from a token's keys to the next token's
        key_value_stride: u32,
        /// Tokens of a tile
        tile: u32,
        /// Unused
        padding: u32,
    }
}

impl Params for AttentionParams {
    fn accesses(&self, kernel: Kernel, [_, _, batch]: [u32; 3]) -> Accesses {
        let Kernel::Attention { head_width } = kernel else {
            unreachable!("{kernel:?} has other parameters");
        };
        let (batch, heads) = (batch as usize, self.heads as usize);
        let width = heads * head_width.channels() as usize;
        let (queries, tokens) = (self.queries as usize, batch * self.tokens as usize);
        let rows = |rows: usize, stride: u32| (rows - 1) * stride as usize;
        let last_query = rows(batch, self.query_image) + rows(queries, self.query_stride);
        Accesses::new()
            .read(self.query, last_query + width)
            .read(
                self.key_value,
                rows(tokens, self.key_value_stride) + 2 * width,
            )
            .read(self.sizes, 4 * tokens)
            .read(self.log2_size, 4 * (MAX_TOKENS + 1))
            .read(self.score_scale, 4 * heads)
            .read(self.context_scale, 4 * heads)
            .write(self.context, batch * queries * width)
    }
}

/// What attention is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttentionShape {
    /// B
    pub batch: u32,
    /// T
    pub tokens: u32,
    /// Q: first tokens of an image that ask; 1 of pooling.
    pub queries: u32,
    /// H
    pub heads: u32,
    /// D
    pub head_width: HeadWidth,
}

/// What attention works on beside queries, keys and values.
#[derive(Clone, Copy, Debug)]
pub struct AttentionOperands {
    /// (B, T) u32, or null if all are 1
    pub sizes: Address,
    /// (MAX_TOKENS + 1) f32
    pub log2_size: Address,
    /// (H) f32
    pub score_scale: Address,
    /// (H) f32
    pub context_scale: Address,
    /// (B, Q, A) i8
    pub context: Address,
}

/// Queries of a block: 16 a warp.
const QUERIES: u32 = 64;

/// Keys, with their values, that a warp takes at once.
const KEYS: u32 = 32;

/// As much shared memory may keys and values take that are loaded once: beyond, too few blocks share an SM.
const RESIDENT_BYTES: u32 = 48 << 10;

/// How many tokens lie in shared memory at once.
const fn tile(tokens: u32, head_width: HeadWidth) -> u32 {
    let (tokens, channels) = (tokens.next_multiple_of(KEYS), head_width.channels());
    if tokens * (2 * channels + 4) <= RESIDENT_BYTES {
        tokens
    } else if channels <= 64 {
        128
    } else {
        64
    }
}

/// Dynamic shared memory for images of `tokens` tokens: a tile of keys and values, or two that take turns, and a bias
/// for every token.
pub const fn attention_shared_bytes(tokens: u32, head_width: HeadWidth) -> u32 {
    let (padded, tile) = (tokens.next_multiple_of(KEYS), tile(tokens, head_width));
    let places = if tile == padded { 1 } else { 2 };
    places * 2 * tile * head_width.channels() + 4 * padded
}

/// Attention of the first tokens of images to all of theirs: `qkv` (B, T, 3A) i8.
pub fn attention(shape: &AttentionShape, qkv: Address, operands: &AttentionOperands) -> Launch {
    let width = shape.heads * shape.head_width.channels();
    let params = AttentionParams {
        query: qkv,
        key_value: qkv.offset(width as usize),
        query_stride: 3 * width,
        query_image: shape.tokens * 3 * width,
        key_value_stride: 3 * width,
        ..params(shape, operands)
    };
    launch(shape, &params)
}

/// Attention of one constant query, `query` (A) i8, to all tokens of each image: `key_value` (B, T, 2A) i8.
pub fn pool_attention(
    shape: &AttentionShape,
    query: Address,
    key_value: Address,
    operands: &AttentionOperands,
) -> Launch {
    let params = AttentionParams {
        query,
        key_value,
        query_stride: 0,
        query_image: 0,
        key_value_stride: 2 * shape.heads * shape.head_width.channels(),
        ..params(shape, operands)
    };
    launch(shape, &params)
}

/// Parameters without queries, keys and values.
fn params(shape: &AttentionShape, operands: &AttentionOperands) -> AttentionParams {
    AttentionParams {
        sizes: operands.sizes,
        log2_size: operands.log2_size,
        score_scale: operands.score_scale,
        context_scale: operands.context_scale,
        context: operands.context,
        queries: shape.queries,
        tokens: shape.tokens,
        heads: shape.heads,
        tile: tile(shape.tokens, shape.head_width),
        ..AttentionParams::default()
    }
}

fn launch(shape: &AttentionShape, params: &AttentionParams) -> Launch {
    let AttentionShape {
        batch,
        tokens,
        queries,
        heads,
        head_width,
    } = *shape;
    let grid = [queries.div_ceil(QUERIES), heads, batch];
    let shared = attention_shared_bytes(tokens, head_width);
    let work = work::attention(&work::AttentionWork {
        blocks: grid[0] * heads * batch,
        warps: queries.div_ceil(16) * heads * batch,
        keys: tokens.next_multiple_of(KEYS),
        tile: params.tile,
        channels: head_width.channels(),
    });
    let kernel = Kernel::Attention { head_width };
    Launch::new(kernel, grid, 2 * QUERIES, shared, params).with_work(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_image_fits_into_the_shared_memory_of_every_gpu() {
        for head_width in HeadWidth::ALL {
            for tokens in 1..=MAX_TOKENS as u32 {
                let bytes = attention_shared_bytes(tokens, head_width);
                assert!(
                    bytes <= 99 << 10,
                    "{tokens} tokens, {head_width:?}: {bytes}"
                );
            }
        }
    }

    #[test]
    fn the_source_declares_the_shared_memory_of_the_common_shape() {
        let source = include_str!("../../cuda/attention.cu");
        for head_width in HeadWidth::ALL {
            let bytes = attention_shared_bytes(197, head_width);
            let line = format!(
                "// dynamic shared: attention_{} {bytes}\n",
                head_width.channels()
            );
            assert!(source.contains(&line), "{line}");
        }
    }
}
