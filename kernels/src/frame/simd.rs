//! The passes in the instructions of each vector unit: the only file of this module with `unsafe`.

use super::filter::PRECISION_BITS;
use super::passes::{Output, Passes};
use super::table::LOW_BITS;
use super::vector::Vector;
use super::vector_unit::VectorUnit;
use super::view::Frame;

/// Runs the passes of one frame. A unit that the machine lacks runs as [`VectorUnit::Portable`].
pub(super) fn run(
    unit: VectorUnit,
    passes: &mut Passes<'_>,
    frame: &Frame<'_>,
    output: &mut Output<'_>,
) {
    match unit {
        #[cfg(target_arch = "x86_64")]
        VectorUnit::Avx2 if unit.is_available() => {
            // SAFETY: the machine has AVX2.
            unsafe { x86::run_avx2(passes, frame, output) }
        }
        #[cfg(target_arch = "x86_64")]
        VectorUnit::Sse2 => passes.run::<x86::Sse2>(frame, output),
        #[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
        VectorUnit::Neon => passes.run::<neon::Neon>(frame, output),
        _ => passes.run::<Portable>(frame, output),
    }
}

const HALF: i32 = 1 << (PRECISION_BITS - 1);

/// Four lanes in an array, for machines without a unit below.
#[derive(Clone, Copy)]
struct Portable([[i16; 2]; 4]);

impl Portable {
    fn lanes(self) -> [i32; 4] {
        self.0
            .map(|[low, high]| i32::from(high) << 16 | i32::from(low as u16))
    }

    fn of(lanes: [i32; 4]) -> Self {
        Self(lanes.map(|lane| [lane as i16, (lane >> 16) as i16]))
    }

    fn finish(sum: i32) -> u8 {
        (sum.wrapping_add(HALF) >> PRECISION_BITS).clamp(0, 255) as u8
    }
}

impl Vector for Portable {
    const LANES: usize = 4;

    #[inline(always)]
    fn zero() -> Self {
        Self([[0; 2]; 4])
    }

    #[inline(always)]
    fn load(samples: &[i16]) -> Self {
        let mut pairs = [[0; 2]; 4];
        pairs.as_flattened_mut().copy_from_slice(&samples[..8]);
        Self(pairs)
    }

    #[inline(always)]
    fn splat(pair: [i16; 2]) -> Self {
        Self([pair; 4])
    }

    #[inline(always)]
    fn multiply_add(self, a: Self, b: Self) -> Self {
        let mut sums = self.lanes();
        for ((sum, a), b) in sums.iter_mut().zip(a.0).zip(b.0) {
            for (a, b) in a.into_iter().zip(b) {
                *sum = sum.wrapping_add(i32::from(a) * i32::from(b));
            }
        }
        Self::of(sums)
    }

    #[inline(always)]
    fn join(low: Self, high: Self) -> Self {
        let mut sums = low.lanes();
        for (sum, high) in sums.iter_mut().zip(high.lanes()) {
            *sum = sum.wrapping_add(high << LOW_BITS);
        }
        Self::of(sums)
    }

    #[inline(always)]
    fn finish_sums(vectors: [Self; 4]) -> [u8; 4] {
        vectors.map(|v| Self::finish(v.lanes().into_iter().fold(0, i32::wrapping_add)))
    }

    #[inline(always)]
    fn finish_lanes(vectors: [Self; 4], out: &mut [u8]) {
        for (out, v) in out[..16].chunks_exact_mut(4).zip(vectors) {
            out.copy_from_slice(&v.lanes().map(Self::finish));
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::{Frame, HALF, LOW_BITS, Output, PRECISION_BITS, Passes, Vector};

    const LOW: i32 = LOW_BITS as i32;
    const PRECISION: i32 = PRECISION_BITS as i32;

    #[target_feature(enable = "avx2")]
    pub(super) fn run_avx2(passes: &mut Passes<'_>, frame: &Frame<'_>, output: &mut Output<'_>) {
        passes.run::<Avx2>(frame, output);
    }

    #[derive(Clone, Copy)]
    pub(super) struct Sse2(__m128i);

    /// Rounds from 22 fractional bits.
    #[inline(always)]
    fn round(sums: __m128i) -> __m128i {
        // SAFETY: SSE2 belongs to x86-64.
        unsafe { _mm_srai_epi32::<PRECISION>(_mm_add_epi32(sums, _mm_set1_epi32(HALF))) }
    }

    /// Rounds and clamps the 16 lanes of four vectors.
    #[inline(always)]
    fn pack([a, b, c, d]: [__m128i; 4]) -> __m128i {
        let [a, b, c, d] = [round(a), round(b), round(c), round(d)];
        // SAFETY: SSE2 belongs to x86-64.
        unsafe { _mm_packus_epi16(_mm_packs_epi32(a, b), _mm_packs_epi32(c, d)) }
    }

    /// Lane i of the result is the sum of vector i's lanes.
    #[inline(always)]
    fn transpose_add([a, b, c, d]: [__m128i; 4]) -> __m128i {
        // SAFETY: SSE2 belongs to x86-64.
        unsafe {
            let ab = _mm_add_epi32(_mm_unpacklo_epi32(a, b), _mm_unpackhi_epi32(a, b));
            let cd = _mm_add_epi32(_mm_unpacklo_epi32(c, d), _mm_unpackhi_epi32(c, d));
            _mm_add_epi32(_mm_unpacklo_epi64(ab, cd), _mm_unpackhi_epi64(ab, cd))
        }
    }

    #[inline(always)]
    fn finish_sums(vectors: [__m128i; 4]) -> [u8; 4] {
        let sums = transpose_add(vectors);
        // SAFETY: SSE2 belongs to x86-64.
        unsafe { _mm_cvtsi128_si32(pack([sums; 4])) }.to_le_bytes()
    }

    impl Vector for Sse2 {
        const LANES: usize = 4;

        #[inline(always)]
        fn zero() -> Self {
            // SAFETY: SSE2 belongs to x86-64.
            Self(unsafe { _mm_setzero_si128() })
        }

        #[inline(always)]
        fn load(samples: &[i16]) -> Self {
            let samples = &samples[..8];
            // SAFETY: SSE2 belongs to x86-64; the slice is as long as the vector, and the load needs no
            // alignment.
            Self(unsafe { _mm_loadu_si128(samples.as_ptr().cast()) })
        }

        #[inline(always)]
        fn splat([a, b]: [i16; 2]) -> Self {
            // SAFETY: SSE2 belongs to x86-64.
            Self(unsafe { _mm_set1_epi32(i32::from(b) << 16 | i32::from(a as u16)) })
        }

        #[inline(always)]
        fn multiply_add(self, a: Self, b: Self) -> Self {
            // SAFETY: SSE2 belongs to x86-64.
            Self(unsafe { _mm_add_epi32(self.0, _mm_madd_epi16(a.0, b.0)) })
        }

        #[inline(always)]
        fn join(low: Self, high: Self) -> Self {
            // SAFETY: SSE2 belongs to x86-64.
            Self(unsafe { _mm_add_epi32(low.0, _mm_slli_epi32::<LOW>(high.0)) })
        }

        #[inline(always)]
        fn finish_sums([a, b, c, d]: [Self; 4]) -> [u8; 4] {
            finish_sums([a.0, b.0, c.0, d.0])
        }

        #[inline(always)]
        fn finish_lanes([a, b, c, d]: [Self; 4], out: &mut [u8]) {
            let out = &mut out[..16];
            let packed = pack([a.0, b.0, c.0, d.0]);
            // SAFETY: SSE2 belongs to x86-64; the slice is as long as the vector, and the store needs no
            // alignment.
            unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), packed) }
        }
    }

    /// Private to this module, which makes values of it only within [`run_avx2`]: wherever one of the methods
    /// below runs, the machine has AVX2.
    #[derive(Clone, Copy)]
    struct Avx2(__m256i);

    impl Avx2 {
        /// Rounds from 22 fractional bits.
        #[inline(always)]
        fn round(self) -> __m256i {
            // SAFETY: the machine has AVX2, see the type.
            unsafe {
                let sums = _mm256_add_epi32(self.0, _mm256_set1_epi32(HALF));
                _mm256_srai_epi32::<PRECISION>(sums)
            }
        }

        /// Both halves of the vector added.
        #[inline(always)]
        fn fold(self) -> __m128i {
            // SAFETY: the machine has AVX2, see the type.
            unsafe {
                _mm_add_epi32(
                    _mm256_castsi256_si128(self.0),
                    _mm256_extracti128_si256::<1>(self.0),
                )
            }
        }
    }

    impl Vector for Avx2 {
        const LANES: usize = 8;

        #[inline(always)]
        fn zero() -> Self {
            // SAFETY: the machine has AVX2, see the type.
            Self(unsafe { _mm256_setzero_si256() })
        }

        #[inline(always)]
        fn load(samples: &[i16]) -> Self {
            let samples = &samples[..16];
            // SAFETY: the machine has AVX2, see the type; the slice is as long as the vector, and the load needs
            // no alignment.
            Self(unsafe { _mm256_loadu_si256(samples.as_ptr().cast()) })
        }

        #[inline(always)]
        fn splat([a, b]: [i16; 2]) -> Self {
            // SAFETY: the machine has AVX2, see the type.
            Self(unsafe { _mm256_set1_epi32(i32::from(b) << 16 | i32::from(a as u16)) })
        }

        #[inline(always)]
        fn multiply_add(self, a: Self, b: Self) -> Self {
            // SAFETY: the machine has AVX2, see the type.
            Self(unsafe { _mm256_add_epi32(self.0, _mm256_madd_epi16(a.0, b.0)) })
        }

        #[inline(always)]
        fn join(low: Self, high: Self) -> Self {
            // SAFETY: the machine has AVX2, see the type.
            Self(unsafe { _mm256_add_epi32(low.0, _mm256_slli_epi32::<LOW>(high.0)) })
        }

        #[inline(always)]
        fn finish_sums([a, b, c, d]: [Self; 4]) -> [u8; 4] {
            finish_sums([a.fold(), b.fold(), c.fold(), d.fold()])
        }

        #[inline(always)]
        fn finish_lanes([a, b, c, d]: [Self; 4], out: &mut [u8]) {
            let out = &mut out[..32];
            let [a, b, c, d] = [a.round(), b.round(), c.round(), d.round()];
            // SAFETY: the machine has AVX2, see the type; the slice is as long as the vector, and the store
            // needs no alignment.
            unsafe {
                let packed =
                    _mm256_packus_epi16(_mm256_packs_epi32(a, b), _mm256_packs_epi32(c, d));
                // Packing works on halves: it leaves a0 b0 c0 d0 a1 b1 c1 d1, in groups of four lanes.
                let order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
                let packed = _mm256_permutevar8x32_epi32(packed, order);
                _mm256_storeu_si256(out.as_mut_ptr().cast(), packed);
            }
        }
    }
}

#[cfg(all(target_arch = "aarch64", target_feature = "neon"))]
mod neon {
    use std::arch::aarch64::*;

    use super::{LOW_BITS, PRECISION_BITS, Vector};

    const LOW: i32 = LOW_BITS as i32;
    const PRECISION: i32 = PRECISION_BITS as i32;

    #[derive(Clone, Copy)]
    pub(super) struct Neon(int32x4_t);

    /// Rounds half up from 22 fractional bits.
    #[inline(always)]
    fn round(sums: int32x4_t) -> int32x4_t {
        // SAFETY: this module is compiled only for targets with NEON.
        unsafe { vrshrq_n_s32::<PRECISION>(sums) }
    }

    impl Vector for Neon {
        const LANES: usize = 4;

        #[inline(always)]
        fn zero() -> Self {
            // SAFETY: this module is compiled only for targets with NEON.
            Self(unsafe { vdupq_n_s32(0) })
        }

        #[inline(always)]
        fn load(samples: &[i16]) -> Self {
            let samples = &samples[..8];
            // SAFETY: this module is compiled only for targets with NEON; the slice is as long as the vector,
            // and the load needs no more than its alignment.
            Self(unsafe { vreinterpretq_s32_s16(vld1q_s16(samples.as_ptr())) })
        }

        #[inline(always)]
        fn splat([a, b]: [i16; 2]) -> Self {
            // SAFETY: this module is compiled only for targets with NEON.
            Self(unsafe { vdupq_n_s32(i32::from(b) << 16 | i32::from(a as u16)) })
        }

        #[inline(always)]
        fn multiply_add(self, a: Self, b: Self) -> Self {
            // SAFETY: this module is compiled only for targets with NEON.
            unsafe {
                let (a, b) = (vreinterpretq_s16_s32(a.0), vreinterpretq_s16_s32(b.0));
                let first = vmull_s16(vget_low_s16(a), vget_low_s16(b));
                let second = vmull_high_s16(a, b);
                Self(vaddq_s32(self.0, vpaddq_s32(first, second)))
            }
        }

        #[inline(always)]
        fn join(low: Self, high: Self) -> Self {
            // SAFETY: this module is compiled only for targets with NEON.
            Self(unsafe { vaddq_s32(low.0, vshlq_n_s32::<LOW>(high.0)) })
        }

        #[inline(always)]
        fn finish_sums([a, b, c, d]: [Self; 4]) -> [u8; 4] {
            // SAFETY: this module is compiled only for targets with NEON.
            let bytes = unsafe {
                let sums = vpaddq_s32(vpaddq_s32(a.0, b.0), vpaddq_s32(c.0, d.0));
                let sums = round(sums);
                let narrow = vqmovn_s32(sums);
                let bytes = vqmovun_s16(vcombine_s16(narrow, narrow));
                vget_lane_u32::<0>(vreinterpret_u32_u8(bytes))
            };
            bytes.to_le_bytes()
        }

        #[inline(always)]
        fn finish_lanes([a, b, c, d]: [Self; 4], out: &mut [u8]) {
            let out = &mut out[..16];
            let [a, b, c, d] = [round(a.0), round(b.0), round(c.0), round(d.0)];
            // SAFETY: this module is compiled only for targets with NEON; the slice is as long as the vector.
            unsafe {
                let low = vqmovun_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b)));
                let high = vqmovun_s16(vcombine_s16(vqmovn_s32(c), vqmovn_s32(d)));
                vst1q_u8(out.as_mut_ptr(), vcombine_u8(low, high));
            }
        }
    }
}
