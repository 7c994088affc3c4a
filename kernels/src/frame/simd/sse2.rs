//! SSE2, which belongs to x86-64: four lanes.

use std::arch::x86_64::*;

use super::{HALF, word};
use crate::frame::filter::PRECISION_BITS;
use crate::frame::table::LOW_BITS;
use crate::frame::vector::{Pair, Vector};

/// Sums of samples times the low halves of coefficients, and times the high halves.
#[derive(Clone, Copy)]
pub(super) struct Sse2([__m128i; 2]);

#[inline(always)]
fn load(samples: &[i16]) -> __m128i {
    let samples = &samples[..8];
    // SAFETY: SSE2 belongs to x86-64; the slice is as long as the vector, and the load needs no alignment.
    unsafe { _mm_loadu_si128(samples.as_ptr().cast()) }
}

#[inline(always)]
fn store(samples: &mut [i16], value: __m128i) {
    let samples = &mut samples[..8];
    // SAFETY: SSE2 belongs to x86-64; the slice is as long as the vector, and the store needs no alignment.
    unsafe { _mm_storeu_si128(samples.as_mut_ptr().cast(), value) };
}

/// Two vectors' lanes as samples: a pair of `a`, one of `b`, a pair of `a`, one of `b`.
#[inline(always)]
fn pairs(a: __m128i, b: __m128i) -> __m128i {
    // SAFETY: SSE2 belongs to x86-64.
    unsafe {
        let samples = _mm_min_epi16(_mm_packs_epi32(a, b), _mm_set1_epi16(255));
        _mm_shuffle_epi32::<0b11_01_10_00>(_mm_max_epi16(samples, _mm_setzero_si128()))
    }
}

impl Vector for Sse2 {
    const LANES: usize = 4;

    type Samples = __m128i;
    type Weights = [__m128i; 2];
    type Rounded = __m128i;

    #[inline(always)]
    fn zero() -> Self {
        // SAFETY: SSE2 belongs to x86-64.
        Self(unsafe { [_mm_setzero_si128(); 2] })
    }

    #[inline(always)]
    fn load(samples: &[i16]) -> __m128i {
        load(samples)
    }

    #[inline(always)]
    fn weights([low, high]: &Pair) -> [__m128i; 2] {
        // SAFETY: SSE2 belongs to x86-64.
        unsafe { [_mm_set1_epi32(word(*low)), _mm_set1_epi32(word(*high))] }
    }

    #[inline(always)]
    fn multiply_add(self, samples: __m128i, [low, high]: [__m128i; 2]) -> Self {
        let Self([low_sums, high_sums]) = self;
        // SAFETY: SSE2 belongs to x86-64.
        Self(unsafe {
            [
                _mm_add_epi32(low_sums, _mm_madd_epi16(samples, low)),
                _mm_add_epi32(high_sums, _mm_madd_epi16(samples, high)),
            ]
        })
    }

    #[inline(always)]
    fn round(self) -> __m128i {
        let Self([low, high]) = self;
        // SAFETY: SSE2 belongs to x86-64.
        unsafe {
            let sums = _mm_add_epi32(low, _mm_slli_epi32::<{ LOW_BITS as i32 }>(high));
            let sums = _mm_add_epi32(sums, _mm_set1_epi32(HALF));
            _mm_srai_epi32::<{ PRECISION_BITS as i32 }>(sums)
        }
    }

    #[inline(always)]
    fn transpose(rows: &[i16], row: usize, out: &mut [i16], step: usize) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| load(&rows[i * row..]));
        // SAFETY: SSE2 belongs to x86-64.
        let columns = unsafe {
            let (ab, cd) = (_mm_unpacklo_epi32(a, b), _mm_unpacklo_epi32(c, d));
            let (ef, gh) = (_mm_unpackhi_epi32(a, b), _mm_unpackhi_epi32(c, d));
            [
                _mm_unpacklo_epi64(ab, cd),
                _mm_unpackhi_epi64(ab, cd),
                _mm_unpacklo_epi64(ef, gh),
                _mm_unpackhi_epi64(ef, gh),
            ]
        };
        for (i, column) in columns.into_iter().enumerate() {
            store(&mut out[i * step..], column);
        }
    }

    #[inline(always)]
    fn store_pairs([a, b, c, d]: [__m128i; 4], out: &mut [i16], step: usize) {
        let (ab, cd) = (pairs(a, b), pairs(c, d));
        // SAFETY: SSE2 belongs to x86-64.
        let (first, second) = unsafe { (_mm_unpacklo_epi64(ab, cd), _mm_unpackhi_epi64(ab, cd)) };
        store(out, first);
        store(&mut out[step..], second);
    }

    #[inline(always)]
    fn store_bytes([a, b, c, d]: [__m128i; 4], out: &mut [u8]) {
        let out = &mut out[..16];
        // SAFETY: SSE2 belongs to x86-64; the slice is as long as the vector, and the store needs no alignment.
        unsafe {
            let packed = _mm_packus_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d));
            _mm_storeu_si128(out.as_mut_ptr().cast(), packed);
        }
    }
}
