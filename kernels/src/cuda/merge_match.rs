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
        /// (B, T) u32; null: similarity alone ranks, and what follows is null too
        sizes: Address,
        /// (H) f32
        score_scale: Address,
        /// (B, H, T - P) f32
        scores: Address,
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
        let accesses = Accesses::new()
            .read(self.qkv, batch * self.tokens as usize * 3 * width)
            .write(self.similarity, 4 * sources)
            .write(self.partner, 4 * sources)
            .update(self.arrived, 4 * batch);
        if self.sizes == Address::NULL {
            return accesses;
        }
        let heads = self.heads as usize;
        accesses
            .read(self.sizes, 4 * batch * self.tokens as usize)
            .read(self.score_scale, 4 * heads)
            .write(
                self.scores,
                4 * batch * heads * (self.tokens - self.prefix) as usize,
            )
    }
}

/// What ranking by the class token's attention works on.
#[derive(Clone, Copy, Debug)]
pub struct ClassAttention {
    /// (B, T) u32
    pub sizes: Address,
    /// (H) f32, as attention's
    pub score_scale: Address,
    /// (B, H, T) f32, scratch space
    pub scores: Address,
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
    /// What else ranks sources beside their similarity, if anything does
    pub class_attention: Option<ClassAttention>,
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
/// targets; afterwards the priorities of all sources and what else they are made from.
const fn shared_bytes(
    groups: u32,
    (tokens, prefix): (u32, u32),
    head_width: HeadWidth,
    class_attention: bool,
) -> u32 {
    let metric = rows(groups, targets(tokens, prefix)) * (2 * head_width.channels() + 4);
    let shares = if class_attention { tokens - prefix } else { 0 };
    let ranking = 4 * (sources(tokens, prefix) + shares);
    if metric > ranking { metric } else { ranking }
}

/// Most dynamic shared memory of a block for images of `tokens` tokens, however many.
pub const fn merge_match_shared_bytes(tokens: u32, head_width: HeadWidth) -> u32 {
    shared_bytes(GROUPS, (tokens, 0), head_width, true)
}

/// Finds out which tokens merge into which.
///
/// # Panics
/// If no kernel takes heads of that width, or if the class token ranks and there is none.
pub fn merge_match(shape: &Merge, operands: &MergeMatchOperands) -> Launch {
    let head_width = HeadWidth::of(shape.head_width).expect("the shape has been checked");
    assert!(operands.class_attention.is_none() || shape.prefix > 0);
    let (batch, tokens, prefix) = (shape.batch as u32, shape.tokens as u32, shape.prefix as u32);
    let (sources, targets) = (sources(tokens, prefix), targets(tokens, prefix));
    let groups = groups(batch, sources);
    let class = operands.class_attention;
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
        sizes: class.map_or(Address::NULL, |class| class.sizes),
        score_scale: class.map_or(Address::NULL, |class| class.score_scale),
        scores: class.map_or(Address::NULL, |class| class.scores),
    };
    let grid = [sources.div_ceil(groups * GROUP), batch, 1];
    let of = work::MergeMatchWork {
        blocks: grid[0] * batch,
        groups,
        sources,
        targets,
        heads: params.heads,
        channels: head_width.channels(),
        attended: if class.is_some() { tokens - prefix } else { 0 },
    };
    let work = work::merge_match(batch, &of);
    let shared = shared_bytes(
        groups,
        (tokens, prefix),
        head_width,
        operands.class_attention.is_some(),
    );
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
                    for (groups, attends) in
                        [(1, false), (GROUPS, false), (1, true), (GROUPS, true)]
                    {
                        let own = shared_bytes(groups, (tokens, prefix), head_width, attends);
                        assert!(own <= most);
                    }
                }
            }
        }
    }

    #[test]
    fn the_source_declares_the_shared_memory_of_the_common_shape() {
        let source = include_str!("../../cuda/merge_match.cu");
        for head_width in HeadWidth::ALL {
            let bytes = shared_bytes(1, (197, 1), head_width, false);
            let line = format!(
                "// dynamic shared: merge_match_{} {bytes}\n",
                head_width.channels()
            );
            assert!(source.contains(&line), "{line}");
        }
    }
}
