//! A launch: blocks one after another.

use crate::block::Block;
use crate::counts::Counts;
use crate::device::memory::{Memory, Place};
use crate::device::shared::{MAX_WARPS, Shared};
use crate::device::visibility::{BlockView, Releases};
use crate::exec::Surroundings;
use crate::fault::{Fault, Rule};
use crate::module::Module;
use crate::op::{Kernel, LANES};
use crate::options::{BlockOrder, Options, Random};

/// Most shared memory of a block: that of compute capability 8.0 (CUDA C++ Programming Guide, "Technical
/// Specifications per Compute Capability").
const MAX_SHARED_BYTES: u32 = 163 * 1024;

/// A kernel on a grid of blocks.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// The kernel's name.
    pub kernel: &'a str,
    /// Blocks in x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block in x, y, z.
    pub block: [u32; 3],
    /// Dynamic shared memory of a block, in bytes.
    pub shared_bytes: u32,
    /// The parameters, laid out as the kernel's `.param` list says: each at a multiple of its alignment.
    pub params: &'a [u8],
}

/// Runs a kernel to its end.
///
/// # Errors
/// [`Fault`]: the first rule that the kernel breaks, or a launch that no device would accept. What was written so
/// far stays written.
pub fn run(
    module: &Module,
    launch: &Launch<'_>,
    memory: &mut Memory,
    options: &Options,
) -> Result<Counts, Fault> {
    let refuse = |what: String| Fault {
        kernel: launch.kernel.into(),
        line: 0,
        instruction: "".into(),
        block: [0; 3],
        threads: Box::default(),
        rule: Rule::Launch(what),
    };
    let kernel = module
        .kernels
        .iter()
        .find(|kernel| kernel.name == launch.kernel);
    let kernel = kernel.ok_or_else(|| refuse("the image has no such kernel".into()))?;
    let shape = Shape::check(kernel, launch).map_err(refuse)?;
    let checks = options.checks;
    let first = memory.begin_launch();
    let around = Surroundings {
        image: &module.image,
        params: launch.params,
        shared: Shared::new(
            shape.shared_bytes,
            (checks.initialised, checks.shared_races),
        ),
        view: BlockView::new(first, (checks.initialised, checks.global_races)),
        releases: Releases::default(),
        counts: Counts::default(),
        hint: Place::START,
        initialised: checks.initialised,
        memory,
    };
    let mut block = Block::new(kernel, launch, shape.warps, around, options);
    for index in order(options.order, shape.blocks) {
        block.run(index).map_err(|failure| failure.name(module))?;
    }
    Ok(block.into_counts())
}

/// A launch's sizes.
struct Shape {
    blocks: u32,
    warps: usize,
    shared_bytes: usize,
}

impl Shape {
    fn check(kernel: &Kernel, launch: &Launch<'_>) -> Result<Self, String> {
        let product = |sizes: [u32; 3]| sizes.iter().try_fold(1u32, |all, &n| all.checked_mul(n));
        let threads = product(launch.block).filter(|&threads| threads > 0);
        let threads = threads.ok_or_else(|| format!("blocks of {:?} threads", launch.block))?;
        let most = kernel
            .max_threads
            .unwrap_or(u32::MAX)
            .min((MAX_WARPS * LANES) as u32);
        if threads > most {
            return Err(format!("blocks of {threads} threads, at most {most}"));
        }
        let blocks = product(launch.grid).filter(|&blocks| blocks > 0);
        let blocks = blocks.ok_or_else(|| format!("a grid of {:?} blocks", launch.grid))?;
        if launch.params.len() != kernel.params.bytes as usize {
            let (found, wanted) = (launch.params.len(), kernel.params.bytes);
            return Err(format!("{found} bytes of parameters, expected {wanted}"));
        }
        let shared = kernel
            .shared
            .bytes
            .next_multiple_of(kernel.shared.align.max(1));
        let shared = shared.saturating_add(launch.shared_bytes);
        if shared > MAX_SHARED_BYTES {
            return Err(format!(
                "{shared} bytes of shared memory, at most {MAX_SHARED_BYTES}"
            ));
        }
        Ok(Self {
            blocks,
            warps: threads.div_ceil(LANES as u32) as usize,
            shared_bytes: shared as usize,
        })
    }
}

fn order(order: BlockOrder, blocks: u32) -> Vec<u32> {
    let mut indices: Vec<u32> = (0..blocks).collect();
    match order {
        BlockOrder::Ascending => {}
        BlockOrder::Descending => indices.reverse(),
        BlockOrder::Shuffled(seed) => {
            let mut random = Random::new(seed);
            for i in (1..indices.len()).rev() {
                indices.swap(i, random.below(i + 1));
            }
        }
    }
    indices
}
