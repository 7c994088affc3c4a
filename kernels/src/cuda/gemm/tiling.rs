//! How a linear layer is spread over a device.

use super::super::target::Target;
use super::tile::{STEP, Tile};
use std::iter;

/// Most parts that K is split into.
pub const MAX_SPLITS: u32 = 8;

/// Most scratch space for sums of parts that is worth having: outputs that would need more fill every device as they
/// are.
const MAX_PARTIAL_BYTES: usize = 64 << 20;

/// (M, N, K) of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// M
    pub rows: u32,
    /// N, a multiple of 64.
    pub outputs: u32,
    /// K, a multiple of 64.
    pub inputs: u32,
}

/// How a linear layer is spread over a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Tile shape.
    pub tile: Tile,
    /// Parts of K.
    pub splits: u32,
    /// Most blocks of a launch. Of fewer than there are parts of tiles, each computes one after another, whose operands it
    /// copies while it finishes the one before.
    pub blocks: u32,
}

impl Tiling {
    /// A block for every part of every tile.
    pub const fn new(tile: Tile, splits: u32) -> Self {
        Self {
            tile,
            splits,
            blocks: u32::MAX,
        }
    }

    /// The same with at most so many blocks.
    #[must_use]
    pub const fn with_blocks(self, blocks: u32) -> Self {
        Self { blocks, ..self }
    }

    /// Whether this tiling can compute the shape at all.
    pub const fn fits(&self, shape: &Shape) -> bool {
        shape.outputs.is_multiple_of(self.tile.columns())
            && self.splits >= 1
            && self.splits <= MAX_SPLITS
            && self.splits <= shape.inputs / STEP
            && self.blocks >= 1
    }

    /// Tiles of the output.
    pub const fn tiles(&self, shape: &Shape) -> u32 {
        shape.rows.div_ceil(self.tile.rows()) * (shape.outputs / self.tile.columns())
    }

    /// Parts of all tiles.
    pub const fn items(&self, shape: &Shape) -> u32 {
        self.tiles(shape) * self.splits
    }

    /// Counters that a launch needs: of items that were drawn, and of each tile's parts that have arrived.
    pub const fn counters(&self, shape: &Shape) -> usize {
        let draws = self.blocks < self.items(shape);
        match (self.splits, draws) {
            (1, false) => 0,
            (1, true) => 1,
            _ => 1 + self.tiles(shape) as usize,
        }
    }

    /// Bytes of scratch space for sums of parts.
    pub const fn partial_bytes(&self, shape: &Shape) -> usize {
        if self.splits == 1 {
            return 0;
        }
        let sums = self.tiles(shape) as usize * (self.tile.rows() * self.tile.columns()) as usize;
        sums * self.splits as usize * size_of::<i32>()
    }

    /// Those that make sense: where a device does not hold all blocks at once, also with as many as it holds.
    fn all(shape: &Shape, target: &Target) -> impl Iterator<Item = Self> {
        let all = Tile::ALL
            .into_iter()
            .flat_map(|tile| [1, 2, 3, 4, 6, 8].map(|splits| Self::new(tile, splits)));
        let fitting = all.filter(|tiling| {
            tiling.fits(shape) && tiling.partial_bytes(shape) <= MAX_PARTIAL_BYTES
        });
        fitting.flat_map(|tiling| {
            let resident = tiling.with_blocks(tiling.tile.resident_on(target));
            let fewer = resident.blocks < tiling.items(shape);
            iter::once(tiling).chain(fewer.then_some(resident))
        })
    }

    /// The tiling that should take the least time on a device.
    pub fn best(shape: &Shape, target: &Target) -> Self {
        Self::all(shape, target)
            .min_by_key(|tiling| tiling.clocks(shape, target))
            .expect("64 divides the outputs, so the smallest tiles fit")
    }

    /// The tilings that may turn out to be the fastest: the best one first, then those that should take at
    /// most half as long again. All give the same bits.
    pub fn candidates(shape: &Shape, target: &Target) -> Vec<Self> {
        let mut all: Vec<_> = Self::all(shape, target)
            .map(|tiling| (tiling.clocks(shape, target), tiling))
            .collect();
        all.sort_by_key(|&(clocks, _)| clocks);
        let most = all[0].0 * 3 / 2;
        all.retain(|&(clocks, _)| clocks <= most);
        all.into_iter().map(|(_, tiling)| tiling).collect()
    }

    /// Clocks that a launch takes by a simple model: the items of the busiest SM one after another, each
    /// step bound by its multiplications (2048 a clock and SM), by what it moves into and out of shared memory (128
    /// bytes a clock) or by what it fetches (48 bytes a clock), longer where an SM has a single block and nothing hides
    /// its latency; then what adding parts and the epilogue cost, and filling the pipeline. A block's second item finds
    /// it filled.
    fn clocks(&self, shape: &Shape, target: &Target) -> u64 {
        const FILL: u64 = 800;
        let tile = self.tile;
        let items = self.items(shape);
        let per_sm = u64::from(items.div_ceil(target.multiprocessors));
        let steps = u64::from((shape.inputs / STEP).div_ceil(self.splits));
        // Groups of 16 rows beyond the last are skipped: what a block multiplies on average.
        let rows = shape.rows.next_multiple_of(16) / shape.rows.div_ceil(tile.rows());
        let multiply = u64::from(rows * tile.columns() * STEP) / 2048;
        let shared = u64::from(tile.shared_step_bytes(rows)) / 128;
        let fetch = u64::from((rows + tile.columns()) * STEP) / 48;
        let step = multiply.max(shared).max(fetch) * if per_sm == 1 { 3 } else { 2 } / 2;
        let sums = u64::from(rows * tile.columns());
        let reduce = if self.splits > 1 { sums / 8 + 1500 } else { 0 };
        let rounds = u64::from(items.div_ceil(tile.resident_on(target)));
        let again = if self.blocks < items { 150 } else { FILL };
        per_sm * (steps * step + sums / 16 + reduce) + FILL + (rounds - 1) * again
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::{MAX_BATCH, MAX_INNER, MAX_TOKENS, MAX_WIDTH};

    const VIT_B: [(u32, u32); 4] = [(2304, 768), (768, 768), (3072, 768), (768, 3072)];

    /// Blocks compute several items where a device does not hold them all, and then it holds all blocks.
    #[test]
    fn as_many_blocks_as_a_device_holds() {
        let small = Target {
            shared_bytes: 99 << 10,
            ..Target::ORIN_NANO
        };
        let (mut one_each, mut several) = (0, 0);
        for (target, most) in [
            (Target::ORIN_NANO, [2, 3, 4, 4]),
            (Target::AGX_ORIN, [2, 3, 4, 4]),
            (small, [1, 2, 3, 2]),
        ] {
            for rows in [1, 50, 197, 8 * 197] {
                for (outputs, inputs) in VIT_B {
                    let shape = Shape {
                        rows,
                        outputs,
                        inputs,
                    };
                    for tiling in Tiling::candidates(&shape, &target) {
                        let held = target.multiprocessors * most[tiling.tile as usize];
                        let items = tiling.items(&shape);
                        if tiling.blocks == u32::MAX {
                            one_each += 1;
                        } else {
                            assert!(tiling.blocks == held && held < items, "{tiling:?}");
                            several += 1;
                        }
                    }
                    let best = Tiling::best(&shape, &target);
                    let held = target.multiprocessors * most[best.tile as usize];
                    assert_eq!(
                        best.blocks < u32::MAX,
                        held < best.items(&shape),
                        "{best:?}"
                    );
                }
            }
        }
        assert!(one_each > several && several > 0);
    }

    /// Long sums of many rows would gain a little from parts, at the price of gigabytes.
    #[test]
    fn scratch_space_is_bounded() {
        for rows in [197, 2305, MAX_BATCH * MAX_TOKENS] {
            for (outputs, inputs) in [
                (768, 3072),
                (MAX_WIDTH, MAX_INNER),
                (2 * MAX_INNER, MAX_WIDTH),
            ] {
                let shape = Shape {
                    rows: rows as u32,
                    outputs: outputs as u32,
                    inputs: inputs as u32,
                };
                for target in [Target::ORIN_NANO, Target::AGX_ORIN] {
                    let candidates = Tiling::candidates(&shape, &target);
                    let most = candidates.iter().map(|tiling| tiling.partial_bytes(&shape));
                    assert!(most.max() <= Some(MAX_PARTIAL_BYTES), "{shape:?}");
                }
            }
        }
    }
}
