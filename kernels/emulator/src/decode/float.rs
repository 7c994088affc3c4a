//! Floating point (PTX ISA 9.7.3 "Floating Point Instructions", 9.7.4 "Half Precision Floating Point
//! Instructions"). Round to nearest even, no flush to zero; a result that is not a number is the canonical one.

use crate::counts::Class;
use crate::exec::half::{from_half, to_half};
use crate::op::Map;

const NAN32: u32 = 0x7fff_ffff;
const NAN64: u64 = 0x7fff_ffff_ffff_ffff;

fn f(a: u32) -> f32 {
    f32::from_bits(a)
}

fn bits(x: f32) -> u32 {
    if x.is_nan() { NAN32 } else { x.to_bits() }
}

fn g(a: u64) -> f64 {
    f64::from_bits(a)
}

fn bits64(x: f64) -> u64 {
    if x.is_nan() { NAN64 } else { x.to_bits() }
}

/// The smaller; of a number and a NaN the number; -0 is below +0.
fn minimum(a: f32, b: f32) -> f32 {
    if a.is_nan() {
        return b;
    }
    if b.is_nan() || a < b || (a == b && a.is_sign_negative()) {
        a
    } else {
        b
    }
}

fn maximum(a: f32, b: f32) -> f32 {
    -minimum(-a, -b)
}

fn minimum64(a: f64, b: f64) -> f64 {
    if a.is_nan() {
        return b;
    }
    if b.is_nan() || a < b || (a == b && a.is_sign_negative()) {
        a
    } else {
        b
    }
}

/// As [`minimum`], but of a number and a NaN the NaN (`.NaN`).
fn minimum_nan(a: f32, b: f32) -> f32 {
    if a.is_nan() || b.is_nan() {
        f32::NAN
    } else {
        minimum(a, b)
    }
}

/// [0, 1]; NaN becomes +0 (`.sat`).
fn saturate(x: f32) -> f32 {
    if x > 0.0 { x.min(1.0) } else { 0.0 }
}

/// Elementwise instructions by the parts of their names.
pub(super) fn lookup(parts: &[&str]) -> Option<(Class, Map)> {
    let class = match *parts.first()? {
        "fma" | "mad" => Class::FusedMultiplyAdd,
        "div" | "sqrt" | "rcp" => Class::FloatDivide,
        _ => Class::Float,
    };
    single(parts)
        .or_else(|| double(parts))
        .or_else(|| half(parts))
        .or_else(|| half_pair(parts))
        .map(|map| (class, map))
}

fn single(parts: &[&str]) -> Option<Map> {
    Some(match parts {
        ["add", "f32"] | ["add", "rn", "f32"] => ww_w!(|a, b| bits(f(a) + f(b))),
        ["add", "sat", "f32"] | ["add", "rn", "sat", "f32"] => {
            ww_w!(|a, b| bits(saturate(f(a) + f(b))))
        }
        ["sub", "f32"] | ["sub", "rn", "f32"] => ww_w!(|a, b| bits(f(a) - f(b))),
        ["sub", "sat", "f32"] | ["sub", "rn", "sat", "f32"] => {
            ww_w!(|a, b| bits(saturate(f(a) - f(b))))
        }
        ["mul", "f32"] | ["mul", "rn", "f32"] => ww_w!(|a, b| bits(f(a) * f(b))),
        ["mul", "sat", "f32"] | ["mul", "rn", "sat", "f32"] => {
            ww_w!(|a, b| bits(saturate(f(a) * f(b))))
        }
        ["fma" | "mad", "rn", "f32"] => www_w!(|a, b, c| bits(f(a).mul_add(f(b), f(c)))),
        ["fma", "rn", "sat", "f32"] => www_w!(|a, b, c| bits(saturate(f(a).mul_add(f(b), f(c))))),
        ["div", "rn", "f32"] => ww_w!(|a, b| bits(f(a) / f(b))),
        ["rcp", "rn", "f32"] => w_w!(|a| bits(1.0 / f(a))),
        ["sqrt", "rn", "f32"] => w_w!(|a| bits(f(a).sqrt())),
        ["min", "f32"] => ww_w!(|a, b| bits(minimum(f(a), f(b)))),
        ["max", "f32"] => ww_w!(|a, b| bits(maximum(f(a), f(b)))),
        ["min", "NaN", "f32"] => ww_w!(|a, b| bits(minimum_nan(f(a), f(b)))),
        ["max", "NaN", "f32"] => ww_w!(|a, b| bits(-minimum_nan(-f(a), -f(b)))),
        ["neg", "f32"] => w_w!(|a| a ^ 0x8000_0000),
        ["abs", "f32"] => w_w!(|a| a & 0x7fff_ffff),
        ["copysign", "f32"] => ww_w!(|a, b| a & 0x8000_0000 | b & 0x7fff_ffff),
        _ => return None,
    })
}

fn double(parts: &[&str]) -> Option<Map> {
    Some(match parts {
        ["add", "f64"] | ["add", "rn", "f64"] => ll_l!(|a, b| bits64(g(a) + g(b))),
        ["sub", "f64"] | ["sub", "rn", "f64"] => ll_l!(|a, b| bits64(g(a) - g(b))),
        ["mul", "f64"] | ["mul", "rn", "f64"] => ll_l!(|a, b| bits64(g(a) * g(b))),
        ["fma" | "mad", "rn", "f64"] => lll_l!(|a, b, c| bits64(g(a).mul_add(g(b), g(c)))),
        ["div", "rn", "f64"] => ll_l!(|a, b| bits64(g(a) / g(b))),
        ["rcp", "rn", "f64"] => l_l!(|a| bits64(1.0 / g(a))),
        ["sqrt", "rn", "f64"] => l_l!(|a| bits64(g(a).sqrt())),
        ["min", "f64"] => ll_l!(|a, b| bits64(minimum64(g(a), g(b)))),
        ["max", "f64"] => ll_l!(|a, b| bits64(-minimum64(-g(a), -g(b)))),
        ["neg", "f64"] => l_l!(|a| a ^ 1 << 63),
        ["abs", "f64"] => l_l!(|a| a & !(1 << 63)),
        _ => return None,
    })
}

/// Sums, products and quotients of f16 are exact enough in binary32 that rounding twice does no harm
/// (24 >= 2 * 11 + 2 bits).
fn half1(a: u32, f: impl Fn(f32) -> f32) -> u32 {
    u32::from(to_half(f(from_half(a as u16))))
}

fn half2(a: u32, b: u32, f: impl Fn(f32, f32) -> f32) -> u32 {
    u32::from(to_half(f(from_half(a as u16), from_half(b as u16))))
}

/// The product is exact in binary64, and so is the sum wherever its lowest bits could reach a tie of f16.
fn half_fma(a: u32, b: u32, c: u32) -> u32 {
    let wide = |x: u32| f64::from(from_half(x as u16));
    let sum = wide(a).mul_add(wide(b), wide(c));
    if sum.is_nan() {
        0x7fff
    } else {
        u32::from(::half::f16::from_f64(sum).to_bits())
    }
}

fn half(parts: &[&str]) -> Option<Map> {
    Some(match parts {
        ["add", "f16"] | ["add", "rn", "f16"] => ww_w!(|a, b| half2(a, b, |a, b| a + b)),
        ["sub", "f16"] | ["sub", "rn", "f16"] => ww_w!(|a, b| half2(a, b, |a, b| a - b)),
        ["mul", "f16"] | ["mul", "rn", "f16"] => ww_w!(|a, b| half2(a, b, |a, b| a * b)),
        ["fma", "rn", "f16"] => www_w!(|a, b, c| half_fma(a, b, c)),
        ["min", "f16"] => ww_w!(|a, b| half2(a, b, minimum)),
        ["max", "f16"] => ww_w!(|a, b| half2(a, b, maximum)),
        ["neg", "f16"] => w_w!(|a| a ^ 0x8000),
        ["abs", "f16"] => w_w!(|a| half1(a, f32::abs)),
        _ => return None,
    })
}

/// Applies a function to both halves.
fn each1(a: u32, f: impl Fn(u32) -> u32) -> u32 {
    f(a & 0xffff) | f(a >> 16) << 16
}

fn each2(a: u32, b: u32, f: impl Fn(f32, f32) -> f32) -> u32 {
    half2(a, b, &f) | half2(a >> 16, b >> 16, &f) << 16
}

fn half_pair(parts: &[&str]) -> Option<Map> {
    Some(match parts {
        ["add", "f16x2"] | ["add", "rn", "f16x2"] => ww_w!(|a, b| each2(a, b, |a, b| a + b)),
        ["sub", "f16x2"] | ["sub", "rn", "f16x2"] => ww_w!(|a, b| each2(a, b, |a, b| a - b)),
        ["mul", "f16x2"] | ["mul", "rn", "f16x2"] => ww_w!(|a, b| each2(a, b, |a, b| a * b)),
        ["fma", "rn", "f16x2"] => {
            www_w!(|a, b, c| half_fma(a, b, c) | half_fma(a >> 16, b >> 16, c >> 16) << 16)
        }
        ["min", "f16x2"] => ww_w!(|a, b| each2(a, b, minimum)),
        ["max", "f16x2"] => ww_w!(|a, b| each2(a, b, maximum)),
        ["neg", "f16x2"] => w_w!(|a| a ^ 0x8000_8000),
        ["abs", "f16x2"] => w_w!(|a| each1(a, |half| half1(half, f32::abs))),
        ["cvt", "rn", "f16x2", "f32"] => {
            ww_w!(|a, b| u32::from(to_half(f(a))) << 16 | u32::from(to_half(f(b))))
        }
        _ => return None,
    })
}
