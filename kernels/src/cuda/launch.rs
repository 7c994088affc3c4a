//! A launch as data.

use super::images::Image;
use super::params::Params;
use std::fmt;

/// An address in device memory.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, bytemuck::Pod, bytemuck::Zeroable,
)]
#[repr(transparent)]
pub struct Address(pub u64);

impl Address {
    /// No memory: what an optional parameter holds.
    pub const NULL: Self = Self(0);

    /// `bytes` further on.
    #[must_use]
    pub const fn offset(self, bytes: usize) -> Self {
        Self(self.0 + bytes as u64)
    }
}

/// What a device offers: launches depend on it in shape, never in result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// Streaming multiprocessors.
    pub multiprocessors: u32,
    /// Most shared memory of a block, in bytes (`CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN`).
    pub shared_bytes: u32,
}

impl Target {
    /// Orin Nano 8 GB, NX: compute capability 8.7.
    pub const ORIN_NANO: Self = Self {
        multiprocessors: 8,
        shared_bytes: 163 * 1024,
    };

    /// AGX Orin 64 GB.
    pub const AGX_ORIN: Self = Self {
        multiprocessors: 16,
        shared_bytes: 163 * 1024,
    };
}

/// Most bytes of a kernel's parameter.
const MAX_PARAMS: usize = 128;

/// A kernel of an image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    /// The image that holds it.
    pub image: Image,
    /// Its name there.
    pub name: &'static str,
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// What a launch makes an SM do: the basis of estimates. Tests hold it against what the emulator counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// Multiply-accumulates that Tensor Cores execute, those on padding included.
    pub tensor_macs: u64,
    /// Instructions that warps issue, to a few per cent.
    pub instructions: u64,
}

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
    params: [u64; MAX_PARAMS / 8],
    params_len: usize,
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
            params: words,
            params_len: len,
        }
    }

    pub(super) fn with_work(self, work: Work) -> Self {
        Self { work, ..self }
    }

    /// The bytes of its parameter, at a multiple of 8 bytes.
    pub fn params(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.params)[..self.params_len]
    }
}
