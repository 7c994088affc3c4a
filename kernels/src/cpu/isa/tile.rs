//! The register-tiled inner loops of [`Isa::block`] and [`Isa::along`] for sets that have a four-byte dot product.

use super::{Block, CHANNELS, Dot4, Isa, MAX_VECTORS, Sums};

/// Bytes along K between two requests of [`tile`] for what is needed next.
const STEP: usize = 16;

/// [`Isa::block`].
///
/// `ROWS` weight rows by `VECTORS` vectors of tokens stay in registers; a step of 4 along K loads
/// `VECTORS` panel vectors, and repeats `ROWS` words of weights straight from the pack.
///
/// # Safety
/// As [`Isa::block`], with `VECTORS` for `vectors`; `ROWS` divides [`CHANNELS`].
#[inline(always)]
pub(in crate::cpu) unsafe fn tile<I: Dot4, const ROWS: usize, const VECTORS: usize>(
    isa: I,
    block: &Block,
    start: &[i32; CHANNELS],
    sums: &mut Sums,
) {
    const { assert!(CHANNELS.is_multiple_of(ROWS) && VECTORS <= MAX_VECTORS) };
    let steps = CHANNELS / ROWS * (block.inner / STEP).max(1);
    let lines = block.ahead.lines.div_ceil(steps);
    let (mut ahead, end) = (
        block.ahead.start,
        block.ahead.start.wrapping_add(64 * block.ahead.lines),
    );
    for first in (0..CHANNELS).step_by(ROWS) {
        if first >= block.rows {
            break;
        }
        let mut acc = [[isa.splat_i32(0); VECTORS]; ROWS];
        for (acc, &start) in acc.iter_mut().zip(&start[first..]) {
            *acc = [isa.splat_i32(start); VECTORS];
        }
        // SAFETY: the caller vouches for rows `first..first + ROWS` of the weights and `VECTORS` vectors
        // of the panel; `k` stays below `inner`.
        unsafe {
            let weights = block.weights.add(first * block.weight_stride);
            let whole = block.inner / STEP * STEP;
            for k0 in (0..whole).step_by(STEP) {
                for _ in 0..lines {
                    isa.prefetch(ahead);
                    ahead = end.min(ahead.wrapping_add(64));
                }
                for k in (k0..k0 + STEP).step_by(4) {
                    multiply(isa, block, weights, k, &mut acc);
                }
            }
            for k in (whole..block.inner).step_by(4) {
                multiply(isa, block, weights, k, &mut acc);
            }
        }
        store_sums(isa, &acc, first, sums);
    }
}

/// Adds the products of four bytes along K, `k` and the next ones, of rows from `weights` on.
///
/// # Safety
/// These bytes of the rows and of the panel must be readable.
#[inline(always)]
unsafe fn multiply<I: Dot4, const ROWS: usize, const VECTORS: usize>(
    isa: I,
    block: &Block,
    weights: *const i8,
    k: usize,
    acc: &mut [[I::I32; VECTORS]; ROWS],
) {
    // SAFETY: the caller's.
    unsafe {
        let bytes = load_vectors::<I, VECTORS>(isa, block, k * I::LANES);
        for (row, acc) in acc.iter_mut().enumerate() {
            let w = isa.splat_bytes(weights.add(row * block.weight_stride + k));
            for (acc, &bytes) in acc.iter_mut().zip(&bytes) {
                *acc = isa.dot4(*acc, bytes, w);
            }
        }
    }
}

/// [`Isa::along`]: a step of a whole vector along K loads `TOKENS` vectors of tokens' bytes and `ROWS` of
/// weights.
///
/// # Safety
/// As [`Isa::along`], with `TOKENS` for `tokens`; `ROWS` divides [`CHANNELS`].
#[inline(always)]
pub(in crate::cpu) unsafe fn tile_along<I: Dot4, const ROWS: usize, const TOKENS: usize>(
    isa: I,
    block: &Block,
    sums: &mut Sums,
) {
    const { assert!(CHANNELS.is_multiple_of(ROWS) && TOKENS <= MAX_VECTORS) };
    for first in (0..CHANNELS).step_by(ROWS) {
        let mut acc = [[isa.splat_i32(0); TOKENS]; ROWS];
        // SAFETY: the caller vouches for rows `first..first + ROWS` of the weights and `TOKENS` rows of tokens;
        // `k` stays below `inner`, a multiple of the step.
        unsafe {
            let weights = block.weights.add(first * block.weight_stride);
            for k in (0..block.inner).step_by(4 * I::LANES) {
                let bytes = load_vectors::<I, TOKENS>(isa, block, k);
                for (row, acc) in acc.iter_mut().enumerate() {
                    let w = weights.add(row * block.weight_stride + k);
                    let w = isa.load_words(std::slice::from_raw_parts(w, 4 * I::LANES));
                    for (acc, &bytes) in acc.iter_mut().zip(&bytes) {
                        *acc = isa.dot4(*acc, bytes, w);
                    }
                }
            }
        }
        store_sums(isa, &acc, first, sums);
    }
}

/// The vectors at `offset` of each of `COUNT` vectors, or rows, of the panel.
///
/// # Safety
/// They must be readable.
#[inline(always)]
unsafe fn load_vectors<I: Dot4, const COUNT: usize>(
    isa: I,
    block: &Block,
    offset: usize,
) -> [I::Bytes; COUNT] {
    // SAFETY: the caller's.
    unsafe {
        let mut bytes = [isa.load_bytes(block.panel.add(offset)); COUNT];
        for (v, bytes) in bytes.iter_mut().enumerate().skip(1) {
            *bytes = isa.load_bytes(block.panel.add(v * block.vector_stride + offset));
        }
        bytes
    }
}

#[inline(always)]
fn store_sums<I: Isa, const ROWS: usize, const VECTORS: usize>(
    isa: I,
    acc: &[[I::I32; VECTORS]; ROWS],
    first: usize,
    sums: &mut Sums,
) {
    for (row, acc) in acc.iter().enumerate() {
        for (v, &acc) in acc.iter().enumerate() {
            isa.store_i32(
                acc,
                &mut sums.0[((first + row) * I::VECTORS + v) * I::LANES..],
            );
        }
    }
}
