//! Pieces of the arena, and what operations do with them.

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
    /// As a range of the arena's bytes.
    pub const fn range(self) -> Range<usize> {
        self.offset..self.offset + self.len
    }
}

/// What an operation does with a span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads it.
    Read,
    /// Writes all of it.
    Write,
    /// Reads and writes it.
    Update,
}

impl Access {
    /// Whether the operation needs what the span held before.
    pub const fn reads(self) -> bool {
        !matches!(self, Self::Write)
    }

    /// Whether the operation changes the span.
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Read)
    }
}
