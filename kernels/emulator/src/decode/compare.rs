//! Comparisons (PTX ISA 9.7.6 "Comparison and Selection Instructions").

use crate::exec::half::from_half;
use crate::op::{Compare, Long, Word};
use std::cmp::Ordering::{Equal, Greater, Less};

macro_rules! words {
    (|$a:ident, $b:ident| $e:expr) => {
        Compare::W(|x: &Word, y: &Word| {
            let lanes = x.iter().zip(y).enumerate();
            lanes.fold(0, |mask, (lane, (&$a, &$b))| mask | u32::from($e) << lane)
        })
    };
}

macro_rules! longs {
    (|$a:ident, $b:ident| $e:expr) => {
        Compare::L(|x: &Long, y: &Long| {
            let lanes = x.iter().zip(y).enumerate();
            lanes.fold(0, |mask, (lane, (&$a, &$b))| mask | u32::from($e) << lane)
        })
    };
}

/// A comparison operator and type, as one function for each operator.
macro_rules! integers {
    ($lift:ident, $operator:expr, |$x:ident| $e:expr) => {
        match $operator {
            "eq" => $lift!(|a, b| view(a, |$x| $e) == view(b, |$x| $e)),
            "ne" => $lift!(|a, b| view(a, |$x| $e) != view(b, |$x| $e)),
            "lt" | "lo" => $lift!(|a, b| view(a, |$x| $e) < view(b, |$x| $e)),
            "le" | "ls" => $lift!(|a, b| view(a, |$x| $e) <= view(b, |$x| $e)),
            "gt" | "hi" => $lift!(|a, b| view(a, |$x| $e) > view(b, |$x| $e)),
            "ge" | "hs" => $lift!(|a, b| view(a, |$x| $e) >= view(b, |$x| $e)),
            _ => return None,
        }
    };
}

/// Ordered comparisons are false of a NaN, those with `u` true.
macro_rules! floats {
    ($lift:ident, $operator:expr, |$x:ident| $e:expr) => {
        match $operator {
            "eq" => $lift!(|a, b| view(a, |$x| $e) == view(b, |$x| $e)),
            "ne" => $lift!(|a, b| matches!(order(a, b, |$x| $e), Some(Less | Greater))),
            "lt" => $lift!(|a, b| view(a, |$x| $e) < view(b, |$x| $e)),
            "le" => $lift!(|a, b| view(a, |$x| $e) <= view(b, |$x| $e)),
            "gt" => $lift!(|a, b| view(a, |$x| $e) > view(b, |$x| $e)),
            "ge" => $lift!(|a, b| view(a, |$x| $e) >= view(b, |$x| $e)),
            "equ" => $lift!(|a, b| matches!(order(a, b, |$x| $e), None | Some(Equal))),
            "neu" => $lift!(|a, b| view(a, |$x| $e) != view(b, |$x| $e)),
            "ltu" => $lift!(|a, b| matches!(order(a, b, |$x| $e), None | Some(Less))),
            "leu" => $lift!(|a, b| order(a, b, |$x| $e) != Some(Greater)),
            "gtu" => $lift!(|a, b| matches!(order(a, b, |$x| $e), None | Some(Greater))),
            "geu" => $lift!(|a, b| order(a, b, |$x| $e) != Some(Less)),
            "num" => $lift!(|a, b| order(a, b, |$x| $e).is_some()),
            "nan" => $lift!(|a, b| order(a, b, |$x| $e).is_none()),
            _ => return None,
        }
    };
}

fn view<T, U>(x: T, as_type: impl Fn(T) -> U) -> U {
    as_type(x)
}

fn order<T, U: PartialOrd>(a: T, b: T, as_type: impl Fn(T) -> U) -> Option<std::cmp::Ordering> {
    as_type(a).partial_cmp(&as_type(b))
}

/// The comparison `operator` of two values of type `ty`.
pub(super) fn lookup(operator: &str, ty: &str) -> Option<Compare> {
    let unsigned_only = matches!(operator, "lo" | "ls" | "hi" | "hs");
    let equality = matches!(operator, "eq" | "ne");
    if (unsigned_only && !ty.starts_with('u')) || (ty.starts_with('b') && !equality) {
        return None;
    }
    Some(match ty {
        "b16" | "u16" | "b32" | "u32" => integers!(words, operator, |x| x),
        "s16" => integers!(words, operator, |x| x as u16 as i16),
        "s32" => integers!(words, operator, |x| x.cast_signed()),
        "b64" | "u64" => integers!(longs, operator, |x| x),
        "s64" => integers!(longs, operator, |x| x.cast_signed()),
        "f16" => floats!(words, operator, |x| from_half(x as u16)),
        "f32" => floats!(words, operator, |x| f32::from_bits(x)),
        "f64" => floats!(longs, operator, |x| f64::from_bits(x)),
        _ => return None,
    })
}
