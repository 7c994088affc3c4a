//! NEON: four lanes. Products take a lane's samples from two vectors, the first of each pair and the second, so that a
//! coefficient is an operand's element and need not fill a vector.

use std::arch::aarch64::*;

use crate::frame::filter::PRECISION_BITS;
use crate::frame::table::LOW_BITS;
use crate::frame::vector::{Pair, Vector};

/// Sums of samples times the low halves of coefficients, and times the high halves.
#[derive(Clone, Copy)]
pub(super) struct Neon([int32x4_t; 2]);

/// Calls intrinsics on values. Whatever goes through a pointer is an `unsafe` block of its own.
macro_rules! simd {
    ($($body:tt)*) => {{
        // SAFETY: this file is compiled only for targets with NEON; no pointer is involved.
        unsafe { $($body)* }
    }};
}

/// Samples, clamped to 0..=255.
#[inline(always)]
fn samples(values: int32x4_t) -> int16x4_t {
    simd!(vmax_s16(
        vmin_s16(vqmovn_s32(values), vdup_n_s16(255)),
        vdup_n_s16(0)
    ))
}

/// Two vectors' lanes, clamped to 0..=255.
#[inline(always)]
fn bytes(a: int32x4_t, b: int32x4_t) -> uint8x8_t {
    simd!(vqmovun_s16(vcombine_s16(vqmovn_s32(a), vqmovn_s32(b))))
}

#[inline(always)]
fn load(samples: &[i16]) -> int16x8_t {
    let samples = &samples[..8];
    // SAFETY: this file is compiled only for targets with NEON; the slice is as long as the vector, and the load needs
    // no more than its alignment.
    unsafe { vld1q_s16(samples.as_ptr()) }
}

#[inline(always)]
fn store(samples: &mut [i16], value: int16x8_t) {
    let samples = &mut samples[..8];
    // SAFETY: this file is compiled only for targets with NEON; the slice is as long as the vector, and the store needs
    // no more than its alignment.
    unsafe { vst1q_s16(samples.as_mut_ptr(), value) };
}

impl Vector for Neon {
    const LANES: usize = 4;

    /// The first samples of the four pairs, then the second ones.
    type Samples = int16x8_t;
    /// Both low halves, then both high ones.
    type Weights = int16x4_t;
    type Rounded = int32x4_t;

    #[inline(always)]
    fn zero() -> Self {
        Self([simd!(vdupq_n_s32(0)); 2])
    }

    #[inline(always)]
    fn load(samples: &[i16]) -> int16x8_t {
        load(samples)
    }

    #[inline(always)]
    fn weights(pair: &Pair) -> int16x4_t {
        // SAFETY: this file is compiled only for targets with NEON; a pair is as long as the vector, and the load needs no
        // more than its alignment.
        unsafe { vld1_s16(pair.as_flattened().as_ptr()) }
    }

    #[inline(always)]
    fn multiply_add(self, samples: int16x8_t, weights: int16x4_t) -> Self {
        let Self([low, high]) = self;
        Self(simd! {
            let first = vget_low_s16(samples);
            let low = vmlal_lane_s16::<0>(low, first, weights);
            let high = vmlal_lane_s16::<2>(high, first, weights);
            [
                vmlal_high_lane_s16::<1>(low, samples, weights),
                vmlal_high_lane_s16::<3>(high, samples, weights),
            ]
        })
    }

    #[inline(always)]
    fn round(self) -> int32x4_t {
        let Self([low, high]) = self;
        simd! {
            let sums = vaddq_s32(low, vshlq_n_s32::<{ LOW_BITS as i32 }>(high));
            vrshrq_n_s32::<{ PRECISION_BITS as i32 }>(sums)
        }
    }

    #[inline(always)]
    fn transpose(rows: &[i16], row: usize, out: &mut [i16], step: usize) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| load(&rows[i * row..]));
        let columns = simd! {
            // Samples of the four rows side by side: of columns 0 to 3, then of 4 to 7.
            let (ac, bd) = (vzip1q_s16(a, c), vzip1q_s16(b, d));
            let (eg, fh) = (vzip2q_s16(a, c), vzip2q_s16(b, d));
            [
                vzip1q_s16(ac, bd),
                vzip2q_s16(ac, bd),
                vzip1q_s16(eg, fh),
                vzip2q_s16(eg, fh),
            ]
        };
        for (i, column) in columns.into_iter().enumerate() {
            store(&mut out[i * step..], column);
        }
    }

    #[inline(always)]
    fn store_pairs([a, b, c, d]: [int32x4_t; 4], out: &mut [i16], step: usize) {
        let rows = simd! {
            let ac = vcombine_s16(samples(a), samples(c));
            let bd = vcombine_s16(samples(b), samples(d));
            // a0 b0 a1 b1 and so on, in words.
            let ab = vreinterpretq_s32_s16(vzip1q_s16(ac, bd));
            let cd = vreinterpretq_s32_s16(vzip2q_s16(ac, bd));
            [
                vreinterpretq_s16_s32(vzip1q_s32(ab, cd)),
                vreinterpretq_s16_s32(vzip2q_s32(ab, cd)),
            ]
        };
        for (i, rows) in rows.into_iter().enumerate() {
            store(&mut out[i * step..], rows);
        }
    }

    #[inline(always)]
    fn store_bytes([a, b, c, d]: [int32x4_t; 4], out: &mut [u8]) {
        let out = &mut out[..16];
        let samples = simd!(vcombine_u8(bytes(a, b), bytes(c, d)));
        // SAFETY: this file is compiled only for targets with NEON; the slice is as long as the vector.
        unsafe { vst1q_u8(out.as_mut_ptr(), samples) };
    }
}
