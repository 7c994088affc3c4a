//! A launch as data.

use super::address::Accesses;
use super::kernel::Kernel;
use super::params::Params;
use super::resident::resident;
use super::work::Work;

/// Most bytes of a kernel's parameter.
const MAX_PARAMS: usize = 176;

/// One kernel on a grid of blocks.
#[derive(Clone, Copy, Debug)]
pub struct Launch {
    /// Which kernel.
    pub kernel: Kernel,
    /// Blocks in x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block.
    pub threads: u32,
    /// Dynamic shared memory of a block, in bytes.
    pub shared_bytes: u32,
    /// What it costs.
    pub work: Work,
    /// Blocks that an SM of Orin holds at once.
    pub resident: u32,
    /// Equal pieces of work, of which blocks take one after another; as many as there are blocks where each takes one.
    pub items: u32,
    params: [u64; MAX_PARAMS / 8],
    params_len: usize,
    /// Knows the parameter's type.
    accesses: fn(&Self) -> Accesses,
}

impl Launch {
    pub(super) fn new<P: Params>(
        kernel: Kernel,
        grid: [u32; 3],
        threads: u32,
        shared_bytes: u32,
        params: &P,
    ) -> Self {
        const { assert!(size_of::<P>() <= MAX_PARAMS) };
        let mut words = [0; MAX_PARAMS / 8];
        let len = size_of::<P>();
        bytemuck::cast_slice_mut(&mut words)[..len].copy_from_slice(bytemuck::bytes_of(params));
        Self {
            kernel,
            grid,
            threads,
            shared_bytes,
            work: Work::default(),
            resident: resident(kernel, threads, shared_bytes),
            items: grid.iter().product(),
            params: words,
            params_len: len,
            accesses: |launch| {
                let params: P = bytemuck::pod_read_unaligned(launch.params());
                params.accesses(launch.kernel, launch.grid)
            },
        }
    }

    pub(super) fn with_work(self, work: Work) -> Self {
        Self { work, ..self }
    }

    pub(super) fn with_items(self, items: u32) -> Self {
        Self { items, ..self }
    }

    /// The bytes of its parameter, at a multiple of 8 bytes.
    pub fn params(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.params)[..self.params_len]
    }

    /// The device memory that it accesses. Does not allocate.
    pub fn accesses(&self) -> Accesses {
        (self.accesses)(self)
    }
}
