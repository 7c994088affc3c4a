//! Integer arithmetic (PTX ISA 9.7.1 "Integer Arithmetic Instructions").
//!
//! 16-bit values are kept with zeros above, so results are cut to 16 bits.

use crate::counts::Class;
use crate::op::Map;

fn s16(a: u32) -> i32 {
    i32::from(a as u16 as i16)
}

fn s32(a: u32) -> i32 {
    a.cast_signed()
}

fn s64(a: u64) -> i64 {
    a.cast_signed()
}

fn wide_s(a: u32, b: u32) -> u64 {
    (i64::from(s32(a)) * i64::from(s32(b))).cast_unsigned()
}

fn wide_u(a: u32, b: u32) -> u64 {
    u64::from(a) * u64::from(b)
}

fn high_s64(a: u64, b: u64) -> u64 {
    ((i128::from(s64(a)) * i128::from(s64(b))) >> 64) as u64
}

fn high_u64(a: u64, b: u64) -> u64 {
    ((u128::from(a) * u128::from(b)) >> 64) as u64
}

/// The low 24 bits, sign-extended.
fn s24(a: u32) -> i64 {
    i64::from(s32(a << 8) >> 8)
}

fn u24(a: u32) -> u64 {
    u64::from(a & 0xff_ffff)
}

/// Elementwise instructions by the parts of their names.
pub(super) fn lookup(parts: &[&str]) -> Option<(Class, Map)> {
    add_and_compare(parts)
        .map(|map| (Class::Integer, map))
        .or_else(|| multiply(parts).map(|map| (Class::IntegerMultiply, map)))
        .or_else(|| divide(parts).map(|map| (Class::IntegerDivide, map)))
        .or_else(|| dot(parts).map(|map| (Class::DotProduct, map)))
}

fn add_and_compare(parts: &[&str]) -> Option<Map> {
    Some(match parts {
        ["add", "s16" | "u16"] => ww_w!(|a, b| a.wrapping_add(b) & 0xffff),
        ["add", "s32" | "u32"] => ww_w!(|a, b| a.wrapping_add(b)),
        ["add", "s64" | "u64"] => ll_l!(|a, b| a.wrapping_add(b)),
        ["add", "sat", "s32"] => ww_w!(|a, b| s32(a).saturating_add(s32(b)).cast_unsigned()),
        ["sub", "s16" | "u16"] => ww_w!(|a, b| a.wrapping_sub(b) & 0xffff),
        ["sub", "s32" | "u32"] => ww_w!(|a, b| a.wrapping_sub(b)),
        ["sub", "s64" | "u64"] => ll_l!(|a, b| a.wrapping_sub(b)),
        ["sub", "sat", "s32"] => ww_w!(|a, b| s32(a).saturating_sub(s32(b)).cast_unsigned()),
        ["min", "s16"] => ww_w!(|a, b| s16(a).min(s16(b)) as u32 & 0xffff),
        ["min", "u16" | "u32"] => ww_w!(|a, b| a.min(b)),
        ["min", "s32"] => ww_w!(|a, b| s32(a).min(s32(b)).cast_unsigned()),
        ["min", "s64"] => ll_l!(|a, b| s64(a).min(s64(b)).cast_unsigned()),
        ["min", "u64"] => ll_l!(|a, b| a.min(b)),
        ["max", "s16"] => ww_w!(|a, b| s16(a).max(s16(b)) as u32 & 0xffff),
        ["max", "u16" | "u32"] => ww_w!(|a, b| a.max(b)),
        ["max", "s32"] => ww_w!(|a, b| s32(a).max(s32(b)).cast_unsigned()),
        ["max", "s64"] => ll_l!(|a, b| s64(a).max(s64(b)).cast_unsigned()),
        ["max", "u64"] => ll_l!(|a, b| a.max(b)),
        ["abs", "s16"] => w_w!(|a| s16(a).unsigned_abs() & 0xffff),
        ["abs", "s32"] => w_w!(|a| s32(a).unsigned_abs()),
        ["abs", "s64"] => l_l!(|a| s64(a).unsigned_abs()),
        ["neg", "s16"] => w_w!(|a| a.wrapping_neg() & 0xffff),
        ["neg", "s32"] => w_w!(|a| a.wrapping_neg()),
        ["neg", "s64"] => l_l!(|a| a.wrapping_neg()),
        ["sad", "u32"] => www_w!(|a, b, c| c.wrapping_add(a.abs_diff(b))),
        ["sad", "s32"] => www_w!(|a, b, c| c.wrapping_add(s32(a).abs_diff(s32(b)))),
        _ => return None,
    })
}

fn multiply(parts: &[&str]) -> Option<Map> {
    Some(match parts {
        ["mul", "lo", "s16" | "u16"] => ww_w!(|a, b| a.wrapping_mul(b) & 0xffff),
        ["mul", "lo", "s32" | "u32"] => ww_w!(|a, b| a.wrapping_mul(b)),
        ["mul", "lo", "s64" | "u64"] => ll_l!(|a, b| a.wrapping_mul(b)),
        ["mul", "hi", "s16"] => ww_w!(|a, b| ((s16(a) * s16(b)) >> 16) as u32 & 0xffff),
        ["mul", "hi", "u16"] => ww_w!(|a, b| a.wrapping_mul(b) >> 16),
        ["mul", "hi", "s32"] => ww_w!(|a, b| (wide_s(a, b) >> 32) as u32),
        ["mul", "hi", "u32"] => ww_w!(|a, b| (wide_u(a, b) >> 32) as u32),
        ["mul", "hi", "s64"] => ll_l!(|a, b| high_s64(a, b)),
        ["mul", "hi", "u64"] => ll_l!(|a, b| high_u64(a, b)),
        ["mul", "wide", "s16"] => ww_w!(|a, b| (s16(a) * s16(b)).cast_unsigned()),
        ["mul", "wide", "u16"] => ww_w!(|a, b| a.wrapping_mul(b)),
        ["mul", "wide", "s32"] => ww_l!(|a, b| wide_s(a, b)),
        ["mul", "wide", "u32"] => ww_l!(|a, b| wide_u(a, b)),
        ["mul24", "lo", "s32"] => ww_w!(|a, b| (s24(a) * s24(b)) as u32),
        ["mul24", "lo", "u32"] => ww_w!(|a, b| (u24(a) * u24(b)) as u32),
        ["mad", "lo", "s16" | "u16"] => {
            www_w!(|a, b, c| a.wrapping_mul(b).wrapping_add(c) & 0xffff)
        }
        ["mad", "lo", "s32" | "u32"] => www_w!(|a, b, c| a.wrapping_mul(b).wrapping_add(c)),
        ["mad", "lo", "s64" | "u64"] => lll_l!(|a, b, c| a.wrapping_mul(b).wrapping_add(c)),
        ["mad", "hi", "s32"] => www_w!(|a, b, c| ((wide_s(a, b) >> 32) as u32).wrapping_add(c)),
        ["mad", "hi", "u32"] => www_w!(|a, b, c| ((wide_u(a, b) >> 32) as u32).wrapping_add(c)),
        ["mad", "hi", "s64"] => lll_l!(|a, b, c| high_s64(a, b).wrapping_add(c)),
        ["mad", "hi", "u64"] => lll_l!(|a, b, c| high_u64(a, b).wrapping_add(c)),
        ["mad", "wide", "s16"] => {
            www_w!(|a, b, c| (s16(a) * s16(b)).cast_unsigned().wrapping_add(c))
        }
        ["mad", "wide", "u16"] => www_w!(|a, b, c| a.wrapping_mul(b).wrapping_add(c)),
        ["mad", "wide", "s32"] => wwl_l!(|a, b, c| wide_s(a, b).wrapping_add(c)),
        ["mad", "wide", "u32"] => wwl_l!(|a, b, c| wide_u(a, b).wrapping_add(c)),
        _ => return None,
    })
}

/// Division by zero is undefined in the manual; the hardware gives all ones, and the dividend as remainder.
fn divide(parts: &[&str]) -> Option<Map> {
    Some(match parts {
        ["div", "s16"] => ww_w!(|a, b| divide_s(s16(a), s16(b)).cast_unsigned() & 0xffff),
        ["div", "u16"] => ww_w!(|a, b| a.checked_div(b).unwrap_or(0xffff)),
        ["div", "s32"] => ww_w!(|a, b| divide_s(s32(a), s32(b)).cast_unsigned()),
        ["div", "u32"] => ww_w!(|a, b| a.checked_div(b).unwrap_or(u32::MAX)),
        ["div", "s64"] => ll_l!(|a, b| match s64(b) {
            0 => u64::MAX,
            divisor => s64(a).wrapping_div(divisor).cast_unsigned(),
        }),
        ["div", "u64"] => ll_l!(|a, b| a.checked_div(b).unwrap_or(u64::MAX)),
        ["rem", "s16"] => ww_w!(|a, b| remainder_s(s16(a), s16(b)).cast_unsigned() & 0xffff),
        ["rem", "u16" | "u32"] => ww_w!(|a, b| a.checked_rem(b).unwrap_or(a)),
        ["rem", "s32"] => ww_w!(|a, b| remainder_s(s32(a), s32(b)).cast_unsigned()),
        ["rem", "s64"] => ll_l!(|a, b| match s64(b) {
            0 => a,
            divisor => s64(a).wrapping_rem(divisor).cast_unsigned(),
        }),
        ["rem", "u64"] => ll_l!(|a, b| a.checked_rem(b).unwrap_or(a)),
        _ => return None,
    })
}

fn divide_s(a: i32, b: i32) -> i32 {
    if b == 0 { -1 } else { a.wrapping_div(b) }
}

fn remainder_s(a: i32, b: i32) -> i32 {
    if b == 0 { a } else { a.wrapping_rem(b) }
}

/// PTX ISA "dp4a", "dp2a".
fn dot(parts: &[&str]) -> Option<Map> {
    Some(match parts {
        ["dp4a", "s32", "s32"] => www_w!(|a, b, c| dp4a::<true, true>(a, b, c)),
        ["dp4a", "s32", "u32"] => www_w!(|a, b, c| dp4a::<true, false>(a, b, c)),
        ["dp4a", "u32", "s32"] => www_w!(|a, b, c| dp4a::<false, true>(a, b, c)),
        ["dp4a", "u32", "u32"] => www_w!(|a, b, c| dp4a::<false, false>(a, b, c)),
        ["dp2a", "lo", "s32", "s32"] => www_w!(|a, b, c| dp2a::<true, true, 0>(a, b, c)),
        ["dp2a", "lo", "s32", "u32"] => www_w!(|a, b, c| dp2a::<true, false, 0>(a, b, c)),
        ["dp2a", "lo", "u32", "s32"] => www_w!(|a, b, c| dp2a::<false, true, 0>(a, b, c)),
        ["dp2a", "lo", "u32", "u32"] => www_w!(|a, b, c| dp2a::<false, false, 0>(a, b, c)),
        ["dp2a", "hi", "s32", "s32"] => www_w!(|a, b, c| dp2a::<true, true, 2>(a, b, c)),
        ["dp2a", "hi", "s32", "u32"] => www_w!(|a, b, c| dp2a::<true, false, 2>(a, b, c)),
        ["dp2a", "hi", "u32", "s32"] => www_w!(|a, b, c| dp2a::<false, true, 2>(a, b, c)),
        ["dp2a", "hi", "u32", "u32"] => www_w!(|a, b, c| dp2a::<false, false, 2>(a, b, c)),
        _ => return None,
    })
}

fn byte<const SIGNED: bool>(x: u32, i: usize) -> i32 {
    let byte = (x >> (8 * i)) as u8;
    if SIGNED {
        i32::from(byte.cast_signed())
    } else {
        i32::from(byte)
    }
}

fn dp4a<const A: bool, const B: bool>(a: u32, b: u32, c: u32) -> u32 {
    let products = (0..4).map(|i| byte::<A>(a, i) * byte::<B>(b, i));
    products.fold(c, |sum, product| sum.wrapping_add(product.cast_unsigned()))
}

fn dp2a<const A: bool, const B: bool, const FIRST: usize>(a: u32, b: u32, c: u32) -> u32 {
    let products = (0..2).map(|i| {
        let half = (a >> (16 * i)) as u16;
        let half = if A {
            i32::from(half.cast_signed())
        } else {
            i32::from(half)
        };
        half * byte::<B>(b, FIRST + i)
    });
    products.fold(c, |sum, product| sum.wrapping_add(product.cast_unsigned()))
}
