//! AVX2: 8 lanes, with AVX-VNNI's `vpdpbusd` or with the older multiply instructions.
//!
//! One shell for both; they differ in the dot product, and so in the form of panels and in tiles.

use super::tile::{tile, tile_along};
use super::{Block, CHANNELS, Dot4, Flip, Isa, Sums};
use crate::cpu::peak::saturate;
use half::f16;
use std::arch::asm;
use std::arch::x86_64::*;

/// Calls intrinsics of the features that a value of this file's types proves. Only those on values: whatever goes
/// through a pointer is an `unsafe` block of its own.
macro_rules! simd {
    ($($body:tt)*) => {{
        // SAFETY: `self` exists only where `new` found the features; no pointer is involved.
        unsafe { $($body)* }
    }};
}

/// Proof that the processor has AVX2, FMA and F16C, and what `D` needs.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct Avx2<D>(D);

impl<D: DotProduct> Avx2<D> {
    pub(in crate::cpu) fn new() -> Option<Self> {
        (is_x86_feature_detected!("avx2")
            && is_x86_feature_detected!("fma")
            && is_x86_feature_detected!("f16c"))
        .then_some(())?;
        D::new().map(Self)
    }
}

/// The four-byte dot product of a set with 8 lanes. `self` is the proof of its instructions.
pub(in crate::cpu) trait DotProduct:
    Copy + Send + Sync + std::fmt::Debug + 'static
{
    /// See [`Isa::SIGNED`].
    const SIGNED: Flip;
    /// See [`Isa::UNSIGNED`].
    const UNSIGNED: Flip;
    /// See [`Isa::VECTORS`].
    const VECTORS: usize;

    /// See [`Dot4::Bytes`].
    type Bytes: Copy;

    fn new() -> Option<Self>;
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R;
    fn bytes(self, panel: __m256i) -> Self::Bytes;
    fn dot4(self, sum: __m256i, bytes: Self::Bytes, weights: __m256i) -> __m256i;
    fn opaque(self, bytes: Self::Bytes) -> Self::Bytes;
    /// See [`Isa::block`].
    ///
    /// # Safety
    /// As there.
    unsafe fn block(
        isa: Avx2<Self>,
        block: &Block,
        vectors: usize,
        start: &[i32; CHANNELS],
        sums: &mut Sums,
    );
}

/// `vpdpbusd` on unsigned panel bytes.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct Vnni(());

/// `vpmaddubsw` of magnitudes and signed weights.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct Madd(());

#[inline]
#[target_feature(enable = "avx")]
fn hide(mut bytes: __m256i) -> __m256i {
    // SAFETY: no instruction, nothing changes.
    unsafe {
        asm!("/* {0} */", inout(ymm_reg) bytes, options(pure, nomem, nostack, preserves_flags));
    }
    bytes
}

impl DotProduct for Vnni {
    const SIGNED: Flip = Flip::TO_UNSIGNED;
    const UNSIGNED: Flip = Flip::NONE;
    const VECTORS: usize = 3;

    type Bytes = __m256i;

    fn new() -> Option<Self> {
        is_x86_feature_detected!("avxvnni").then_some(Self(()))
    }

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx2,fma,f16c,avxvnni")]
        fn inner<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        simd!(inner(f))
    }

    #[inline(always)]
    fn bytes(self, panel: __m256i) -> __m256i {
        panel
    }

    #[inline(always)]
    fn dot4(self, sum: __m256i, bytes: __m256i, weights: __m256i) -> __m256i {
        simd!(_mm256_dpbusd_avx_epi32(sum, bytes, weights))
    }

    #[inline(always)]
    fn opaque(self, bytes: __m256i) -> __m256i {
        simd!(hide(bytes))
    }

    #[inline(always)]
    unsafe fn block(
        isa: Avx2<Self>,
        block: &Block,
        vectors: usize,
        start: &[i32; CHANNELS],
        sums: &mut Sums,
    ) {
        // SAFETY: the caller's.
        unsafe {
            match vectors {
                3 => {
                    block.ahead.request(isa);
                    for first in (0..CHANNELS).step_by(4) {
                        tile_4x3(isa, block, first, start, sums);
                    }
                }
                2 => tile::<_, 4, 2>(isa, block, start, sums),
                _ => tile::<_, 8, 1>(isa, block, start, sums),
            }
        }
    }
}

/// One step of [`tile_4x3`] for one row: its weights, and its three sums.
macro_rules! step {
    ($weights:literal, $a:literal, $b:literal, $c:literal) => {
        concat!(
            "vpbroadcastd {weights}, dword ptr [{",
            $weights,
            "} + {k}]\n{{vex}} vpdpbusd {",
            $a,
            "}, {x}, {weights}\n{{vex}} vpdpbusd {",
            $b,
            "}, {y}, {weights}\n{{vex}} vpdpbusd {",
            $c,
            "}, {z}, {weights}"
        )
    };
}

/// [`tile`] for rows `first..first + 4` and three vectors.
///
/// 12 sums and 4 operands are all 16 registers. That is too tight for the compiler, whose spilled sums
/// halve the speed; two vectors are not enough to hide the latency.
///
/// # Safety
/// As [`Isa::block`].
#[inline(always)]
unsafe fn tile_4x3(
    isa: Avx2<Vnni>,
    block: &Block,
    first: usize,
    start: &[i32; CHANNELS],
    sums: &mut Sums,
) {
    // An index that counts up to zero, from pointers to the ends.
    let panel = block.panel.wrapping_add(8 * block.inner);
    let rows = block
        .weights
        .wrapping_add(first * block.weight_stride + block.inner);
    let mut a = [isa.splat_i32(0); 12];
    for row in 0..4 {
        for v in 0..3 {
            a[3 * row + v] = isa.splat_i32(start[first + row]);
        }
    }
    // SAFETY: the caller vouches for three vectors and for rows `first..first + 4`.
    unsafe { dots_4x3(block, panel, rows, &mut a) };
    for (i, &acc) in a.iter().enumerate() {
        isa.store_i32(acc, &mut sums.0[(first * 3 + i) * 8..]);
    }
}

/// Adds all of K to the sums `[row][vector]`. `panel` and `rows` point behind the first vector and row.
///
/// # Safety
/// As [`tile_4x3`].
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn dots_4x3(block: &Block, panel: *const u8, rows: *const i8, a: &mut [__m256i; 12]) {
    let (vector, row) = (block.vector_stride, block.weight_stride);
    // SAFETY: reads `inner` bytes of each row and 8 times that of each vector, which the caller vouches
    // for.
    unsafe {
        asm!(
            "2:",
            "vmovdqu {x}, ymmword ptr [{px} + 8*{k}]",
            "vmovdqu {y}, ymmword ptr [{py} + 8*{k}]",
            "vmovdqu {z}, ymmword ptr [{pz} + 8*{k}]",
            step!("row0", "a0", "a1", "a2"),
            step!("row1", "a3", "a4", "a5"),
            step!("row2", "a6", "a7", "a8"),
            step!("row3", "a9", "a10", "a11"),
            "add {k}, 4",
            "jnz 2b",
            px = in(reg) panel,
            py = in(reg) panel.wrapping_add(vector),
            pz = in(reg) panel.wrapping_add(2 * vector),
            row0 = in(reg) rows,
            row1 = in(reg) rows.wrapping_add(row),
            row2 = in(reg) rows.wrapping_add(2 * row),
            row3 = in(reg) rows.wrapping_add(3 * row),
            k = inout(reg) block.inner.wrapping_neg() => _,
            x = out(ymm_reg) _, y = out(ymm_reg) _, z = out(ymm_reg) _, weights = out(ymm_reg) _,
            a0 = inout(ymm_reg) a[0], a1 = inout(ymm_reg) a[1], a2 = inout(ymm_reg) a[2],
            a3 = inout(ymm_reg) a[3], a4 = inout(ymm_reg) a[4], a5 = inout(ymm_reg) a[5],
            a6 = inout(ymm_reg) a[6], a7 = inout(ymm_reg) a[7], a8 = inout(ymm_reg) a[8],
            a9 = inout(ymm_reg) a[9], a10 = inout(ymm_reg) a[10], a11 = inout(ymm_reg) a[11],
            options(readonly, nostack),
        );
    }
}

impl DotProduct for Madd {
    const SIGNED: Flip = Flip::NONE;
    const UNSIGNED: Flip = Flip::TO_SIGNED;
    const VECTORS: usize = 2;

    /// Bytes, and their magnitudes: up to 128, so unsigned.
    type Bytes = (__m256i, __m256i);

    fn new() -> Option<Self> {
        Some(Self(()))
    }

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "avx2,fma,f16c")]
        fn inner<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        simd!(inner(f))
    }

    #[inline(always)]
    fn bytes(self, panel: __m256i) -> Self::Bytes {
        simd!((panel, _mm256_abs_epi8(panel)))
    }

    #[inline(always)]
    fn dot4(self, sum: __m256i, (bytes, magnitudes): Self::Bytes, weights: __m256i) -> __m256i {
        // A pair is at most 2 * 128 * 127 = 32512 and so never saturates. The sign of -128 could not be
        // moved from a weight, but weights stop at -127.
        simd! {
            let pairs = _mm256_maddubs_epi16(magnitudes, _mm256_sign_epi8(weights, bytes));
            _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }

    #[inline(always)]
    fn opaque(self, (bytes, magnitudes): Self::Bytes) -> Self::Bytes {
        simd!((hide(bytes), hide(magnitudes)))
    }

    #[inline(always)]
    unsafe fn block(
        isa: Avx2<Self>,
        block: &Block,
        vectors: usize,
        start: &[i32; CHANNELS],
        sums: &mut Sums,
    ) {
        // SAFETY: the caller's. A panel vector is two registers, a step needs two more.
        unsafe {
            match vectors {
                2 => tile::<_, 4, 2>(isa, block, start, sums),
                _ => tile::<_, 4, 1>(isa, block, start, sums),
            }
        }
    }
}

impl<D: DotProduct> Dot4 for Avx2<D> {
    type Bytes = D::Bytes;

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const u8) -> D::Bytes {
        // SAFETY: `self` proves the features; the caller vouches for the bytes, and the load needs no alignment.
        let bytes = unsafe { _mm256_loadu_si256(from.cast()) };
        self.0.bytes(bytes)
    }

    #[inline(always)]
    unsafe fn splat_bytes(self, from: *const i8) -> __m256i {
        // SAFETY: `self` proves the features; the caller vouches for 4 readable bytes, of any alignment.
        unsafe { _mm256_set1_epi32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    fn dot4(self, sum: __m256i, bytes: D::Bytes, weights: __m256i) -> __m256i {
        self.0.dot4(sum, bytes, weights)
    }

    #[inline(always)]
    fn opaque(self, bytes: D::Bytes) -> D::Bytes {
        self.0.opaque(bytes)
    }
}

impl<D: DotProduct> Isa for Avx2<D> {
    const LANES: usize = 8;
    const VECTORS: usize = D::VECTORS;
    const ALONG: usize = 5;
    const SIGNED: Flip = D::SIGNED;
    const UNSIGNED: Flip = D::UNSIGNED;

    type I32 = __m256i;
    type F32 = __m256;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        self.0.vectorize(f)
    }

    #[inline(always)]
    unsafe fn block(self, block: &Block, vectors: usize, start: &[i32; CHANNELS], sums: &mut Sums) {
        // SAFETY: `self` proves the features; the caller vouches for the operands.
        unsafe { D::block(self, block, vectors, start, sums) };
    }

    #[inline(always)]
    unsafe fn along(self, block: &Block, tokens: usize, sums: &mut Sums) {
        // SAFETY: `self` proves the features; the caller vouches for the operands.
        unsafe {
            match tokens {
                3 => tile_along::<_, 2, 3>(self, block, sums),
                2 => tile_along::<_, 4, 2>(self, block, sums),
                _ => tile_along::<_, 8, 1>(self, block, sums),
            }
        };
    }

    #[inline(always)]
    fn saturate(self, steps: usize) -> usize {
        saturate::<_, 10>(self, steps)
    }

    #[inline(always)]
    fn prefetch(self, at: *const i8) {
        // SAFETY: `self` proves the features; a hint, which never faults.
        unsafe { _mm_prefetch::<_MM_HINT_T1>(at) };
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32]) -> __m256i {
        let from = &from[..8];
        // SAFETY: `self` proves the features; the slice has the vector's length; the load needs no alignment.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn load_words(self, from: &[i8]) -> __m256i {
        let from = &from[..32];
        // SAFETY: `self` proves the features; the slice has the vector's length; the load needs no alignment.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store_i32(self, value: __m256i, to: &mut [i32]) {
        let to = &mut to[..8];
        // SAFETY: `self` proves the features; the slice has the length written; the store needs no alignment.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), value) };
    }

    #[inline(always)]
    fn store_i8(self, value: __m256i, to: &mut [i8]) {
        let to = &mut to[..8];
        // SAFETY: `self` proves the features; the slice has the length written; the store needs no alignment.
        unsafe {
            // Byte 0 of every lane, to the front of each half.
            let front = _mm256_set1_epi32(0x0c08_0400);
            let halves = _mm256_shuffle_epi8(value, front);
            let (low, high) = (
                _mm256_castsi256_si128(halves),
                _mm256_extracti128_si256::<1>(halves),
            );
            _mm_storel_epi64(to.as_mut_ptr().cast(), _mm_unpacklo_epi32(low, high));
        }
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32]) -> __m256 {
        let from = &from[..8];
        // SAFETY: `self` proves the features; the slice has the vector's length; the load needs no alignment.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }

    #[inline(always)]
    fn store_f32(self, value: __m256, to: &mut [f32]) {
        let to = &mut to[..8];
        // SAFETY: `self` proves the features; the slice has the length written; the store needs no alignment.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), value) };
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16]) -> __m256 {
        let from = &from[..8];
        // SAFETY: `self` proves the features; the slice has the vector's length; the load needs no alignment.
        unsafe { _mm256_cvtph_ps(_mm_loadu_si128(from.as_ptr().cast())) }
    }

    #[inline(always)]
    fn store_f16(self, value: __m256, to: &mut [f16]) {
        let to = &mut to[..8];
        // SAFETY: `self` proves the features; the slice has the length written; the store needs no alignment.
        unsafe {
            _mm_storeu_si128(
                to.as_mut_ptr().cast(),
                _mm256_cvtps_ph::<_MM_FROUND_TO_NEAREST_INT>(value),
            );
        }
    }

    #[inline(always)]
    fn splat_i32(self, value: i32) -> __m256i {
        simd!(_mm256_set1_epi32(value))
    }

    #[inline(always)]
    fn splat_f32(self, value: f32) -> __m256 {
        simd!(_mm256_set1_ps(value))
    }

    #[inline(always)]
    fn add_i32(self, a: __m256i, b: __m256i) -> __m256i {
        simd!(_mm256_add_epi32(a, b))
    }

    #[inline(always)]
    fn xor_i32(self, a: __m256i, b: __m256i) -> __m256i {
        simd!(_mm256_xor_si256(a, b))
    }

    #[inline(always)]
    fn max_i32(self, a: __m256i, b: __m256i) -> __m256i {
        simd!(_mm256_max_epi32(a, b))
    }

    #[inline(always)]
    fn shift_left<const BITS: u32>(self, a: __m256i) -> __m256i {
        // The immediate form takes an i32; a constant count becomes it.
        simd!(_mm256_sll_epi32(a, _mm_cvtsi32_si128(BITS as i32)))
    }

    #[inline(always)]
    fn second_bytes(self, words: [__m256i; 4]) -> __m256i {
        simd! {
            // The low halves of two vectors side by side, twice; then the high bytes of all halves.
            let even = _mm256_blend_epi16::<0b1010_1010>(words[0], _mm256_slli_epi32::<16>(words[2]));
            let odd = _mm256_blend_epi16::<0b1010_1010>(words[1], _mm256_slli_epi32::<16>(words[3]));
            let high = _mm256_and_si256(odd, _mm256_set1_epi16(0xff00_u16 as i16));
            _mm256_or_si256(_mm256_srli_epi16::<8>(even), high)
        }
    }

    #[inline(always)]
    fn add_bytes(self, sum: __m256i, bytes: __m256i) -> __m256i {
        simd! {
            // Sums of pairs are at most 510.
            let pairs = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(1));
            _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)))
        }
    }

    #[inline(always)]
    fn to_f32(self, a: __m256i) -> __m256 {
        simd!(_mm256_cvtepi32_ps(a))
    }

    #[inline(always)]
    fn to_i32(self, a: __m256) -> __m256i {
        simd!(_mm256_cvtps_epi32(a))
    }

    #[inline(always)]
    fn bits(self, a: __m256) -> __m256i {
        simd!(_mm256_castps_si256(a))
    }

    #[inline(always)]
    fn float_of_bits(self, a: __m256i) -> __m256 {
        simd!(_mm256_castsi256_ps(a))
    }

    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        simd!(_mm256_add_ps(a, b))
    }

    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        simd!(_mm256_sub_ps(a, b))
    }

    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        simd!(_mm256_mul_ps(a, b))
    }

    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        simd!(_mm256_div_ps(a, b))
    }

    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        simd!(_mm256_max_ps(a, b))
    }

    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        simd!(_mm256_min_ps(a, b))
    }

    #[inline(always)]
    fn abs(self, a: __m256) -> __m256 {
        simd!(_mm256_andnot_ps(_mm256_set1_ps(-0.0), a))
    }

    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        simd!(_mm256_fmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn fnma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        simd!(_mm256_fnmadd_ps(a, b, c))
    }

    #[inline(always)]
    fn round(self, a: __m256) -> __m256 {
        simd!(_mm256_round_ps::<
            { _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC },
        >(a))
    }

    #[inline(always)]
    fn rotate(self, pairs: __m256, turns: __m256) -> __m256 {
        simd! {
            let (cos, sin) = (_mm256_moveldup_ps(turns), _mm256_movehdup_ps(turns));
            let swapped = _mm256_permute_ps::<0b10_11_00_01>(pairs);
            _mm256_fmaddsub_ps(pairs, cos, _mm256_mul_ps(swapped, sin))
        }
    }

    #[inline(always)]
    fn transpose(self, rows: &mut [__m256i]) {
        let rows: &mut [__m256i; 8] = rows.try_into().expect("8 rows");
        simd! {
            let mut t = *rows;
            // Pairs of rows, then pairs of pairs: each 128-bit lane then holds 4 rows of one column.
            for i in 0..4 {
                t[2 * i] = _mm256_unpacklo_epi32(rows[2 * i], rows[2 * i + 1]);
                t[2 * i + 1] = _mm256_unpackhi_epi32(rows[2 * i], rows[2 * i + 1]);
            }
            let mut u = t;
            for i in 0..2 {
                u[4 * i] = _mm256_unpacklo_epi64(t[4 * i], t[4 * i + 2]);
                u[4 * i + 1] = _mm256_unpackhi_epi64(t[4 * i], t[4 * i + 2]);
                u[4 * i + 2] = _mm256_unpacklo_epi64(t[4 * i + 1], t[4 * i + 3]);
                u[4 * i + 3] = _mm256_unpackhi_epi64(t[4 * i + 1], t[4 * i + 3]);
            }
            // u[4 r + c] holds, in lane l, rows 4r..4r+4 of column 4 l + c.
            for c in 0..4 {
                rows[c] = _mm256_permute2x128_si256::<0x20>(u[c], u[4 + c]);
                rows[4 + c] = _mm256_permute2x128_si256::<0x31>(u[c], u[4 + c]);
            }
        }
    }
}
