//! Attention: `attention.cu`.

use super::address::{Accesses, Address};
use super::head_width::HeadWidth;
use super::kernel::Kernel;
use super::launch::Launch;
use super::params::{Params, params};
use super::prefetch::Prefetch;
use super::target::Target;
use super::work::{self, Work};
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
        /// What is asked for on behalf of the next launch
        next: Prefetch,
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
        /// Tiles
        tiles: u32,
        /// Tokens of the last tile
        last_tile: u32,
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
        self.next
            .read(Accesses::new())
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
    /// What is asked for on behalf of the next launch.
    pub next: Prefetch,
}

/// Queries of a warp, all of one head.
const QUERIES: u32 = 16;

/// Warps that an SM's registers have room for: most that a block may have, which the kernel is compiled for.
pub(super) const fn most_warps(head_width: HeadWidth) -> u32 {
    match head_width {
        HeadWidth::W32 => 28,
        HeadWidth::W64 => 20,
        HeadWidth::W96 => 16,
        HeadWidth::W128 => 12,
    }
}

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
pub fn attention(
    shape: &AttentionShape,
    target: &Target,
    qkv: Address,
    operands: &AttentionOperands,
) -> Launch {
    let width = shape.heads * shape.head_width.channels();
    let params = AttentionParams {
        query: qkv,
        key_value: qkv.offset(width as usize),
        query_stride: 3 * width,
        query_image: shape.tokens * 3 * width,
        key_value_stride: 3 * width,
        ..params(shape, operands)
    };
    launch(shape, target, &params)
}

/// Attention of one constant query, `query` (A) i8, to all tokens of each image: `key_value` (B, T, 2A) i8.
pub fn pool_attention(
    shape: &AttentionShape,
    target: &Target,
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
    launch(shape, target, &params)
}

/// Parameters without queries, keys and values.
fn params(shape: &AttentionShape, operands: &AttentionOperands) -> AttentionParams {
    let (keys, tile) = (
        shape.tokens.next_multiple_of(KEYS),
        tile(shape.tokens, shape.head_width),
    );
    let tiles = keys.div_ceil(tile);
    AttentionParams {
        sizes: operands.sizes,
        log2_size: operands.log2_size,
        score_scale: operands.score_scale,
        context_scale: operands.context_scale,
        context: operands.context,
        next: operands.next,
        queries: shape.queries,
        tokens: shape.tokens,
        heads: shape.heads,
        tile,
        tiles,
        last_tile: keys - (tiles - 1) * tile,
        ..AttentionParams::default()
    }
}

/// How queries are spread over blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Blocks {
    /// Of a block.
    warps: u32,
    /// Of a head.
    blocks: u32,
}

impl Blocks {
    /// Fewest warps: a block's threads copy whole rows of keys, eight at a time.
    const LEAST: u32 = 2;

    /// Where few warps have queries, the others help to copy.
    const COPYING: u32 = 4;

    /// The smallest blocks among those that should take the least time.
    fn best(shape: &AttentionShape, target: &Target) -> Self {
        let groups = shape.queries.div_ceil(QUERIES);
        let most = groups.clamp(Self::COPYING, most_warps(shape.head_width));
        let least = Self::LEAST.max(Self::COPYING.div_ceil(groups));
        let all = (least..=most).map(|warps| Self {
            warps,
            blocks: groups.div_ceil(warps),
        });
        all.min_by_key(|blocks| blocks.clocks(shape, target))
            .expect("a block may have few warps and many")
    }

    /// Clocks by a simple model: an SM's blocks issue four instructions a clock between them, a warp takes two clocks for
    /// each of its own, and before as many blocks as there is room for start, their keys have to come.
    fn clocks(&self, shape: &AttentionShape, target: &Target) -> u64 {
        const FILL: u64 = 1000;
        let launch = self.work(shape, false).instructions;
        let blocks = u64::from(self.blocks * shape.heads * shape.batch);
        let per_sm = blocks.div_ceil(target.multiprocessors.into());
        let shared = attention_shared_bytes(shape.tokens, shape.head_width);
        let resident =
            (most_warps(shape.head_width) / self.warps).min(target.shared_bytes / shared);
        let rounds = per_sm.div_ceil(resident.max(1).into());
        let block = launch / blocks;
        let warp = 2 * block / u64::from(self.warps.min(shape.queries.div_ceil(QUERIES)));
        (per_sm * block / 4).max(rounds * warp) + rounds * FILL
    }

    fn work(&self, shape: &AttentionShape, sizes: bool) -> Work {
        let heads = shape.heads * shape.batch;
        work::attention(&work::AttentionWork {
            blocks: self.blocks * heads,
            warps: shape.queries.div_ceil(QUERIES) * heads,
            block_warps: self.warps,
            keys: shape.tokens.next_multiple_of(KEYS),
            tile: tile(shape.tokens, shape.head_width),
            channels: shape.head_width.channels(),
            sizes,
        })
    }
}

fn launch(shape: &AttentionShape, target: &Target, params: &AttentionParams) -> Launch {
    let blocks = Blocks::best(shape, target);
    let grid = [blocks.blocks, shape.heads, shape.batch];
    let shared = attention_shared_bytes(shape.tokens, shape.head_width);
    let kernel = Kernel::Attention {
        head_width: shape.head_width,
    };
    let work = blocks.work(shape, params.sizes != Address::NULL);
    Launch::new(kernel, grid, 32 * blocks.warps, shared, params).with_work(work)
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

    fn blocks(tokens: u32, queries: u32, heads: u32, target: Target) -> Blocks {
        let shape = AttentionShape {
            batch: 1,
            tokens,
            queries,
            heads,
            head_width: HeadWidth::W64,
        };
        Blocks::best(&shape, &target)
    }

    /// ViT-B/16 on 8 SMs: 24 blocks, three for each, where blocks of four warps would be 48, six for each with most of
    /// the last ones idle. Fewer queries have smaller blocks, a single one has help in copying.
    #[test]
    fn blocks_are_as_large_as_the_device_has_use_for() {
        let of = |warps, blocks| Blocks { warps, blocks };
        let orin = Target::ORIN_NANO;
        assert_eq!(blocks(197, 197, 12, orin), of(7, 2));
        assert_eq!(blocks(197, 1, 12, orin), of(4, 1));
        for target in [orin, Target::AGX_ORIN] {
            for tokens in (1..=MAX_TOKENS as u32).step_by(29) {
                let found = blocks(tokens, tokens, 12, target);
                assert!(found.warps >= 2 && found.warps <= 20, "{tokens}: {found:?}");
                assert!(
                    found.warps * found.blocks * QUERIES >= tokens,
                    "{tokens}: {found:?}"
                );
            }
        }
    }

    #[test]
    fn the_source_declares_how_many_warps_a_block_may_have() {
        let source = include_str!("../../cuda/attention.cu");
        for head_width in HeadWidth::ALL {
            let (channels, warps) = (head_width.channels(), most_warps(head_width));
            let line = format!("\nATTENTION({channels}, {warps})\n");
            assert!(source.contains(&line), "{line}");
        }
    }

    #[test]
    fn the_source_declares_the_the_shared_memory_of_the_common_shape() {
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
