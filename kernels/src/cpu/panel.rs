//! Activation panels: rows of tokens interleaved so that a vector holds 4 bytes each of `LANES` tokens.
//!
//! Layout `[vector][K / 4][lane][4]`: what a four-byte dot product wants with one token a lane, and what
//! AMX wants as its second operand. Weights stay where the pack has them; the activations of one layer
//! are small, so they are the ones that move (150 KB for 197 tokens of ViT-B).

use super::isa::{Isa, MAX_LANES};

/// Bytes of the panel of `rows` tokens with `inner` bytes each.
pub(super) const fn panel_bytes(rows: usize, inner: usize) -> usize {
    rows.next_multiple_of(MAX_LANES) * inner
}

/// Interleaves up to `LANES` rows of `inner` bytes, `stride` apart, into one vector of the panel.
///
/// `from` starts at the first row and ends with the last one; missing rows become zeros, and so do bytes up to a
/// multiple of `4 * LANES`. Every byte is XORed with `mask`.
#[inline(always)]
pub(super) fn interleave<I: Isa>(
    isa: I,
    from: &[i8],
    stride: usize,
    inner: usize,
    mask: u8,
    to: &mut [i32],
) {
    let mask = isa.splat_i32(i32::from_ne_bytes([mask; 4]));
    let rows = from.len().div_ceil(stride).min(I::LANES);
    let mut square = [isa.splat_i32(0); MAX_LANES];
    for k in (0..inner).step_by(4 * I::LANES) {
        for (lane, words) in square[..I::LANES].iter_mut().enumerate() {
            *words = if lane >= rows {
                isa.splat_i32(0)
            } else if inner - k >= 4 * I::LANES {
                isa.load_words(&from[lane * stride + k..][..4 * I::LANES])
            } else {
                let mut bytes = [0i8; 4 * MAX_LANES];
                bytes[..inner - k].copy_from_slice(&from[lane * stride + k..][..inner - k]);
                isa.load_words(&bytes)
            };
        }
        isa.transpose(&mut square[..I::LANES]);
        for (step, &words) in square[..I::LANES].iter().enumerate() {
            isa.store_i32(
                isa.xor_i32(words, mask),
                &mut to[(k / 4 + step) * I::LANES..],
            );
        }
    }
}

/// Copies a row, every byte XORed with `mask`.
#[inline(always)]
pub(super) fn copy<I: Isa>(isa: I, from: &[i8], mask: u8, to: &mut [i32]) {
    let mask = isa.splat_i32(i32::from_ne_bytes([mask; 4]));
    let vectors = from.chunks_exact(4 * I::LANES);
    for (from, to) in vectors.zip(to.chunks_exact_mut(I::LANES)) {
        isa.store_i32(isa.xor_i32(isa.load_words(from), mask), to);
    }
}
