//! Scratch space, reserved once, aligned to cache lines.

/// A zeroed slice of 4-byte words that starts on a cache line.
///
/// Vector loads of 64 bytes that straddle cache lines run at half speed; `Vec` aligns to 4 or 16 bytes.
#[derive(Debug)]
pub(super) struct Scratch {
    words: Vec<i32>,
    skip: usize,
    len: usize,
}

const LINE_BYTES: usize = 64;

impl Scratch {
    pub(super) fn new(len: usize) -> Self {
        let words = vec![0i32; len + LINE_BYTES / 4];
        // `align_offset` may give usize::MAX in theory; the slice is then merely not aligned.
        let skip = words.as_ptr().align_offset(LINE_BYTES).min(LINE_BYTES / 4);
        Self { words, skip, len }
    }

    pub(super) fn words(&mut self) -> &mut [i32] {
        &mut self.words[self.skip..][..self.len]
    }
}
