//! AVX2: eight lanes, in two halves of four that most instructions keep apart.

use std::arch::x86_64::*;

use super::{HALF, word};
use crate::frame::filter::PRECISION_BITS;
use crate::frame::passes::{Output, Passes};
use crate::frame::table::LOW_BITS;
use crate::frame::vector::{Pair, Vector};
use crate::frame::view::Frame;

#[target_feature(enable = "avx2")]
pub(super) fn run(passes: &mut Passes<'_>, frame: &Frame<'_>, output: &mut Output<'_>) {
    passes.run::<Avx2>(frame, output);
}

/// Private to this file, which names it only within [`run`]: wherever one of the functions below runs, the machine has
/// AVX2.
///
/// Sums of samples times the low halves of coefficients, and times the high halves.
#[derive(Clone, Copy)]
struct Avx2([__m256i; 2]);

/// Calls intrinsics on values. Whatever goes through a pointer is an `unsafe` block of its own.
macro_rules! simd {
    ($($body:tt)*) => {{
        // SAFETY: the machine has AVX2, see the type; no pointer is involved.
        unsafe { $($body)* }
    }};
}

impl Avx2 {
    /// Stores half a vector.
    #[inline(always)]
    fn store_half(samples: &mut [i16], half: __m128i) {
        let samples = &mut samples[..8];
        // SAFETY: the machine has AVX2, see the type; the slice is as long as half a vector, and the store needs no
        // alignment.
        unsafe { _mm_storeu_si128(samples.as_mut_ptr().cast(), half) };
    }

    /// In each half, words to columns: lane i of vector j becomes lane j of vector i.
    #[inline(always)]
    fn transpose_halves([a, b, c, d]: [__m256i; 4]) -> [__m256i; 4] {
        simd! {
            let (ab, cd) = (_mm256_unpacklo_epi32(a, b), _mm256_unpacklo_epi32(c, d));
            let (ef, gh) = (_mm256_unpackhi_epi32(a, b), _mm256_unpackhi_epi32(c, d));
            [
                _mm256_unpacklo_epi64(ab, cd),
                _mm256_unpackhi_epi64(ab, cd),
                _mm256_unpacklo_epi64(ef, gh),
                _mm256_unpackhi_epi64(ef, gh),
            ]
        }
    }

    /// Two vectors' lanes as samples: in each half a pair of `a`, one of `b`, a pair of `a`, one of `b`.
    #[inline(always)]
    fn pairs(a: __m256i, b: __m256i) -> __m256i {
        simd! {
            let samples = _mm256_packs_epi32(a, b);
            let samples = _mm256_min_epi16(samples, _mm256_set1_epi16(255));
            let samples = _mm256_max_epi16(samples, _mm256_setzero_si256());
            _mm256_shuffle_epi32::<0b11_01_10_00>(samples)
        }
    }
}

impl Vector for Avx2 {
    const LANES: usize = 8;

    type Samples = __m256i;
    type Weights = [__m256i; 2];
    type Rounded = __m256i;

    #[inline(always)]
    fn zero() -> Self {
        Self([simd!(_mm256_setzero_si256()); 2])
    }

    #[inline(always)]
    fn load(samples: &[i16]) -> __m256i {
        let samples = &samples[..16];
        // SAFETY: the machine has AVX2, see the type; the slice is as long as the vector, and the load needs no
        // alignment.
        unsafe { _mm256_loadu_si256(samples.as_ptr().cast()) }
    }

    #[inline(always)]
    fn weights([low, high]: &Pair) -> [__m256i; 2] {
        simd!([
            _mm256_set1_epi32(word(*low)),
            _mm256_set1_epi32(word(*high))
        ])
    }

    #[inline(always)]
    fn multiply_add(self, samples: __m256i, [low, high]: [__m256i; 2]) -> Self {
        let Self([low_sums, high_sums]) = self;
        Self(simd! {
            [
                _mm256_add_epi32(low_sums, _mm256_madd_epi16(samples, low)),
                _mm256_add_epi32(high_sums, _mm256_madd_epi16(samples, high)),
            ]
        })
    }

    #[inline(always)]
    fn round(self) -> __m256i {
        let Self([low, high]) = self;
        simd! {
            let sums = _mm256_add_epi32(low, _mm256_slli_epi32::<{ LOW_BITS as i32 }>(high));
            let sums = _mm256_add_epi32(sums, _mm256_set1_epi32(HALF));
            _mm256_srai_epi32::<{ PRECISION_BITS as i32 }>(sums)
        }
    }

    #[inline(always)]
    fn transpose(rows: &[i16], row: usize, out: &mut [i16], step: usize) {
        let mut vectors = [simd!(_mm256_setzero_si256()); 8];
        for (i, vector) in vectors.iter_mut().enumerate() {
            *vector = Self::load(&rows[i * row..]);
        }
        let [a, b, c, d, e, f, g, h] = vectors;
        let upper = Self::transpose_halves([a, b, c, d]);
        let lower = Self::transpose_halves([e, f, g, h]);
        for i in 0..4 {
            let (upper, lower) = (upper[i], lower[i]);
            for (at, half) in [
                (i, simd!(_mm256_permute2x128_si256::<0x20>(upper, lower))),
                (
                    i + 4,
                    simd!(_mm256_permute2x128_si256::<0x31>(upper, lower)),
                ),
            ] {
                let out = &mut out[at * step..][..16];
                // SAFETY: the machine has AVX2, see the type; the slice is as long as the vector, and the store needs
                // no alignment.
                unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), half) };
            }
        }
    }

    #[inline(always)]
    fn store_pairs([a, b, c, d]: [__m256i; 4], out: &mut [i16], step: usize) {
        let (ab, cd) = (Self::pairs(a, b), Self::pairs(c, d));
        let even = simd!(_mm256_unpacklo_epi64(ab, cd));
        let odd = simd!(_mm256_unpackhi_epi64(ab, cd));
        Self::store_half(out, simd!(_mm256_castsi256_si128(even)));
        Self::store_half(&mut out[step..], simd!(_mm256_castsi256_si128(odd)));
        let (even, odd) = (
            simd!(_mm256_extracti128_si256::<1>(even)),
            simd!(_mm256_extracti128_si256::<1>(odd)),
        );
        Self::store_half(&mut out[2 * step..], even);
        Self::store_half(&mut out[3 * step..], odd);
    }

    #[inline(always)]
    fn store_bytes([a, b, c, d]: [__m256i; 4], out: &mut [u8]) {
        let out = &mut out[..32];
        let packed = simd! {
            let packed = _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
            // Packing works on halves: it leaves a0 b0 c0 d0 a1 b1 c1 d1, in groups of four lanes.
            _mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7))
        };
        // SAFETY: the machine has AVX2, see the type; the slice is as long as the vector, and the store needs no
        // alignment.
        unsafe { _mm256_storeu_si256(out.as_mut_ptr().cast(), packed) };
    }
}
