//! Pieces of the arena, and what operations do with them.

pub use mergevit_kernels::cuda::Access;
use std::ops::Range;

/// Bytes of the arena, at a multiple of 64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// First byte.
    pub offset: usize,
    /// Bytes.
    pub len: usize,
}

impl Span {
    /// No bytes, which share none with any other span: stands for what an operation does not have.
    pub const EMPTY: Self = Self { offset: 0, len: 0 };

    /// As a range of the arena's bytes.
    pub const fn range(self) -> Range<usize> {
        self.offset..self.offset + self.len
    }
}
