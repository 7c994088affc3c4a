//! What an image may measure.

use mergevit_kernels::frame::MAX_SIDE;

/// Most bytes of a file: more than the largest image takes without any compression, 8 bytes a pixel.
pub const MAX_FILE: u64 = 8 * (MAX_SIDE * MAX_SIDE) as u64 + (1 << 20);

/// Most bytes that decoding may take beside the file: pixels of 8 bytes, and as much again to decode them.
pub(super) const MAX_DECODED: u64 = 16 * (MAX_SIDE * MAX_SIDE) as u64;
