//! A launch: which kernel, on what grid, with what parameters.

use crate::device::shared::MAX_WARPS;
use crate::op::{Kernel, LANES};

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

/// A launch's sizes.
pub(crate) struct Shape {
    pub(crate) blocks: u32,
    /// Of a block.
    pub(crate) warps: usize,
    /// Of a block, static and dynamic.
    pub(crate) shared_bytes: usize,
}

impl Shape {
    /// The sizes of `launch`, or why no device would accept it.
    pub(crate) fn check(kernel: &Kernel, launch: &Launch<'_>) -> Result<Self, String> {
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
