//! Which tokens merge: `merge_match.cu`.

use super::address::{Accesses, Address};
use super::head_width::HeadWidth;
use super::kernel::Kernel;
use super::launch::Launch;
use super::params::{Params, params};
use super::work;
use crate::ops::Merge;

params! {
    /// `merge_match.cu`
    MergeMatchParams {
        /// (B, T, 3A) i8
        qkv: Address,
        /// (B, S) f32
        similarity: Address,
        /// (B, S) u32: the target that a source merges into, `u32::MAX` if it stays
        partner: Address,
        /// (B) u32, zero before and after
        arrived: Address,
        /// T
        tokens: u32,
        /// P
        prefix: u32,
        /// H
        heads: u32,
        /// r
        merged: u32,
        /// Of 16 sources that a block takes
        groups: u32,
        /// Unused
        padding: u32,
    }
}

/// S: unprotected tokens at even positions.
pub(super) const fn sources(tokens: u32, prefix: u32) -> u32 {
    (tokens - prefix.next_multiple_of(2)).div_ceil(2)
}

/// Unprotected tokens at odd positions.
const fn targets(tokens: u32, prefix: u32) -> u32 {
    (tokens - (prefix | 1)).div_ceil(2)
}

impl Params for MergeMatchParams {
    fn accesses(&self, kernel: Kernel, [_, batch, _]: [u32; 3]) -> Accesses {
        let Kernel::MergeMatch { head_width } = kernel else {
            unreachable!("{kernel:?} has other parameters");
        };
        let batch = batch as usize;
        let width = self.heads as usize * head_width.channels() as usize;
        let sources = batch * sources(self.tokens, self.prefix) as usize;
        Accesses::new()
            .read(self.qkv, batch * self.tokens as usize * 3 * width)
            .write(self.similarity, 4 * sources)
            .write(self.partner, 4 * sources)
            .update(self.arrived, 4 * batch)
    }
}

/// What matching works on.
#[derive(Clone, Copy, Debug)]
pub struct MergeMatchOperands {
    /// (B, T, 3A) i8
    pub qkv: Address,
    /// (B, ceil(T / 2)) f32, scratch space
    pub similarity: Address,
    /// (B, ceil(T / 2)) u32, for `merge_norm`
    pub partner: Address,
    /// (B) u32, zero before and after
    pub arrived: Address,
}

/// Sources of a group, the height of one Tensor Core product.
const GROUP: u32 = 16;

/// Groups that a block takes where blocks are enough: more sources share the work of making the targets' metric.
const GROUPS: u32 = 4;

/// As many blocks keep a small GPU busy.
const BLOCKS: u32 = 10;

const THREADS: u32 = 128;

/// Targets are rounded up to a multiple of this, ...
const BLOCK: u32 = 32;

/// ... and so many lie in shared memory at once.
const TILE: u32 = 128;

/// Groups of a block.
const fn groups(batch: u32, sources: u32) -> u32 {
    if batch * sources.div_ceil(GROUP) <= BLOCKS {
        1
    } else {
        GROUPS
    }
}

/// Sources and targets whose metric lies in shared memory.
const fn rows(groups: u32, targets: u32) -> u32 {
    let targets = targets.next_multiple_of(BLOCK);
    groups * GROUP + if targets < TILE { targets } else { TILE }
}

/// Dynamic shared memory: two bytes for each channel of the metric, and a norm, of the block's sources and a tile of
/// targets; afterwards the similarities of all sources.
const fn shared_bytes(groups: u32, tokens: u32, prefix: u32, head_width: HeadWidth) -> u32 {
    let metric = rows(groups, targets(tokens, prefix)) * (2 * head_width.channels() + 4);
    let similarities = 4 * sources(tokens, prefix);
    if metric > similarities {
        metric
    } else {
        similarities
    }
}

/// Most dynamic shared memory of a block for images of `tokens` tokens, however many.
pub const fn merge_match_shared_bytes(tokens: u32, head_width: HeadWidth) -> u32 {
    shared_bytes(GROUPS, tokens, 0, head_width)
}

/// Finds out which tokens merge into which.
///
/// # Panics
/// If no kernel takes heads of that width.
pub fn merge_match(shape: &Merge, operands: &MergeMatchOperands) -> Launch {
    let head_width = HeadWidth::of(shape.head_width).expect("the shape has been checked");
    let (batch, tokens, prefix) = (shape.batch as u32, shape.tokens as u32, shape.prefix as u32);
    let (sources, targets) = (sources(tokens, prefix), targets(tokens, prefix));
    let groups = groups(batch, sources);
    let params = MergeMatchParams {
        qkv: operands.qkv,
        similarity: operands.similarity,
        partner: operands.partner,
        arrived: operands.arrived,
        tokens,
        prefix,
        heads: shape.heads as u32,
        merged: shape.merged as u32,
        groups,
        padding: 0,
    };
    let grid = [sources.div_ceil(groups * GROUP), batch, 1];
    let of = work::MergeMatchWork {
        blocks: grid[0] * batch,
        groups,
        sources,
        targets,
        heads: params.heads,
        channels: head_width.channels(),
    };
    let work = work::merge_match(batch, &of);
    let shared = shared_bytes(groups, tokens, prefix, head_width);
    let kernel = Kernel::MergeMatch { head_width };
    Launch::new(kernel, grid, THREADS, shared, &params).with_work(work)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{MAX_PREFIX, MAX_TOKENS};

    #[test]
    fn every_image_fits_into_the_shared_memory_of_every_gpu() {
        for head_width in HeadWidth::ALL {
            for tokens in 2..=MAX_TOKENS as u32 {
                let most = merge_match_shared_bytes(tokens, head_width);
                assert!(most <= 99 << 10, "{tokens} tokens, {head_width:?}: {most}");
                for prefix in 0..=(tokens - 2).min(MAX_PREFIX as u32) {
                    for groups in [1, GROUPS] {
                        assert!(shared_bytes(groups, tokens, prefix, head_width) <= most);
                    }
                }
            }
        }
    }

    #[test]
    fn the_source_declares_the_shared_memory_of_the_common_shape() {
        let source = include_str!("../../cuda/merge_match.cu");
        for head_width in HeadWidth::ALL {
            let bytes = shared_bytes(1, 197, 1, head_width);
            let line = format!(
                "// dynamic shared: merge_match_{} {bytes}\n",
                head_width.channels()
            );
            assert!(source.contains(&line), "{line}");
        }
    }
}
