//! How long one launch takes on a module: what its blocks need of an SM, and what nothing hides.

use super::module::Module;
use super::range::Range;
use mergevit_kernels::cuda::Launch;

/// Bytes that an SM's shared memory moves per clock: 32 banks of four ("Shared Memory", CUDA C++ programming guide,
/// compute capability 8.x).
const SHARED_PER_CLOCK: f64 = 128.0;

/// Instructions that one SM's four schedulers issue per clock.
const ISSUED_PER_CLOCK: f64 = 4.0;

/// Machine code instructions for one of PTX, which is what launches count: as counted in the inner loops of attention,
/// or none fewer.
const INSTRUCTIONS: Range = Range::new(0.75, 1.0);

/// Share of what binds less than the most that is not hidden behind it: none, or an assumption, fitted to nothing.
const EXPOSED: Range = Range::new(0.0, 0.15);

/// Clocks from an instruction of a warp to its next one if no other warp had anything to do: as stalls sum up to in the two
/// inner loops of attention. Those of linear layers have more, but most of theirs wait for Tensor Cores.
const WARP_CLOCKS: Range = Range::new(1.4, 3.0);

/// Clocks from a block's start to its first product or sum: parameters, addresses, data from L2 or from memory, a barrier.
/// Paid once by a launch; by each further round of blocks unless others still run. A block that computes several items
/// has the next one's data by then, and pays for its addresses. Assumptions.
const FILL: Range = Range::new(500.0, 1200.0);
const REFILL: Range = Range::new(0.0, 600.0);
const NEXT: Range = Range::new(0.0, 150.0);

/// One launch on a module. Microseconds that all its SMs would need if blocks were spread evenly, and what it takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LaunchTime {
    /// Of multiplications on Tensor Cores.
    pub(super) compute_us: f64,
    /// Of instructions.
    pub(super) issue_us: f64,
    /// Of traffic through shared memory.
    pub(super) shared_us: f64,
    /// From the start of its first block to the end of its last one, if memory kept pace.
    pub(super) busy_us: Range,
}

impl LaunchTime {
    pub(super) fn new(launch: &Launch, module: &Module) -> Self {
        let work = &launch.work;
        let sms = f64::from(module.multiprocessors);
        let us = |clocks: f64| 1e6 * clocks / module.clock_hz;
        let compute_us = us(work.tensor_macs as f64 / sms / module.macs_per_clock);
        let issue_us = us(work.instructions as f64 / sms / ISSUED_PER_CLOCK);
        let shared_us = us(work.shared_bytes as f64 / sms / SHARED_PER_CLOCK);

        let (blocks, items) = (launch.grid.iter().product::<u32>(), launch.items);
        let busiest = items.div_ceil(module.multiprocessors);
        let imbalance = f64::from(busiest) * sms / f64::from(items);
        let bound = |issue_us: f64, exposed: f64| {
            let most = compute_us.max(issue_us).max(shared_us);
            imbalance * (most + exposed * (compute_us + issue_us + shared_us - most))
        };
        let bound = Range::new(
            bound(INSTRUCTIONS.low * issue_us, EXPOSED.low),
            bound(INSTRUCTIONS.high * issue_us, EXPOSED.high),
        );
        // As long as its warps take one after another that cannot be on an SM together.
        let rounds = f64::from(busiest.div_ceil(launch.resident));
        let warps = f64::from(items * launch.threads.div_ceil(32));
        let chain = WARP_CLOCKS * us(rounds * work.instructions as f64 / warps);
        let again = if blocks < items { NEXT } else { REFILL };
        let fill = FILL * us(1.0) + again * us(rounds - 1.0);
        Self {
            compute_us,
            issue_us,
            shared_us,
            busy_us: bound.max(chain) + fill,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_kernels::cuda::gemm::{self, Epilogue, Operands, Shape, Tile, Tiling};

    fn busy_us(rows: u32, blocks: u32) -> Range {
        let shape = Shape {
            rows,
            outputs: 2304,
            inputs: 768,
        };
        let tiling = Tiling::new(Tile::T64x128, 1).with_blocks(blocks);
        let operands = Operands::default();
        let launch = gemm::linear(&shape, &tiling, &operands, &Epilogue::Requantize);
        LaunchTime::new(&launch, &Module::ORIN_NANO_SUPER).busy_us
    }

    /// The same work, but the pipeline is filled once.
    #[test]
    fn blocks_that_compute_several_tiles_fill_their_pipeline_once() {
        let (one_each, several) = (busy_us(197, 72), busy_us(197, 24));
        assert_eq!(one_each, busy_us(197, u32::MAX));
        assert!(several.high < one_each.high, "{several:?}, {one_each:?}");
        // At best, blocks that start have others run beside them.
        assert!(several.low <= one_each.low, "{several:?}, {one_each:?}");
        // All at once: there is no second tile.
        assert_eq!(busy_us(64, 24), busy_us(64, 18));
    }
}
