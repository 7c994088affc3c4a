//! Logic, shifts, bit fields (PTX ISA 9.7.7 "Logic and Shift Instructions", and the bit counting and bit field
//! parts of 9.7.1), and moves.

use crate::counts::Class;
use crate::op::{Map, window};

/// Elementwise instructions by the parts of their names.
pub(super) fn lookup(parts: &[&str]) -> Option<(Class, Map)> {
    logic(parts)
        .or_else(|| shift(parts))
        .or_else(|| field(parts))
        .or_else(|| permute(parts))
        .map(|map| (Class::Logic, map))
        .or_else(|| count(parts).map(|map| (Class::BitCount, map)))
        .or_else(|| movement(parts).map(|map| (Class::Move, map)))
}

fn logic(parts: &[&str]) -> Option<Map> {
    Some(match parts {
        ["and", "b16" | "b32"] => ww_w!(|a, b| a & b),
        ["and", "b64"] => ll_l!(|a, b| a & b),
        ["or", "b16" | "b32"] => ww_w!(|a, b| a | b),
        ["or", "b64"] => ll_l!(|a, b| a | b),
        ["xor", "b16" | "b32"] => ww_w!(|a, b| a ^ b),
        ["xor", "b64"] => ll_l!(|a, b| a ^ b),
        ["not", "b16"] => w_w!(|a| !a & 0xffff),
        ["not", "b32"] => w_w!(|a| !a),
        ["not", "b64"] => l_l!(|a| !a),
        ["cnot", "b32"] => w_w!(|a| u32::from(a == 0)),
        ["lop3", "b32"] => wwww_w!(|a, b, c, table| lop3(a, b, c, table)),
        _ => return None,
    })
}

/// Bit i of the table is the result where (a, b, c) spell the number i.
fn lop3(a: u32, b: u32, c: u32, table: u32) -> u32 {
    (0..8).filter(|i| table >> i & 1 == 1).fold(0, |result, i| {
        let pick = |x: u32, bit: u32| if i >> bit & 1 == 1 { x } else { !x };
        result | pick(a, 2) & pick(b, 1) & pick(c, 0)
    })
}

/// Shifts by more than the width give what shifting bit by bit would.
fn shift(parts: &[&str]) -> Option<Map> {
    Some(match parts {
        ["shl", "b16"] => ww_w!(|a, b| a.checked_shl(b).unwrap_or(0) & 0xffff),
        ["shl", "b32"] => ww_w!(|a, b| a.checked_shl(b).unwrap_or(0)),
        ["shl", "b64"] => lw_l!(|a, b| a.checked_shl(b).unwrap_or(0)),
        ["shr", "u16" | "b16" | "u32" | "b32"] => ww_w!(|a, b| a.checked_shr(b).unwrap_or(0)),
        ["shr", "s16"] => {
            ww_w!(|a, b| (i32::from(a as u16 as i16) >> b.min(15)).cast_unsigned() & 0xffff)
        }
        ["shr", "s32"] => ww_w!(|a, b| (a.cast_signed() >> b.min(31)).cast_unsigned()),
        ["shr", "u64" | "b64"] => lw_l!(|a, b| a.checked_shr(b).unwrap_or(0)),
        ["shr", "s64"] => lw_l!(|a, b| (a.cast_signed() >> b.min(63)).cast_unsigned()),
        ["shf", "l", "wrap", "b32"] => www_w!(|a, b, c| funnel_left(a, b, c & 31)),
        ["shf", "l", "clamp", "b32"] => www_w!(|a, b, c| funnel_left(a, b, c.min(32))),
        ["shf", "r", "wrap", "b32"] => www_w!(|a, b, c| funnel_right(a, b, c & 31)),
        ["shf", "r", "clamp", "b32"] => www_w!(|a, b, c| funnel_right(a, b, c.min(32))),
        _ => return None,
    })
}

fn joined(a: u32, b: u32) -> u64 {
    u64::from(b) << 32 | u64::from(a)
}

fn funnel_left(a: u32, b: u32, n: u32) -> u32 {
    (joined(a, b) >> (32 - n)) as u32
}

fn funnel_right(a: u32, b: u32, n: u32) -> u32 {
    (joined(a, b) >> n) as u32
}

fn field(parts: &[&str]) -> Option<Map> {
    Some(match parts {
        ["bfe", "u32"] => www_w!(|a, b, c| extract(u64::from(a), b, c, 32, false) as u32),
        ["bfe", "s32"] => www_w!(|a, b, c| extract(u64::from(a), b, c, 32, true) as u32),
        ["bfe", "u64"] => lww_l!(|a, b, c| extract(a, b, c, 64, false)),
        ["bfe", "s64"] => lww_l!(|a, b, c| extract(a, b, c, 64, true)),
        ["bfi", "b32"] => {
            wwww_w!(|a, b, c, d| insert(u64::from(a), u64::from(b), c, d, 32) as u32)
        }
        ["bfi", "b64"] => llww_l!(|a, b, c, d| insert(a, b, c, d, 64)),
        ["bmsk", "clamp", "b32"] => {
            ww_w!(|a, b| insert(u64::MAX, 0, a.min(32), b.min(32), 32) as u32)
        }
        _ => return None,
    })
}

/// PTX ISA "bfe": the manual's loop over result bits.
fn extract(a: u64, position: u32, length: u32, width: u32, signed: bool) -> u64 {
    let (position, length) = (position & 0xff, length & 0xff);
    let last = width - 1;
    let sign = if !signed || length == 0 {
        0
    } else {
        a >> (position + length - 1).min(last) & 1
    };
    (0..width).fold(0, |result, i| {
        let inside = i < length && position + i <= last;
        let bit = if inside {
            a >> (position + i) & 1
        } else {
            sign
        };
        result | bit << i
    })
}

/// PTX ISA "bfi": low bits of a over those of b.
fn insert(a: u64, b: u64, position: u32, length: u32, width: u32) -> u64 {
    let (position, length) = (position & 0xff, length & 0xff);
    let field = if length >= 64 {
        u64::MAX
    } else {
        (1 << length) - 1
    };
    if position >= width {
        return b;
    }
    let mask = field << position;
    b & !mask | a << position & mask
}

fn permute(parts: &[&str]) -> Option<Map> {
    Some(match parts {
        ["prmt", "b32"] => www_w!(|a, b, c| prmt(a, b, c)),
        ["prmt", "b32", "f4e"] => {
            www_w!(|a, b, c| window_bytes(a, b, [0, 1, 2, 3].map(|i| c % 4 + i)))
        }
        ["prmt", "b32", "b4e"] => {
            www_w!(|a, b, c| window_bytes(a, b, [0, 1, 2, 3].map(|i| (c % 4 + 8 - i) % 8)))
        }
        ["prmt", "b32", "rc8"] => www_w!(|a, b, c| window_bytes(a, b, [c % 4; 4])),
        ["prmt", "b32", "ecl"] => {
            www_w!(|a, b, c| window_bytes(a, b, [0, 1, 2, 3].map(|i| i.max(c % 4))))
        }
        ["prmt", "b32", "ecr"] => {
            www_w!(|a, b, c| window_bytes(a, b, [0, 1, 2, 3].map(|i| i.min(c % 4))))
        }
        ["prmt", "b32", "rc16"] => {
            www_w!(|a, b, c| window_bytes(a, b, [0, 1, 0, 1].map(|i| c % 2 * 2 + i)))
        }
        _ => return None,
    })
}

/// Default mode: each nibble selects a byte of {b, a}; its top bit replicates the byte's sign.
fn prmt(a: u32, b: u32, selectors: u32) -> u32 {
    let pair = joined(a, b);
    (0..4).fold(0, |result, i| {
        let selector = selectors >> (4 * i) & 0xf;
        let byte = (pair >> (8 * (selector & 7))) as u8;
        let byte = if selector & 8 == 0 {
            byte
        } else {
            (byte.cast_signed() >> 7).cast_unsigned()
        };
        result | u32::from(byte) << (8 * i)
    })
}

fn window_bytes(a: u32, b: u32, selected: [u32; 4]) -> u32 {
    let pair = joined(a, b);
    u32::from_le_bytes(selected.map(|byte| (pair >> (8 * byte)) as u8))
}

fn count(parts: &[&str]) -> Option<Map> {
    Some(match parts {
        ["popc", "b32"] => w_w!(|a| a.count_ones()),
        ["popc", "b64"] => l_w!(|a| a.count_ones()),
        ["clz", "b32"] => w_w!(|a| a.leading_zeros()),
        ["clz", "b64"] => l_w!(|a| a.leading_zeros()),
        ["brev", "b32"] => w_w!(|a| a.reverse_bits()),
        ["brev", "b64"] => l_l!(|a| a.reverse_bits()),
        ["bfind", "u32"] => w_w!(|a| highest(u64::from(a))),
        ["bfind", "s32"] => w_w!(|a| highest(u64::from(a ^ sign_mask(a)))),
        ["bfind", "u64"] => l_w!(|a| highest(a)),
        ["bfind", "s64"] => l_w!(|a| highest(a ^ (a.cast_signed() >> 63).cast_unsigned())),
        ["bfind", "shiftamt", "u32"] => w_w!(|a| shift_amount(highest(u64::from(a)), 31)),
        ["bfind", "shiftamt", "s32"] => {
            w_w!(|a| shift_amount(highest(u64::from(a ^ sign_mask(a))), 31))
        }
        ["bfind", "shiftamt", "u64"] => l_w!(|a| shift_amount(highest(a), 63)),
        ["bfind", "shiftamt", "s64"] => {
            l_w!(|a| shift_amount(highest(a ^ (a.cast_signed() >> 63).cast_unsigned()), 63))
        }
        ["fns", "b32"] => www_w!(|a, b, c| find_nth_set(a, b, c.cast_signed())),
        _ => return None,
    })
}

fn sign_mask(a: u32) -> u32 {
    (a.cast_signed() >> 31).cast_unsigned()
}

/// Position of the highest 1; all ones if there is none.
fn highest(a: u64) -> u32 {
    a.checked_ilog2().unwrap_or(u32::MAX)
}

fn shift_amount(position: u32, last: u32) -> u32 {
    if position == u32::MAX {
        u32::MAX
    } else {
        last - position
    }
}

/// PTX ISA "fns": the nth set bit from a base on, upwards or downwards.
fn find_nth_set(mask: u32, base: u32, offset: i32) -> u32 {
    let set = |&at: &i64| (0..32).contains(&at) && mask >> at & 1 == 1;
    let base = i64::from(base);
    let found = match offset {
        0 => Some(base).filter(set),
        1.. => (base..32).filter(set).nth(offset as usize - 1),
        _ => (0..=base.min(31))
            .rev()
            .filter(set)
            .nth(offset.unsigned_abs() as usize - 1),
    };
    found.map_or(u32::MAX, |at| at as u32)
}

/// Moves, and conversions between generic addresses and those of a space, which for global memory and for
/// the module's variables are the same.
fn movement(parts: &[&str]) -> Option<Map> {
    Some(match parts {
        ["mov", "b16" | "u16" | "s16" | "b32" | "u32" | "s32" | "f32"] => w_w!(|a| a),
        ["mov", "b64" | "u64" | "s64" | "f64"] => l_l!(|a| a),
        ["cvta", "global" | "const", "u64"] | ["cvta", "to", "global" | "const", "u64"] => {
            l_l!(|a| a)
        }
        ["cvta", "shared" | "shared::cta", "u64"] => l_l!(|a| a.wrapping_add(window::SHARED)),
        ["cvta", "to", "shared" | "shared::cta", "u64"] => l_l!(|a| a.wrapping_sub(window::SHARED)),
        ["cvta", "local", "u64"] => l_l!(|a| a.wrapping_add(window::LOCAL)),
        ["cvta", "to", "local", "u64"] => l_l!(|a| a.wrapping_sub(window::LOCAL)),
        ["cvta", "param", "u64"] => l_l!(|a| a.wrapping_add(window::PARAM)),
        ["cvta", "to", "param", "u64"] => l_l!(|a| a.wrapping_sub(window::PARAM)),
        _ => return None,
    })
}
