//! Bytes on the heap that start at a 64-byte boundary, as packs and the arena need them.

use mergevit_kernels::memory::{self, OutOfMemory};
use std::fmt;
use std::ops::{Deref, DerefMut};

/// Alignment of every section of a pack and of every span of the arena: one cache line.
pub const ALIGN: usize = 64;

#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C, align(64))]
struct Line([u8; ALIGN]);

/// A fixed number of zeroed bytes, 64-byte aligned.
pub struct AlignedBytes {
    lines: Box<[Line]>,
    len: usize,
}

impl AlignedBytes {
    /// `len` zeros.
    pub fn zeroed(len: usize) -> Self {
        Self {
            lines: vec![Line([0; ALIGN]); len.div_ceil(ALIGN)].into(),
            len,
        }
    }

    /// `len` zeros.
    ///
    /// # Errors
    /// [`OutOfMemory`], with `what` they were for.
    pub fn try_zeroed(len: usize, what: &'static str) -> Result<Self, OutOfMemory> {
        let lines = memory::zeroed(len.div_ceil(ALIGN), what)?;
        Ok(Self { lines, len })
    }

    /// A copy of `bytes`.
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut copy = Self::zeroed(bytes.len());
        copy.copy_from_slice(bytes);
        copy
    }
}

impl fmt::Debug for AlignedBytes {
    /// How many there are.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlignedBytes({})", self.len)
    }
}

impl Deref for AlignedBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &bytemuck::cast_slice(&self.lines)[..self.len]
    }
}

impl DerefMut for AlignedBytes {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut bytemuck::cast_slice_mut(&mut self.lines)[..self.len]
    }
}
