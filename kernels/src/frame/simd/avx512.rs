//! AVX-512 with VNNI: sixteen lanes, in four quarters that most instructions keep apart. `vpdpwssd` multiplies and adds.

use std::arch::x86_64::*;

use super::{HALF, word};
use crate::frame::filter::PRECISION_BITS;
use crate::frame::passes::{Output, Passes};
use crate::frame::table::LOW_BITS;
use crate::frame::vector::{Pair, Vector};
use crate::frame::view::Frame;

#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
pub(super) fn run(passes: &mut Passes<'_>, frame: &Frame<'_>, output: &mut Output<'_>) {
    passes.run::<Avx512>(frame, output);
}

/// Private to this file, which names it only within [`run`]: wherever one of the functions below runs, the machine has
/// AVX-512 F and BW with VNNI.
///
/// Sums of samples times the low halves of coefficients, and times the high halves.
#[derive(Clone, Copy)]
struct Avx512([__m512i; 2]);

/// Calls intrinsics on values. Whatever goes through a pointer is an `unsafe` block of its own.
macro_rules! simd {
    ($($body:tt)*) => {{
        // SAFETY: the machine has AVX-512 F and BW with VNNI, see the type; no pointer is involved.
        unsafe { $($body)* }
    }};
}

impl Avx512 {
    /// Stores a quarter of a vector.
    #[inline(always)]
    fn store_quarter(samples: &mut [i16], quarter: __m128i) {
        let samples = &mut samples[..8];
        // SAFETY: the machine has AVX-512, see the type; the slice is as long as a quarter, and the store needs no
        // alignment.
        unsafe { _mm_storeu_si128(samples.as_mut_ptr().cast(), quarter) };
    }

    /// In each quarter, words to columns: lane i of vector j becomes lane j of vector i.
    #[inline(always)]
    fn transpose_quarters([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
        simd! {
            let (ab, cd) = (_mm512_unpacklo_epi32(a, b), _mm512_unpacklo_epi32(c, d));
            let (ef, gh) = (_mm512_unpackhi_epi32(a, b), _mm512_unpackhi_epi32(c, d));
            [
                _mm512_unpacklo_epi64(ab, cd),
                _mm512_unpackhi_epi64(ab, cd),
                _mm512_unpacklo_epi64(ef, gh),
                _mm512_unpackhi_epi64(ef, gh),
            ]
        }
    }

    /// Quarters to columns: quarter i of vector j becomes quarter j of vector i.
    #[inline(always)]
    fn exchange_quarters([a, b, c, d]: [__m512i; 4]) -> [__m512i; 4] {
        const EVEN: i32 = 0b10_00_10_00;
        const ODD: i32 = 0b11_01_11_01;
        simd! {
            let (ab, cd) = (
                _mm512_shuffle_i32x4::<EVEN>(a, b),
                _mm512_shuffle_i32x4::<EVEN>(c, d),
            );
            let (ef, gh) = (
                _mm512_shuffle_i32x4::<ODD>(a, b),
                _mm512_shuffle_i32x4::<ODD>(c, d),
            );
            [
                _mm512_shuffle_i32x4::<EVEN>(ab, cd),
                _mm512_shuffle_i32x4::<EVEN>(ef, gh),
                _mm512_shuffle_i32x4::<ODD>(ab, cd),
                _mm512_shuffle_i32x4::<ODD>(ef, gh),
            ]
        }
    }

    /// Two vectors' lanes as samples: in each quarter a pair of `a`, one of `b`, a pair of `a`, one of `b`.
    #[inline(always)]
    fn pairs(a: __m512i, b: __m512i) -> __m512i {
        simd! {
            let samples = _mm512_packs_epi32(a, b);
            let samples = _mm512_min_epi16(samples, _mm512_set1_epi16(255));
            let samples = _mm512_max_epi16(samples, _mm512_setzero_si512());
            _mm512_shuffle_epi32::<0b11_01_10_00>(samples)
        }
    }
}

impl Vector for Avx512 {
    const LANES: usize = 16;

    type Samples = __m512i;
    type Weights = [__m512i; 2];
    type Rounded = __m512i;

    #[inline(always)]
    fn zero() -> Self {
        Self([simd!(_mm512_setzero_si512()); 2])
    }

    #[inline(always)]
    fn load(samples: &[i16]) -> __m512i {
        let samples = &samples[..32];
        // SAFETY: the machine has AVX-512, see the type; the slice is as long as the vector, and the load needs no
        // alignment.
        unsafe { _mm512_loadu_si512(samples.as_ptr().cast()) }
    }

    #[inline(always)]
    fn weights([low, high]: &Pair) -> [__m512i; 2] {
        simd!([
            _mm512_set1_epi32(word(*low)),
            _mm512_set1_epi32(word(*high))
        ])
    }

    #[inline(always)]
    fn multiply_add(self, samples: __m512i, [low, high]: [__m512i; 2]) -> Self {
        let Self([low_sums, high_sums]) = self;
        Self(simd! {
            [
                _mm512_dpwssd_epi32(low_sums, samples, low),
                _mm512_dpwssd_epi32(high_sums, samples, high),
            ]
        })
    }

    #[inline(always)]
    fn round(self) -> __m512i {
        let Self([low, high]) = self;
        simd! {
            let sums = _mm512_add_epi32(low, _mm512_slli_epi32::<LOW_BITS>(high));
            let sums = _mm512_add_epi32(sums, _mm512_set1_epi32(HALF));
            _mm512_srai_epi32::<{ PRECISION_BITS }>(sums)
        }
    }

    #[inline(always)]
    fn transpose(rows: &[i16], row: usize, out: &mut [i16], step: usize) {
        let mut columns = [[simd!(_mm512_setzero_si512()); 4]; 4];
        for (i, columns) in columns.iter_mut().enumerate() {
            let mut four = [simd!(_mm512_setzero_si512()); 4];
            for (j, vector) in four.iter_mut().enumerate() {
                *vector = Self::load(&rows[(4 * i + j) * row..]);
            }
            *columns = Self::transpose_quarters(four);
        }
        let [a, b, c, d] = columns;
        for i in 0..4 {
            let vectors = Self::exchange_quarters([a[i], b[i], c[i], d[i]]);
            for (j, vector) in vectors.into_iter().enumerate() {
                let out = &mut out[(4 * j + i) * step..][..32];
                // SAFETY: the machine has AVX-512, see the type; the slice is as long as the vector, and the store
                // needs no alignment.
                unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), vector) };
            }
        }
    }

    #[inline(always)]
    fn store_pairs([a, b, c, d]: [__m512i; 4], out: &mut [i16], step: usize) {
        let (ab, cd) = (Self::pairs(a, b), Self::pairs(c, d));
        let halves = [
            simd!(_mm512_unpacklo_epi64(ab, cd)),
            simd!(_mm512_unpackhi_epi64(ab, cd)),
        ];
        for (i, half) in halves.into_iter().enumerate() {
            let quarters = simd! {
                [
                    _mm512_castsi512_si128(half),
                    _mm512_extracti32x4_epi32::<1>(half),
                    _mm512_extracti32x4_epi32::<2>(half),
                    _mm512_extracti32x4_epi32::<3>(half),
                ]
            };
            for (j, quarter) in quarters.into_iter().enumerate() {
                Self::store_quarter(&mut out[(2 * j + i) * step..], quarter);
            }
        }
    }

    #[inline(always)]
    fn store_bytes([a, b, c, d]: [__m512i; 4], out: &mut [u8]) {
        let out = &mut out[..64];
        let packed = simd! {
            let packed = _mm512_packus_epi16(_mm512_packs_epi32(a, b), _mm512_packs_epi32(c, d));
            // Packing works on quarters: it leaves a0 b0 c0 d0 a1 b1 c1 d1 ..., in groups of four lanes.
            let order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
            _mm512_permutexvar_epi32(order, packed)
        };
        // SAFETY: the machine has AVX-512, see the type; the slice is as long as the vector, and the store needs no
        // alignment.
        unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), packed) };
    }
}
