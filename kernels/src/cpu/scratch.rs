//! Scratch space, reserved once, aligned to cache lines.

use crate::memory::{OutOfMemory, zeroed};

/// A zeroed slice of 4-byte words that starts on a cache line.
///
/// Vector loads of 64 bytes that straddle cache lines run at half speed; `Vec` aligns to 4 or 16 bytes.
#[derive(Debug)]
pub(super) struct Scratch {
    words: Box<[i32]>,
    skip: usize,
    len: usize,
}

const LINE_BYTES: usize = 64;

/// What all scratch space is for, in errors.
pub(super) const SCRATCH: &str = "scratch space";

impl Scratch {
    pub(super) fn new(len: usize) -> Result<Self, OutOfMemory> {
        let words = zeroed::<i32>(len + LINE_BYTES / 4, SCRATCH)?;
        // `align_offset` may give usize::MAX in theory; the slice is then merely not aligned.
        let skip = words.as_ptr().align_offset(LINE_BYTES).min(LINE_BYTES / 4);
        Ok(Self { words, skip, len })
    }

    pub(super) fn words(&mut self) -> &mut [i32] {
        &mut self.words[self.skip..][..self.len]
    }
}
