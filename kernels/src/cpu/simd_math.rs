//! The elementwise functions of [`crate::math`], on vectors, operation by operation the same.

use super::isa::Isa;
use crate::math::{ACTIVATION_TERMS, Activation, COSINE_POLY, EXP2_FLOOR, EXP2_POLY, SINE_POLY};

/// An [`Activation`] as vectors, which stay in registers or on the stack over many values.
#[derive(Clone, Copy)]
pub(super) struct Activator<I: Isa> {
    limit: I::F32,
    map: I::F32,
    poly: [I::F32; ACTIVATION_TERMS],
}

impl<I: Isa> Activator<I> {
    #[inline(always)]
    pub(super) fn new(isa: I, activation: &Activation) -> Self {
        let mut poly = [isa.splat_f32(0.0); ACTIVATION_TERMS];
        for (vector, &c) in poly.iter_mut().zip(&activation.poly) {
            *vector = isa.splat_f32(c);
        }
        Self {
            limit: isa.splat_f32(activation.limit),
            map: isa.splat_f32(activation.map),
            poly,
        }
    }

    /// [`Activation::apply`].
    #[inline(always)]
    pub(super) fn apply(&self, isa: I, x: I::F32) -> I::F32 {
        let a = isa.min(isa.abs(x), self.limit);
        let t = isa.fma(a, self.map, isa.splat_f32(-1.0));
        let mut q = self.poly[ACTIVATION_TERMS - 1];
        for &c in self.poly[..ACTIVATION_TERMS - 1].iter().rev() {
            q = isa.fma(q, t, c);
        }
        isa.fnma(a, q, isa.max(x, isa.splat_f32(0.0)))
    }
}

/// [`crate::math::cos_sin`].
#[inline(always)]
pub(super) fn cos_sin<I: Isa>(isa: I, turns: I::F32) -> (I::F32, I::F32) {
    let u = isa.sub(turns, isa.round(turns));
    let w = isa.mul(u, u);
    let cos = horner(isa, &COSINE_POLY, w);
    (cos, isa.mul(u, horner(isa, &SINE_POLY, w)))
}

/// The polynomial at `x`, its coefficients lowest power first.
#[inline(always)]
fn horner<I: Isa, const TERMS: usize>(isa: I, poly: &[f32; TERMS], x: I::F32) -> I::F32 {
    let mut p = isa.splat_f32(poly[TERMS - 1]);
    for &c in poly[..TERMS - 1].iter().rev() {
        p = isa.fma(p, x, isa.splat_f32(c));
    }
    p
}

/// [`crate::math::exp2_255`].
#[inline(always)]
pub(super) fn exp2_255<I: Isa>(isa: I, x: I::F32) -> I::F32 {
    let x = isa.max(x, isa.splat_f32(EXP2_FLOOR));
    let n = isa.to_i32(x);
    let f = isa.sub(x, isa.to_f32(n));
    let p = horner(isa, &EXP2_POLY, f);
    isa.float_of_bits(isa.add_i32(isa.bits(p), isa.shift_left::<23>(n)))
}

/// [`crate::math::softmax_weight`] in the second byte of every lane, beside other bits.
#[inline(always)]
pub(super) fn softmax_weight<I: Isa>(isa: I, x: I::F32, offset: I::F32) -> I::I32 {
    isa.bits(isa.add(exp2_255(isa, x), offset))
}
