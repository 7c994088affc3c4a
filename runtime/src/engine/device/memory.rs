//! What a pack's plans need of a device's memory, beside the weights.

use super::super::executor::plan;
use super::super::output::BEST;
use super::inbox::Inbox;
use super::tilings::{Layer, Tilings};
use super::weights::ALIGN;
use crate::config::Ranking;
use crate::pack::Pack;
use crate::plan::{MergeOp, Op, Plan};
use mergevit_kernels::cuda::{
    Address, Best, Device, DeviceError, DeviceErrorKind, HeadWidth, Shared, attention_shared_bytes,
    merge_match_shared_bytes,
};
use mergevit_kernels::math::log2_table;

/// A width of heads as kernels are compiled for it.
pub(super) fn head_width(channels: usize) -> HeadWidth {
    HeadWidth::of(channels).expect("a valid pack's heads have a width that kernels take")
}

/// Bytes of each array: the most that any plan needs.
#[derive(Clone, Copy, Debug, Default)]
struct Needs {
    arena: usize,
    /// Sums of parts of a linear layer.
    partial: usize,
    /// Counters of a linear layer, or one for each image whose tokens merge.
    arrived: usize,
    /// A similarity, or a partner, for each A token.
    matching: usize,
    /// A score for each token and head, where the class token's attention ranks.
    class_scores: usize,
    /// Pooled vectors in f16.
    pooled: usize,
    pixels: usize,
    patches: usize,
    outputs: usize,
    sizes: usize,
    /// Shared memory of a block.
    block: usize,
}

impl Needs {
    fn new(pack: &Pack, max_batch: usize, tilings: &Tilings) -> Self {
        let mut needs = Self::default();
        for schedule in pack.schedules() {
            for batch in 1..=max_batch {
                needs.include(&plan(pack.config(), schedule, batch), tilings);
            }
        }
        needs
    }

    fn include(&mut self, plan: &Plan, tilings: &Tilings) {
        let most = |all: &mut usize, one: usize| *all = (*all).max(one);
        most(&mut self.arena, plan.arena_len());
        most(&mut self.pixels, plan.pixels().len);
        most(&mut self.patches, plan.patchify().patches.len);
        most(&mut self.outputs, plan.output().len);
        most(&mut self.sizes, plan.sizes().len);
        for op in plan.ops() {
            if let Some(layer) = Layer::of(&op) {
                for tiling in tilings.possible(&layer) {
                    let counters = tiling.counters(&layer.shape) * size_of::<u32>();
                    most(&mut self.arrived, counters);
                    most(&mut self.partial, tiling.partial_bytes(&layer.shape));
                    most(&mut self.block, tiling.tile.shared_bytes() as usize);
                }
            }
            match op {
                Op::Attention(op) => {
                    let head_width = head_width(op.head_width);
                    let block = attention_shared_bytes(op.tokens as u32, head_width);
                    most(&mut self.block, block as usize);
                }
                Op::PoolAttention(op) => {
                    let head_width = head_width(op.head_width);
                    let block = attention_shared_bytes(op.tokens as u32, head_width);
                    most(&mut self.block, block as usize);
                }
                Op::FinalNorm(op) => most(&mut self.pooled, op.input.len),
                Op::Merge(MergeOp { shape, ranking, .. }) => {
                    let sources = shape.batch * shape.tokens.div_ceil(2);
                    most(&mut self.matching, sources * size_of::<u32>());
                    most(&mut self.arrived, shape.batch * size_of::<u32>());
                    if ranking == Ranking::ClassAttention {
                        let scores = shape.batch * shape.heads * shape.tokens;
                        most(&mut self.class_scores, scores * size_of::<f32>());
                    }
                    let head_width = head_width(shape.head_width);
                    let block = merge_match_shared_bytes(shape.tokens as u32, head_width);
                    most(&mut self.block, block as usize);
                }
                _ => {}
            }
        }
    }
}

/// Where the device sees everything that launches work on, beside the weights.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Addresses {
    pub(super) arena: Address,
    /// (MAX_TOKENS + 1) f32
    pub(super) log2_size: Address,
    pub(super) partial: Address,
    pub(super) arrived: Address,
    /// (B, ceil(T / 2)) f32
    pub(super) similarity: Address,
    /// (B, ceil(T / 2)) u32
    pub(super) partner: Address,
    /// (B, H, T) f32
    pub(super) class_scores: Address,
    /// (B, V) f16, where nobody reads it
    pub(super) pooled: Address,
    /// (B, S, S, 3) u8
    pub(super) pixels: Address,
    /// (B, patches, K) i8
    pub(super) patches: Address,
    /// (B, outputs) f32, where the host sees them
    pub(super) host_outputs: Address,
    /// (B, T) u32, where the host sees them
    pub(super) host_sizes: Address,
    /// (B, [`BEST`]) largest outputs and their places, where the host sees them
    pub(super) host_best: Address,
}

/// A device's memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Memory {
    pub(super) addresses: Addresses,
    pub(super) arena_len: usize,
    pub(super) pixels: Inbox,
    /// What the host sees of the results: outputs, sizes from the first offset on, best classes from the
    /// second.
    pub(super) results: Shared,
    pub(super) offsets: [usize; 2],
}

impl Memory {
    /// Reserves what every schedule and every batch of up to `max_batch` images needs.
    pub(super) fn new(
        pack: &Pack,
        max_batch: usize,
        tilings: &Tilings,
        device: &mut dyn Device,
    ) -> Result<Self, DeviceError> {
        let target = device.target();
        let needs = Needs::new(pack, max_batch, tilings);
        if needs.block > target.shared_bytes as usize {
            return Err(DeviceError::new(
                DeviceErrorKind::Unsupported,
                device.name(),
                format!("run images of {} tokens", pack.config().tokens()),
                format!(
                    "a block has {} bytes of shared memory, {} are needed",
                    target.shared_bytes, needs.block
                ),
            ));
        }
        let log2 = log2_table();
        let log2: &[u8] = bytemuck::cast_slice(&log2);
        let scratch = [
            needs.arena,
            log2.len(),
            needs.partial,
            needs.arrived,
            needs.matching,
            needs.matching,
            needs.class_scores,
            needs.pooled,
            needs.patches,
        ];
        let aligned = |bytes: &usize| bytes.next_multiple_of(ALIGN);
        let mut next = device.allocate(scratch.iter().map(aligned).sum())?;
        let [
            arena,
            log2_size,
            partial,
            arrived,
            similarity,
            partner,
            class_scores,
            pooled,
            patches,
        ] = scratch.map(|bytes| {
            let address = next;
            next = next.offset(aligned(&bytes));
            address
        });
        device.write(log2_size, log2)?;
        let pixels = Inbox::new(needs.pixels, device)?;
        let sizes = aligned(&needs.outputs);
        let best = sizes + aligned(&needs.sizes);
        let results = device.allocate_shared(best + max_batch * BEST * size_of::<Best>())?;
        let host = device.shared_address(results);
        Ok(Self {
            addresses: Addresses {
                arena,
                log2_size,
                partial,
                arrived,
                similarity,
                partner,
                class_scores,
                pooled,
                pixels: pixels.address,
                patches,
                host_outputs: host,
                host_sizes: host.offset(sizes),
                host_best: host.offset(best),
            },
            arena_len: needs.arena,
            pixels,
            results,
            offsets: [sizes, best],
        })
    }
}
