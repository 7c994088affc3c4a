//! Instructions that work on each lane alone.

use super::convert::convert;
use crate::op::{Compare, Condition, LANES, Logic, Long, Map, Op, Place, Reg, Word};
use crate::warp::Warp;

/// Executes an instruction that no other lane and no memory has a part in; says whether this is one.
pub(super) fn execute(op: &Op, warp: &mut Warp, active: u32) -> bool {
    match op {
        Op::Map { map, d, s } => self::map(warp, active, map, *d, s),
        Op::Compare {
            compare,
            a,
            b,
            p,
            q,
            combine,
        } => self::compare(warp, active, *compare, [*a, *b], [*p, *q], *combine),
        Op::Set {
            compare,
            d,
            a,
            b,
            ones,
        } => set(warp, active, *compare, *d, [*a, *b], *ones),
        Op::SelectWord { d, a, b, p } => select_word(warp, active, *d, [*a, *b], *p),
        Op::SelectLong { d, a, b, p } => select_long(warp, active, *d, [*a, *b], *p),
        Op::Predicate { logic, d, a, b } => {
            let value = logic.apply(warp.condition(*a), warp.condition(*b));
            warp.set_predicate(*d, active, value);
        }
        Op::Convert(conversion) => convert(warp, active, conversion),
        Op::Pack {
            d,
            parts,
            count,
            bits,
        } => pack(warp, active, *d, &parts[..usize::from(*count)], *bits),
        Op::Unpack {
            parts,
            a,
            count,
            bits,
        } => unpack(warp, active, &parts[..usize::from(*count)], *a, *bits),
        _ => return false,
    }
    true
}

fn map(warp: &mut Warp, active: u32, map: &Map, d: Reg, s: &[Reg; 4]) {
    let w = |i: usize| &warp.words[s[i] as usize];
    let l = |i: usize| &warp.longs[s[i] as usize];
    match map {
        Map::WToW(f) => {
            let x = f(w(0));
            warp.set_word(d, active, &x);
        }
        Map::LToW(f) => {
            let x = f(l(0));
            warp.set_word(d, active, &x);
        }
        Map::WwToW(f) => {
            let x = f(w(0), w(1));
            warp.set_word(d, active, &x);
        }
        Map::WwwToW(f) => {
            let x = f(w(0), w(1), w(2));
            warp.set_word(d, active, &x);
        }
        Map::WwwwToW(f) => {
            let x = f(w(0), w(1), w(2), w(3));
            warp.set_word(d, active, &x);
        }
        Map::LToL(f) => {
            let x = f(l(0));
            warp.set_long(d, active, &x);
        }
        Map::WwToL(f) => {
            let x = f(w(0), w(1));
            warp.set_long(d, active, &x);
        }
        Map::LlToL(f) => {
            let x = f(l(0), l(1));
            warp.set_long(d, active, &x);
        }
        Map::LwToL(f) => {
            let x = f(l(0), w(1));
            warp.set_long(d, active, &x);
        }
        Map::WwlToL(f) => {
            let x = f(w(0), w(1), l(2));
            warp.set_long(d, active, &x);
        }
        Map::LllToL(f) => {
            let x = f(l(0), l(1), l(2));
            warp.set_long(d, active, &x);
        }
        Map::LwwToL(f) => {
            let x = f(l(0), w(1), w(2));
            warp.set_long(d, active, &x);
        }
        Map::LlwwToL(f) => {
            let x = f(l(0), l(1), w(2), w(3));
            warp.set_long(d, active, &x);
        }
    }
}

fn holds(warp: &Warp, compare: Compare, [a, b]: [Reg; 2]) -> u32 {
    match compare {
        Compare::W(f) => f(&warp.words[a as usize], &warp.words[b as usize]),
        Compare::L(f) => f(&warp.longs[a as usize], &warp.longs[b as usize]),
    }
}

/// `setp`: p = (a cmp b) op c, q = !(a cmp b) op c.
fn compare(
    warp: &mut Warp,
    active: u32,
    compare: Compare,
    sources: [Reg; 2],
    [p, q]: [Option<Reg>; 2],
    combine: Option<(Logic, Condition)>,
) {
    let holds = holds(warp, compare, sources);
    let (mut yes, mut no) = (holds, !holds);
    if let Some((logic, condition)) = combine {
        let c = warp.condition(condition);
        (yes, no) = (logic.apply(yes, c), logic.apply(no, c));
    }
    if let Some(p) = p {
        warp.set_predicate(p, active, yes);
    }
    if let Some(q) = q {
        warp.set_predicate(q, active, no);
    }
}

fn set(warp: &mut Warp, active: u32, compare: Compare, d: Reg, sources: [Reg; 2], ones: u32) {
    let holds = holds(warp, compare, sources);
    let value: Word = std::array::from_fn(|i| if holds >> i & 1 == 1 { ones } else { 0 });
    warp.set_word(d, active, &value);
}

fn select_word(warp: &mut Warp, active: u32, d: Reg, [a, b]: [Reg; 2], p: Reg) {
    let p = warp.predicates[p as usize];
    let (a, b) = (&warp.words[a as usize], &warp.words[b as usize]);
    let value: Word = std::array::from_fn(|i| if p >> i & 1 == 1 { a[i] } else { b[i] });
    warp.set_word(d, active, &value);
}

fn select_long(warp: &mut Warp, active: u32, d: Reg, [a, b]: [Reg; 2], p: Reg) {
    let p = warp.predicates[p as usize];
    let (a, b) = (&warp.longs[a as usize], &warp.longs[b as usize]);
    let value: Long = std::array::from_fn(|i| if p >> i & 1 == 1 { a[i] } else { b[i] });
    warp.set_long(d, active, &value);
}

/// The first part becomes the lowest bits.
fn pack(warp: &mut Warp, active: u32, d: Place, parts: &[Place], bits: u32) {
    let mut value: Long = [0; LANES];
    for (i, &part) in parts.iter().enumerate() {
        let part = warp.wide(part);
        let (shift, mask) = (bits * i as u32, (1u64 << bits) - 1);
        for (value, part) in value.iter_mut().zip(part) {
            *value |= (part & mask) << shift;
        }
    }
    warp.set_wide(d, active, &value);
}

fn unpack(warp: &mut Warp, active: u32, parts: &[Place], a: Place, bits: u32) {
    let value = warp.wide(a);
    let mask = (1u64 << bits) - 1;
    for (i, &part) in parts.iter().enumerate() {
        let share = value.map(|value| value >> (bits * i as u32) & mask);
        warp.set_wide(part, active, &share);
    }
}
