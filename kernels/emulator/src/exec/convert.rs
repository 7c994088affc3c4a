//! `cvt` (PTX ISA "cvt"): widening and narrowing of integers, roundings, saturation.

use super::half::{from_half, to_half, to_half_truncated};
use crate::op::{Conversion, LANES, Long, Rounding};
use crate::syntax::types::Type;
use crate::warp::Warp;

pub(super) fn convert(warp: &mut Warp, active: u32, c: &Conversion) {
    let bits = warp.wide(c.a);
    let value = match (c.from.is_float(), c.to.is_float()) {
        (false, false) => integer_to_integer(c, &bits),
        (false, true) => integer_to_float(c, &bits),
        (true, false) => float_to_integer(c, &bits),
        (true, true) => float_to_float(c, &bits),
    };
    warp.set_wide(c.d, active, &value);
}

/// The bits of an integer of type `ty`, sign- or zero-extended to 64.
fn extend(ty: Type, bits: u64) -> u64 {
    let unused = 64 - 8 * ty.bytes();
    if ty.is_signed() {
        ((bits << unused).cast_signed() >> unused).cast_unsigned()
    } else {
        bits << unused >> unused
    }
}

fn value_of(ty: Type, bits: u64) -> i128 {
    let extended = extend(ty, bits);
    if ty.is_signed() {
        i128::from(extended.cast_signed())
    } else {
        i128::from(extended)
    }
}

/// Least and greatest value of an integer type.
fn range(ty: Type) -> (i128, i128) {
    let bits = 8 * ty.bytes();
    if ty.is_signed() {
        (-(1 << (bits - 1)), (1 << (bits - 1)) - 1)
    } else {
        (0, (1 << bits) - 1)
    }
}

fn integer_to_integer(c: &Conversion, bits: &Long) -> Long {
    if !c.saturate {
        return bits.map(|bits| extend(c.to, extend(c.from, bits)));
    }
    let (least, greatest) = range(c.to);
    bits.map(|bits| value_of(c.from, bits).clamp(least, greatest) as u64)
}

fn integer_to_float(c: &Conversion, bits: &Long) -> Long {
    match c.to {
        Type::F64 if c.from == Type::U64 => bits.map(|x| (x as f64).to_bits()),
        Type::F64 => bits.map(|x| (extend(c.from, x).cast_signed() as f64).to_bits()),
        Type::F16 => bits.map(|x| {
            // Exact in binary64 up to 2^53; greater ones are infinite in either rounding.
            let wide = value_of(c.from, x) as f64;
            u64::from(half::f16::from_f64(wide).to_bits())
        }),
        _ if c.from == Type::U64 => bits.map(|x| u64::from((x as f32).to_bits())),
        _ => bits.map(|x| u64::from((extend(c.from, x).cast_signed() as f32).to_bits())),
    }
}

/// The value as binary64, which holds every other type's exactly.
fn widen(ty: Type, bits: u64) -> f64 {
    match ty {
        Type::F16 => f64::from(from_half(bits as u16)),
        Type::F32 => f64::from(f32::from_bits(bits as u32)),
        _ => f64::from_bits(bits),
    }
}

fn round(rounding: Rounding, x: f64) -> f64 {
    match rounding {
        Rounding::IntegerNearest => x.round_ties_even(),
        Rounding::IntegerZero => x.trunc(),
        Rounding::IntegerDown => x.floor(),
        Rounding::IntegerUp => x.ceil(),
        _ => x,
    }
}

/// Out of range values become the nearest of the type, NaN becomes 0.
fn float_to_integer(c: &Conversion, bits: &Long) -> Long {
    let (least, greatest) = range(c.to);
    bits.map(|bits| (round(c.rounding, widen(c.from, bits)) as i128).clamp(least, greatest) as u64)
}

fn float_to_float(c: &Conversion, bits: &Long) -> Long {
    let mut value = [0; LANES];
    for (value, &bits) in value.iter_mut().zip(bits) {
        let mut x = round(c.rounding, widen(c.from, bits));
        if c.saturate {
            x = if x > 0.0 { x.min(1.0) } else { 0.0 };
        }
        *value = match (c.to, c.rounding) {
            (Type::F64, _) if x.is_nan() => 0x7fff_ffff_ffff_ffff,
            (Type::F64, _) => x.to_bits(),
            (Type::F16, Rounding::Zero) => to_half_truncated(x as f32).into(),
            (Type::F16, _) => to_half(x as f32).into(),
            _ if x.is_nan() => 0x7fff_ffff,
            _ => u64::from((x as f32).to_bits()),
        };
    }
    value
}
