//! NEON: 4 lanes, with the dot product instructions or with widening multiplications.
//!
//! One shell for both; they differ in the inner loop. Every Armv8.0 processor has the second; the dot
//! product came with Armv8.2 (the Orin's Cortex-A78AE has it). Half-precision conversions are in the base
//! set, but the standard library names them only for a type it has not settled, hence the assembly.
//!
//! `fmaxnm` and `fminnm` give the number if one operand is a quiet NaN, so a NaN in the first place gives
//! the second, as [`Isa`] asks; arithmetic makes only quiet ones.

use super::tile::tile;
use super::{Block, CHANNELS, Dot4, Flip, Isa, Sums};
use crate::cpu::peak::saturate;
use half::f16;
use std::arch::aarch64::*;
use std::arch::{asm, is_aarch64_feature_detected};

/// Calls intrinsics of the base set, or of what a value of this file's types proves. Only those on values: whatever
/// goes through a pointer is an `unsafe` block of its own.
macro_rules! simd {
    ($($body:tt)*) => {{
        // SAFETY: NEON is part of the target, and `self` exists only where `new` found the rest; no pointer is
        // involved.
        unsafe { $($body)* }
    }};
}

/// Vectors of tokens in the registers: with 8 rows, 16 of 32 hold sums.
const VECTORS: usize = 2;

/// Weight rows in the registers.
const ROWS: usize = 8;

/// NEON, and what `D` needs.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct Neon<D>(D);

impl<D: DotProduct> Neon<D> {
    pub(in crate::cpu) fn new() -> Option<Self> {
        D::new().map(Self)
    }
}

/// The four-byte dot product of signed bytes. `self` is the proof of its instructions.
pub(in crate::cpu) trait DotProduct:
    Copy + Send + Sync + std::fmt::Debug + 'static
{
    fn new() -> Option<Self>;
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R;
    fn dot4(self, sum: int32x4_t, bytes: int8x16_t, weights: int8x16_t) -> int32x4_t;
    /// See [`Isa::block`].
    ///
    /// # Safety
    /// As there, with `COUNT` for `vectors`.
    unsafe fn block<const COUNT: usize>(
        isa: Neon<Self>,
        block: &Block,
        start: &[i32; CHANNELS],
        sums: &mut Sums,
    );
}

/// `sdot`.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct Sdot(());

/// `smull`, and sums of pairs.
#[derive(Clone, Copy, Debug)]
pub(in crate::cpu) struct Smull(());

/// `sdot` by lane `$lane` of the weights: the standard library's own is not settled either.
macro_rules! sdot_lane {
    ($sum:expr, $bytes:expr, $weights:expr, $lane:literal) => {
        asm!(
            ".arch_extension dotprod",
            concat!("sdot {sum:v}.4s, {bytes:v}.16b, {weights:v}.4b[", $lane, "]"),
            sum = inout(vreg) $sum,
            bytes = in(vreg) $bytes,
            weights = in(vreg) $weights,
            options(pure, nomem, nostack, preserves_flags),
        )
    };
}

/// One step of 4 along K, number `$lane` of the 16 weights at hand, for all rows and vectors.
macro_rules! step {
    ($lane:literal, $acc:ident, $panel:expr, $stride:expr, $weights:ident) => {
        let mut bytes = [vdupq_n_s8(0); COUNT];
        for (v, bytes) in bytes.iter_mut().enumerate() {
            *bytes = vld1q_s8($panel.add(v * $stride + 16 * $lane).cast());
        }
        for (acc, &weights) in $acc.iter_mut().zip(&$weights) {
            for (acc, &bytes) in acc.iter_mut().zip(&bytes) {
                sdot_lane!(*acc, bytes, weights, $lane);
            }
        }
    };
}

impl DotProduct for Sdot {
    fn new() -> Option<Self> {
        is_aarch64_feature_detected!("dotprod").then_some(Self(()))
    }

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        #[target_feature(enable = "dotprod")]
        fn inner<R>(f: impl FnOnce() -> R) -> R {
            f()
        }
        simd!(inner(f))
    }

    #[inline(always)]
    fn dot4(self, mut sum: int32x4_t, bytes: int8x16_t, weights: int8x16_t) -> int32x4_t {
        simd!(asm!(
            ".arch_extension dotprod",
            "sdot {0:v}.4s, {1:v}.16b, {2:v}.16b",
            inout(vreg) sum,
            in(vreg) bytes,
            in(vreg) weights,
            options(pure, nomem, nostack, preserves_flags),
        ));
        sum
    }

    /// As [`tile`], but weights are loaded 16 bytes a row, for four steps along K, and multiplied by lane:
    /// a load for 64 products instead of 16, and no repetition.
    #[inline(always)]
    unsafe fn block<const COUNT: usize>(
        isa: Neon<Self>,
        block: &Block,
        start: &[i32; CHANNELS],
        sums: &mut Sums,
    ) {
        block.ahead.request(isa);
        for first in (0..CHANNELS).step_by(ROWS) {
            let mut acc = [[isa.splat_i32(0); COUNT]; ROWS];
            for (acc, &start) in acc.iter_mut().zip(&start[first..]) {
                *acc = [isa.splat_i32(start); COUNT];
            }
            // SAFETY: the caller vouches for rows `first..first + ROWS` of the weights and `COUNT` vectors
            // of the panel; `k` stays below `inner`, which is a multiple of 16.
            unsafe {
                for k in (0..block.inner).step_by(16) {
                    let rows = block.weights.add(first * block.weight_stride + k);
                    let mut weights = [vdupq_n_s8(0); ROWS];
                    for (row, weights) in weights.iter_mut().enumerate() {
                        *weights = vld1q_s8(rows.add(row * block.weight_stride));
                    }
                    let panel = block.panel.add(k * 4);
                    step!(0, acc, panel, block.vector_stride, weights);
                    step!(1, acc, panel, block.vector_stride, weights);
                    step!(2, acc, panel, block.vector_stride, weights);
                    step!(3, acc, panel, block.vector_stride, weights);
                }
            }
            for (row, acc) in acc.iter().enumerate() {
                for (v, &acc) in acc.iter().enumerate() {
                    isa.store_i32(acc, &mut sums.0[((first + row) * VECTORS + v) * 4..]);
                }
            }
        }
    }
}

impl DotProduct for Smull {
    fn new() -> Option<Self> {
        Some(Self(()))
    }

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        f()
    }

    #[inline(always)]
    fn dot4(self, sum: int32x4_t, bytes: int8x16_t, weights: int8x16_t) -> int32x4_t {
        // A sum of two products is at most 2 * 128 * 127 = 32512 and so fits 16 bits.
        simd! {
            let low = vmull_s8(vget_low_s8(bytes), vget_low_s8(weights));
            let high = vmull_high_s8(bytes, weights);
            vpadalq_s16(sum, vpaddq_s16(low, high))
        }
    }

    #[inline(always)]
    unsafe fn block<const COUNT: usize>(
        isa: Neon<Self>,
        block: &Block,
        start: &[i32; CHANNELS],
        sums: &mut Sums,
    ) {
        // SAFETY: the caller's.
        unsafe { tile::<_, ROWS, COUNT>(isa, block, start, sums) };
    }
}

impl<D: DotProduct> Dot4 for Neon<D> {
    type Bytes = int8x16_t;

    #[inline(always)]
    unsafe fn load_bytes(self, from: *const u8) -> int8x16_t {
        // SAFETY: NEON is part of the target; the caller vouches for the bytes, and the load needs no alignment.
        unsafe { vld1q_s8(from.cast()) }
    }

    #[inline(always)]
    unsafe fn splat_bytes(self, from: *const i8) -> int32x4_t {
        // SAFETY: NEON is part of the target; the caller vouches for 4 readable bytes, of any alignment.
        unsafe { vdupq_n_s32(from.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    fn dot4(self, sum: int32x4_t, bytes: int8x16_t, weights: int32x4_t) -> int32x4_t {
        self.0
            .dot4(sum, bytes, simd!(vreinterpretq_s8_s32(weights)))
    }

    #[inline(always)]
    fn opaque(self, mut bytes: int8x16_t) -> int8x16_t {
        simd!(
            asm!("/* {0:v} */", inout(vreg) bytes, options(pure, nomem, nostack, preserves_flags))
        );
        bytes
    }
}

impl<D: DotProduct> Isa for Neon<D> {
    const LANES: usize = 4;
    const VECTORS: usize = VECTORS;
    const SIGNED: Flip = Flip::NONE;
    const UNSIGNED: Flip = Flip::TO_SIGNED;

    type I32 = int32x4_t;
    type F32 = float32x4_t;

    #[inline(always)]
    fn vectorize<R>(self, f: impl FnOnce() -> R) -> R {
        self.0.vectorize(f)
    }

    #[inline(always)]
    unsafe fn block(self, block: &Block, vectors: usize, start: &[i32; CHANNELS], sums: &mut Sums) {
        // SAFETY: NEON is part of the target; the caller vouches for the operands.
        unsafe {
            match vectors {
                2 => D::block::<2>(self, block, start, sums),
                _ => D::block::<1>(self, block, start, sums),
            }
        };
    }

    #[inline(always)]
    fn saturate(self, steps: usize) -> usize {
        saturate::<_, 16>(self, steps)
    }

    #[inline(always)]
    fn prefetch(self, at: *const i8) {
        // SAFETY: a hint, which never faults.
        unsafe {
            asm!("prfm pldl2keep, [{0}]", in(reg) at, options(nomem, nostack, preserves_flags));
        }
    }

    #[inline(always)]
    fn load_i32(self, from: &[i32]) -> int32x4_t {
        let from = &from[..4];
        // SAFETY: NEON is part of the target; the slice has the vector's length and its elements' alignment.
        unsafe { vld1q_s32(from.as_ptr()) }
    }

    #[inline(always)]
    fn load_words(self, from: &[i8]) -> int32x4_t {
        let from = &from[..16];
        // SAFETY: NEON is part of the target; the slice has the vector's length and its elements' alignment.
        unsafe { vreinterpretq_s32_s8(vld1q_s8(from.as_ptr())) }
    }

    #[inline(always)]
    fn store_i32(self, value: int32x4_t, to: &mut [i32]) {
        let to = &mut to[..4];
        // SAFETY: NEON is part of the target; the slice has the vector's length and its elements' alignment.
        unsafe { vst1q_s32(to.as_mut_ptr(), value) };
    }

    #[inline(always)]
    fn store_i8(self, value: int32x4_t, to: &mut [i8]) {
        let to = &mut to[..4];
        // SAFETY: NEON is part of the target; the slice has the 4 bytes written, of any alignment.
        unsafe {
            let halves = vmovn_s32(value);
            let bytes = vreinterpret_s32_s8(vmovn_s16(vcombine_s16(halves, halves)));
            to.as_mut_ptr()
                .cast::<i32>()
                .write_unaligned(vget_lane_s32::<0>(bytes));
        }
    }

    #[inline(always)]
    fn load_f32(self, from: &[f32]) -> float32x4_t {
        let from = &from[..4];
        // SAFETY: NEON is part of the target; the slice has the vector's length and its elements' alignment.
        unsafe { vld1q_f32(from.as_ptr()) }
    }

    #[inline(always)]
    fn store_f32(self, value: float32x4_t, to: &mut [f32]) {
        let to = &mut to[..4];
        // SAFETY: NEON is part of the target; the slice has the vector's length and its elements' alignment.
        unsafe { vst1q_f32(to.as_mut_ptr(), value) };
    }

    #[inline(always)]
    fn load_f16(self, from: &[f16]) -> float32x4_t {
        let from = &from[..4];
        // SAFETY: NEON is part of the target; the slice has the vector's length and its elements' alignment.
        unsafe {
            let halves = vld1_u16(from.as_ptr().cast());
            let wide: float32x4_t;
            asm!(
                "fcvtl {0:v}.4s, {1:v}.4h",
                lateout(vreg) wide,
                in(vreg) halves,
                options(pure, nomem, nostack, preserves_flags),
            );
            wide
        }
    }

    #[inline(always)]
    fn store_f16(self, value: float32x4_t, to: &mut [f16]) {
        let to = &mut to[..4];
        // SAFETY: NEON is part of the target; the slice has the vector's length and its elements' alignment.
        unsafe {
            let halves: uint16x4_t;
            asm!(
                "fcvtn {0:v}.4h, {1:v}.4s",
                lateout(vreg) halves,
                in(vreg) value,
                options(pure, nomem, nostack, preserves_flags),
            );
            vst1_u16(to.as_mut_ptr().cast(), halves);
        }
    }

    #[inline(always)]
    fn splat_i32(self, value: i32) -> int32x4_t {
        simd!(vdupq_n_s32(value))
    }

    #[inline(always)]
    fn splat_f32(self, value: f32) -> float32x4_t {
        simd!(vdupq_n_f32(value))
    }

    #[inline(always)]
    fn add_i32(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        simd!(vaddq_s32(a, b))
    }

    #[inline(always)]
    fn xor_i32(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        simd!(veorq_s32(a, b))
    }

    #[inline(always)]
    fn max_i32(self, a: int32x4_t, b: int32x4_t) -> int32x4_t {
        simd!(vmaxq_s32(a, b))
    }

    #[inline(always)]
    fn shift_left<const BITS: u32>(self, a: int32x4_t) -> int32x4_t {
        // The immediate form takes an i32; a constant count becomes it.
        simd!(vshlq_s32(a, vdupq_n_s32(BITS as i32)))
    }

    #[inline(always)]
    fn second_bytes(self, words: [int32x4_t; 4]) -> int32x4_t {
        simd! {
            let [a, b, c, d] = words.map(|word| vreinterpretq_u8_s32(word));
            // Odd bytes of two vectors in turn, of which a lane's lower half is wanted; then those halves in turn.
            let low = vreinterpretq_u16_u8(vtrn2q_u8(a, b));
            let high = vreinterpretq_u16_u8(vtrn2q_u8(c, d));
            vreinterpretq_s32_u16(vtrn1q_u16(low, high))
        }
    }

    #[inline(always)]
    fn add_bytes(self, sum: int32x4_t, bytes: int32x4_t) -> int32x4_t {
        simd! {
            let pairs = vpaddlq_u8(vreinterpretq_u8_s32(bytes));
            vreinterpretq_s32_u32(vpadalq_u16(vreinterpretq_u32_s32(sum), pairs))
        }
    }

    #[inline(always)]
    fn to_f32(self, a: int32x4_t) -> float32x4_t {
        simd!(vcvtq_f32_s32(a))
    }

    #[inline(always)]
    fn to_i32(self, a: float32x4_t) -> int32x4_t {
        simd!(vcvtnq_s32_f32(a))
    }

    #[inline(always)]
    fn bits(self, a: float32x4_t) -> int32x4_t {
        simd!(vreinterpretq_s32_f32(a))
    }

    #[inline(always)]
    fn float_of_bits(self, a: int32x4_t) -> float32x4_t {
        simd!(vreinterpretq_f32_s32(a))
    }

    #[inline(always)]
    fn add(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        simd!(vaddq_f32(a, b))
    }

    #[inline(always)]
    fn sub(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        simd!(vsubq_f32(a, b))
    }

    #[inline(always)]
    fn mul(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        simd!(vmulq_f32(a, b))
    }

    #[inline(always)]
    fn div(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        simd!(vdivq_f32(a, b))
    }

    #[inline(always)]
    fn max(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        simd!(vmaxnmq_f32(a, b))
    }

    #[inline(always)]
    fn min(self, a: float32x4_t, b: float32x4_t) -> float32x4_t {
        simd!(vminnmq_f32(a, b))
    }

    #[inline(always)]
    fn abs(self, a: float32x4_t) -> float32x4_t {
        simd!(vabsq_f32(a))
    }

    #[inline(always)]
    fn fma(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        simd!(vfmaq_f32(c, a, b))
    }

    #[inline(always)]
    fn fnma(self, a: float32x4_t, b: float32x4_t, c: float32x4_t) -> float32x4_t {
        simd!(vfmsq_f32(c, a, b))
    }

    #[inline(always)]
    fn round(self, a: float32x4_t) -> float32x4_t {
        simd!(vrndnq_f32(a))
    }

    #[inline(always)]
    fn rotate(self, pairs: float32x4_t, turns: float32x4_t) -> float32x4_t {
        simd! {
            let (cos, sin) = (vtrn1q_f32(turns, turns), vtrn2q_f32(turns, turns));
            let product = vreinterpretq_u32_f32(vmulq_f32(vrev64q_f32(pairs), sin));
            // The sign of the even lanes.
            let signs = vreinterpretq_u32_u64(vdupq_n_u64(0x8000_0000));
            vfmaq_f32(vreinterpretq_f32_u32(veorq_u32(product, signs)), pairs, cos)
        }
    }

    #[inline(always)]
    fn transpose(self, rows: &mut [int32x4_t]) {
        let rows: &mut [int32x4_t; 4] = rows.try_into().expect("4 rows");
        simd! {
            let even = [vtrn1q_s32(rows[0], rows[1]), vtrn1q_s32(rows[2], rows[3])];
            let odd = [vtrn2q_s32(rows[0], rows[1]), vtrn2q_s32(rows[2], rows[3])];
            for (i, [a, b]) in [even, odd].into_iter().enumerate() {
                let (a, b) = (vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b));
                rows[i] = vreinterpretq_s32_s64(vtrn1q_s64(a, b));
                rows[2 + i] = vreinterpretq_s32_s64(vtrn2q_s64(a, b));
            }
        }
    }
}
