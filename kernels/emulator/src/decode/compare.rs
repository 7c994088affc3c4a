//! Comparisons (PTX ISA 9.7.6 "Comparison and Selection Instructions").

use super::decoder::{Decoded, Decoder};
use crate::counts::Class;
use crate::exec::half::from_half;
use crate::op::{Compare, Condition, Logic, Long, Op, Reg, Word};
use crate::syntax::{Operand, ParseError};
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
fn lookup(operator: &str, ty: &str) -> Option<Compare> {
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

impl<'a> Decoder<'a> {
    /// `and.pred` and the like, `mov.pred`.
    pub(super) fn predicate(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Decoded {
        let logic = match *parts {
            ["and", "pred"] => Logic::And,
            ["or", "pred"] => Logic::Or,
            ["xor", "pred"] => Logic::Xor,
            ["mov" | "not", "pred"] => {
                let [d, a] = self.exactly(operands)?;
                let d = self.names.predicate_destination(d)?;
                let mut a = self.names.condition(a)?;
                a.negated ^= parts[0] == "not";
                return Ok((
                    Class::Compare,
                    Op::Predicate {
                        logic: Logic::And,
                        d,
                        a,
                        b: a,
                    },
                ));
            }
            _ => return self.unknown(parts),
        };
        let [d, a, b] = self.exactly(operands)?;
        let d = self.names.predicate_destination(d)?;
        let (a, b) = (self.names.condition(a)?, self.names.condition(b)?);
        Ok((Class::Compare, Op::Predicate { logic, d, a, b }))
    }

    /// PTX ISA "setp", "set", "selp".
    pub(super) fn compare(&mut self, parts: &[&str], operands: &[Operand<'a>]) -> Decoded {
        let op = match *parts {
            ["setp", operator, ty] => {
                let [d, a, b] = self.exactly(operands)?;
                self.setp(parts, [operator, ty], d, [a, b], None)?
            }
            ["setp", operator, logic, ty] => {
                let logic = match logic {
                    "and" => Logic::And,
                    "or" => Logic::Or,
                    "xor" => Logic::Xor,
                    _ => return self.unknown(parts),
                };
                let [d, a, b, c] = self.exactly(operands)?;
                let c = self.names.condition(c)?;
                self.setp(parts, [operator, ty], d, [a, b], Some((logic, c)))?
            }
            ["set", operator, to, ty] => {
                let ones = match to {
                    "u32" | "s32" => u32::MAX,
                    "f32" => 1.0f32.to_bits(),
                    _ => return self.unknown(parts),
                };
                let [d, a, b] = self.exactly(operands)?;
                let (compare, [a, b]) = self.comparison(parts, [operator, ty], [a, b])?;
                let d = self.names.word_destination(d)?;
                Op::Set {
                    compare,
                    d,
                    a,
                    b,
                    ones,
                }
            }
            [
                "selp",
                "b16" | "u16" | "s16" | "b32" | "u32" | "s32" | "f32",
            ] => {
                let [d, a, b, p] = self.exactly(operands)?;
                let bits = if parts[1].ends_with("16") { 16 } else { 32 };
                let d = self.names.word_destination(d)?;
                let (a, b) = (self.names.word(a, bits)?, self.names.word(b, bits)?);
                let p = self.names.predicate_destination(p)?;
                Op::SelectWord { d, a, b, p }
            }
            ["selp", "b64" | "u64" | "s64" | "f64"] => {
                let [d, a, b, p] = self.exactly(operands)?;
                let d = self.names.long_destination(d)?;
                let (a, b) = (self.names.long(a)?, self.names.long(b)?);
                let p = self.names.predicate_destination(p)?;
                Op::SelectLong { d, a, b, p }
            }
            _ => return self.unknown(parts),
        };
        Ok((Class::Compare, op))
    }

    fn comparison(
        &mut self,
        parts: &[&str],
        [operator, ty]: [&str; 2],
        [a, b]: [&Operand<'a>; 2],
    ) -> Result<(Compare, [Reg; 2]), ParseError> {
        let Some(compare) = lookup(operator, ty) else {
            return self.unknown(parts);
        };
        let bits = if ty.ends_with("16") { 16 } else { 32 };
        let sources = match compare {
            Compare::W(_) => [self.names.word(a, bits)?, self.names.word(b, bits)?],
            Compare::L(_) => [self.names.long(a)?, self.names.long(b)?],
        };
        Ok((compare, sources))
    }

    fn setp(
        &mut self,
        parts: &[&str],
        how: [&str; 2],
        d: &Operand<'a>,
        sources: [&Operand<'a>; 2],
        combine: Option<(Logic, Condition)>,
    ) -> Result<Op, ParseError> {
        let (compare, [a, b]) = self.comparison(parts, how, sources)?;
        let (p, q) = match *d {
            Operand::Pair(p, q) => (
                self.names.predicate_named(p)?,
                self.names.predicate_named(q)?,
            ),
            ref single => (Some(self.names.predicate_destination(single)?), None),
        };
        Ok(Op::Compare {
            compare,
            a,
            b,
            p,
            q,
            combine,
        })
    }
}
