//! AVX-512 with VNNI: 16 lanes, `vpdpbusd` on unsigned panel bytes.

use super::tile::{tile, tile_along};
use super::{Block, CHANNELS, Dot4, Flip, Isa, Sums};
use crate::cpu::peak::saturate;
use half::f16;
use std::arch::asm;
use std::arch::x86_64::*;

/// Proof that the processor has AVX-512 F, BW, VL and VNNI.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct Avx512Vnni(());

impl Avx512Vnni {
    pub(in crate::cpu) fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni"))
        .then_some(Self(()))
    }
}

/// Calls intrinsics of the features that a value of this file's type proves. Only those on values: whatever goes
/// through a pointer is an `unsafe` block of its own.
macro_rules! simd {
    ($($body:tt)*) => {{
        // SAFETY: `self` exists only where `new` found the features; no pointer is involved.
        unsafe { $($body)* }
    }};
}

impl Isa for Avx512Vnni {
    const LANES: usize = 16;
    const VECTORS: usize = 3;
    const INNER_STEP: usize = 4;
    // Of a vector's 16 tokens, with the sums over lanes that cost most where K is small.
    const ALONG: usize = 10;
    const SIGNED: Flip = Flip::TO_UNSIGNED;
    const UNSIGNED: Flip = Flip::NONE;

    type I32 = __m512i;
    type F32 = __m512;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni,avx2,fma,f16c")]
        fn inner<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        simd!(inner(f))
    }

    #[inline(always)]
    unsafe fn block(self, block: &Block, vectors: usize, start: &[i32; CHANNELS], sums: &mut Sums) {
        // 24 of 32 registers hold sums; one vector alone needs 16 rows to hide the latency.
        // SAFETY: `self` proves the features; the caller vouches for the operands.
        unsafe {
            match vectors {
                3 => tile::<_, 8, 3>(self, block, start, sums),
                2 => tile::<_, 8, 2>(self, block, start, sums),
                _ => tile::<_, 16, 1>(self, block, start, sums),
            }
        };
    }

    #[inline(always)]
    unsafe fn along(self, block: &Block, tokens: usize, sums: &mut Sums) {
        // SAFETY: `self` proves the features; the caller vouches for the operands.
        unsafe {
            match tokens {
                3 => tile_along::<_, 8, 3>(self, block, sums),
                2 => tile_along::<_, 8, 2>(self, block, sums),
                _ => tile_along::<_, 16, 1>(self, block, sums),
            }
        };
    }

    #[inline(always)]
    fn prefetch(self, at: *const i8) {
        // SAFETY: `self` proves the features; a hint, which never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at) };
    }

    #[inline(always)]
    fn saturate(self, steps: usize) -> usize {
        saturate::<_, 16>(self, steps)
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32]) -> __m512i {
        let from = &from[..16];
        // SAFETY: `self` proves the features; the slice has the vector's length; the load needs no alignment.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_words(self, from: &[i8]) -> __m512i {
        let from = &from[..64];
        // SAFETY: `self` proves the features; the slice has the vector's length; the load needs no alignment.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store_i32(self, value: __m512i, to: &mut [i32]) {
        let to = &mut to[..16];
        // SAFETY: `self` proves the features; the slice has the length written; the store needs no alignment.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) };
    }

    #[inline(always)]
    fn store_i8(self, value: __m512i, to: &mut [i8]) {
        let to = &mut to[..16];
        // SAFETY: `self` proves the features; the slice has the length written; the store needs no alignment.
        unsafe { _mm_storeu_si128(to.as_mut_ptr().cast(), _mm512_cvtepi32_epi8(value)) };
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32]) -> __m512 {
        let from = &from[..16];
        // SAFETY: `self` proves the features; the slice has the vector's length; the load needs no alignment.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store_f32(self, value: __m512, to: &mut [f32]) {
        let to = &mut to[..16];
        // SAFETY: `self` proves the features; the slice has the length written; the store needs no alignment.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), value) };
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16]) -> __m512 {
        let from = &from[..16];
        // SAFETY: `self` proves the features; the slice has the vector's length; the load needs no alignment.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn store_f16(self, value: __m512, to: &mut [f16]) {
        let to = &mut to[..16];
        // SAFETY: `self` proves the features; the slice has the length written; the store needs no alignment.
        unsafe {
            _mm256_storeu_si256(
                to.as_mut_ptr().cast(),
                _mm512_cvtps_ph::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(value),
            );
        }
    }

    #[inline(always)]
    fn splat_i32(self, value: i32) -> __m512i {
        simd!(_mm512_set1_epi32(value))
    }

    #[inline(always)]
    fn splat_f32(self, value: f32) -> __m512 {
        simd!(_mm512_set1_ps(value))
    }

    #[inline(always)]
    fn add_i32(self, a: __m512i, b: __m512i) -> __m512i {
        simd!(_mm512_add_epi32(a, b))
    }

    #[inline(always)]
    fn xor_i32(self, a: __m512i, b: __m512i) -> __m512i {
        simd!(_mm512_xor_si512(a, b))
    }

    #[inline(always)]
    fn max_i32(self, a: __m512i, b: __m512i) -> __m512i {
        simd!(_mm512_max_epi32(a, b))
    }

    #[inline(always)]
    fn shift_left<const BITS: u32>(self, a: __m512i) -> __m512i {
        simd!(_mm512_slli_epi32::<BITS>(a))
    }

    #[inline(always)]
    fn second_bytes(self, words: [__m512i; 4]) -> __m512i {
        simd! {
            // Half words, two a lane, then their upper bytes. By shuffles it would be fewer operations, but the compiler
            // takes masked ones apart.
            const A_WHERE_C_ELSE_B: i32 = 0b1110_0100;
            const A_WHERE_C_OR_B: i32 = 0b1110_1100;
            let low = _mm512_set1_epi32(0x0000_ffff);
            let even = _mm512_ternarylogic_epi32::<A_WHERE_C_ELSE_B>(words[0], _mm512_slli_epi32::<16>(words[2]), low);
            let odd = _mm512_ternarylogic_epi32::<A_WHERE_C_ELSE_B>(words[1], _mm512_slli_epi32::<16>(words[3]), low);
            let upper = _mm512_set1_epi16(0xff00_u16 as i16);
            _mm512_ternarylogic_epi32::<A_WHERE_C_OR_B>(odd, _mm512_srli_epi16::<8>(even), upper)
        }
    }

    #[inline(always)]
    fn add_bytes(self, sum: __m512i, bytes: __m512i) -> __m512i {
        simd!(_mm512_dpbusd_epi32(sum, bytes, _mm512_set1_epi8(1)))
    }

    #[inline(always)]
    fn to_f32(self, a: __m512i) -> __m512 {
        simd!(_mm512_cvtepi32_ps(a))
    }

    #[inline(always)]
    fn to_i32(self, a: __m512) -> __m512i {
        simd!(_mm512_cvtps_epi32(a))
    }

    #[inline(always)]
    fn bits(self, a: __m512) -> __m512i {
        simd!(_mm512_castps_si512(a))
    }

    #[inline(always)]
    fn float_of_bits(self, a: __m512i) -> __m512 {
        simd!(_mm512_castsi512_ps(a))
    }

    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        simd!(_mm512_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        simd!(_mm512_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        simd!(_mm512_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        simd!(_mm512_div_ps(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        simd!(_mm512_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        simd!(_mm512_min_ps(a, b))
    }

    #[inline(always)]
    fn abs(self, a: __m512) -> __m512 {
        simd!(_mm512_abs_ps(a))
    }

    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        simd!(_mm512_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn fnma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        simd!(_mm512_fnmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn round(self, a: __m512) -> __m512 {
        simd!(_mm512_roundscale_ps::<
            { _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC },
        >(a))
    }

    #[inline(always)]
    fn sat8(self, x: __m512) -> __m512i {
        simd! {
            // Products take the units that the maximum of floats would, not those of integers. A NaN, which is `min`'s second
            // operand and so its result, is the least integer.
            let high = _mm512_min_ps(_mm512_set1_ps(127.0), x);
            _mm512_max_epi32(_mm512_cvtps_epi32(high), _mm512_set1_epi32(-127))
        }
    }

    #[inline(always)]
    fn rotate(self, pairs: __m512, turns: __m512) -> __m512 {
        simd! {
            let (cos, sin) = (_mm512_moveldup_ps(turns), _mm512_movehdup_ps(turns));
            let swapped = _mm512_permute_ps::<0b10_11_00_01>(pairs);
            _mm512_fmaddsub_ps(pairs, cos, _mm512_mul_ps(swapped, sin))
        }
    }

    #[inline(always)]
    fn transpose(self, rows: &mut [__m512i]) {
        let rows: &mut [__m512i; 16] = rows.try_into().expect("16 rows");
        simd! {
            let mut t = *rows;
            // Pairs of rows, then pairs of pairs: each 128-bit lane then holds 4 rows of one column.
            for i in 0..8 {
                t[2 * i] = _mm512_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
                t[2 * i + 1] = _mm512_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
            }
            let mut u = t;
            for i in 0..4 {
                u[4 * i] = _mm512_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
                u[4 * i + 1] = _mm512_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
                u[4 * i + 2] = _mm512_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
                u[4 * i + 3] = _mm512_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
            }
            // u[4 r + c] holds, in lane l, rows 4r..4r+4 of column 4 l + c. Gather lanes over r.
            for c in 0..4 {
                let low_even = _mm512_shuffle_i32x4::<0b10_00_10_00>(u[c], u[4 + c]);
                let low_odd = _mm512_shuffle_i32x4::<0b11_01_11_01>(u[c], u[4 + c]);
                let high_even = _mm512_shuffle_i32x4::<0b10_00_10_00>(u[8 + c], u[12 + c]);
                let high_odd = _mm512_shuffle_i32x4::<0b11_01_11_01>(u[8 + c], u[12 + c]);
                rows[c] = _mm512_shuffle_i32x4::<0b10_00_10_00>(low_even, high_even);
                rows[8 + c] = _mm512_shuffle_i32x4::<0b11_01_11_01>(low_even, high_even);
                rows[4 + c] = _mm512_shuffle_i32x4::<0b10_00_10_00>(low_odd, high_odd);
                rows[12 + c] = _mm512_shuffle_i32x4::<0b11_01_11_01>(low_odd, high_odd);
            }
        }
    }

    #[inline(always)]
    fn byte_rows(self, columns: &mut [__m512i]) -> [[i8; 16]; 16] {
        let columns: &[__m512i; 16] = (&*columns).try_into().expect("16 vectors");
        simd! {
            // Of four columns, each 128-bit lane gets the bytes of its four rows, row by row.
            let by_row = _mm512_set4_epi32(0x0f0b_0703, 0x0e0a_0602, 0x0d09_0501, 0x0c08_0400);
            let mut fours = [_mm512_setzero_si512(); 4];
            for (four, c) in fours.iter_mut().zip(columns.chunks_exact(4)) {
                let bytes = _mm512_packs_epi16(_mm512_packs_epi32(c[0], c[1]), _mm512_packs_epi32(c[2], c[3]));
                *four = _mm512_shuffle_epi8(bytes, by_row);
            }
            let [a, b, c, d] = fours;
            let (ab_low, ab_high) = (_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
            let (cd_low, cd_high) = (_mm512_unpacklo_epi32(c, d), _mm512_unpackhi_epi32(c, d));
            // Each has, in its four lanes, every fourth row.
            let quarters = [
                _mm512_unpacklo_epi64(ab_low, cd_low),
                _mm512_unpackhi_epi64(ab_low, cd_low),
                _mm512_unpacklo_epi64(ab_high, cd_high),
                _mm512_unpackhi_epi64(ab_high, cd_high),
            ];
            let mut rows = [[0i8; 16]; 16];
            for (q, &quarter) in quarters.iter().enumerate() {
                rows[q] = bytemuck::cast(_mm512_extracti32x4_epi32::<0>(quarter));
                rows[4 + q] = bytemuck::cast(_mm512_extracti32x4_epi32::<1>(quarter));
                rows[8 + q] = bytemuck::cast(_mm512_extracti32x4_epi32::<2>(quarter));
                rows[12 + q] = bytemuck::cast(_mm512_extracti32x4_epi32::<3>(quarter));
            }
            rows
        }
    }

    #[inline(always)]
    fn sum_lanes(self, vectors: &mut [__m512i]) -> __m512i {
        let v: &[__m512i; 16] = (&*vectors).try_into().expect("16 vectors");
        simd! {
            // Halves of each lane of pairs of vectors, then quarters of pairs of pairs: a lane then has a sum of each of four.
            let mut fours = [_mm512_setzero_si512(); 4];
            for (four, v) in fours.iter_mut().zip(v.chunks_exact(4)) {
                let a = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
                let b = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
                *four = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
            }
            let mut halves = [fours[0]; 2];
            for (half, f) in halves.iter_mut().zip(fours.chunks_exact(2)) {
                *half = _mm512_add_epi32(
                    _mm512_shuffle_i32x4::<0b01_00_01_00>(f[0], f[1]),
                    _mm512_shuffle_i32x4::<0b11_10_11_10>(f[0], f[1]),
                );
            }
            _mm512_add_epi32(
                _mm512_shuffle_i32x4::<0b10_00_10_00>(halves[0], halves[1]),
                _mm512_shuffle_i32x4::<0b11_01_11_01>(halves[0], halves[1]),
            )
        }
    }
}

impl Dot4 for Avx512Vnni {
    type Bytes = __m512i;

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const u8) -> __m512i {
        // SAFETY: `self` proves the features; the caller vouches for the bytes, and the load needs no alignment.
        unsafe { _mm512_loadu_si512(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat_bytes(self, from: *const i8) -> __m512i {
        // SAFETY: `self` proves the features; the caller vouches for 4 readable bytes, of any alignment.
        unsafe { _mm512_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    fn dot4(self, sum: __m512i, bytes: __m512i, weights: __m512i) -> __m512i {
        simd!(_mm512_dpbusd_epi32(sum, bytes, weights))
    }

    #[inline(always)]
    fn opaque(self, bytes: __m512i) -> __m512i {
        #[inline]
        #[target_feature(enable = "avx512f")]
        fn hide(mut bytes: __m512i) -> __m512i {
            // SAFETY: no instruction, nothing changes.
            unsafe {
                asm!("/* {0} */", inout(zmm_reg) bytes, options(pure, nomem, nostack, preserves_flags));
            }
            bytes
        }
        simd!(hide(bytes))
    }
}
