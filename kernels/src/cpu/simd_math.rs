//! The elementwise functions of [`crate::math`], on vectors, operation by operation the same.

use super::isa::Isa;
use crate::math::{ACTIVATION_TERMS, Activation, EXP2_FLOOR, EXP2_POLY};

/// [`crate::math::sat8`]: an i8 in every lane's low byte.
#[inline(always)]
pub(super) fn sat8<I: Isa>(isa: I, x: I::F32) -> I::I32 {
    let low = isa.max(x, isa.splat_f32(-127.0));
    isa.to_i32(isa.min(low, isa.splat_f32(127.0)))
}

/// [`Activation::apply`].
#[inline(always)]
pub(super) fn activate<I: Isa>(isa: I, activation: &Activation, x: I::F32) -> I::F32 {
    let a = isa.min(isa.abs(x), isa.splat_f32(activation.limit));
    let t = isa.fma(a, isa.splat_f32(activation.map), isa.splat_f32(-1.0));
    let poly = &activation.poly;
    let mut q = isa.splat_f32(poly[ACTIVATION_TERMS - 1]);
    for &c in poly[..ACTIVATION_TERMS - 1].iter().rev() {
        q = isa.fma(q, t, isa.splat_f32(c));
    }
    isa.fnma(a, q, isa.max(x, isa.splat_f32(0.0)))
}

/// [`crate::math::exp2_255`].
#[inline(always)]
pub(super) fn exp2_255<I: Isa>(isa: I, x: I::F32) -> I::I32 {
    let x = isa.max(x, isa.splat_f32(EXP2_FLOOR));
    let n = isa.to_i32(x);
    let f = isa.sub(x, isa.to_f32(n));
    let mut p = isa.splat_f32(EXP2_POLY[4]);
    for &c in EXP2_POLY[..4].iter().rev() {
        p = isa.fma(p, f, isa.splat_f32(c));
    }
    let scaled = isa.add_i32(isa.bits(p), isa.shift_left::<23>(n));
    isa.to_i32(isa.float_of_bits(scaled))
}
