//! Atomic operations (PTX ISA "atom", "red"). Lanes go one after another, in ascending order.

use super::environment::Environment;
use super::memory::{Target, addresses};
use crate::fault::{Rule, Space, Trouble};
use crate::op::{Atomic, AtomicKind, LANES};
use crate::syntax::types::Type;
use crate::warp::{Warp, lanes};

pub(super) fn atomic(
    warp: &mut Warp,
    active: u32,
    operation: &Atomic,
    env: &mut Environment<'_>,
) -> Result<(), Trouble> {
    let addresses = addresses(warp, &operation.address);
    let (b, c) = (warp.wide(operation.b), warp.wide(operation.c));
    let bytes = operation.ty.bytes();
    let mut before = [0; LANES];
    for lane in lanes(active) {
        let target = Target::of(operation.space, addresses[lane]);
        let at = |rule| Trouble::at_lane(lane, rule);
        target.aligned(bytes).map_err(at)?;
        let change = |old| apply(operation.kind, operation.ty, old, b[lane], c[lane]);
        before[lane] = match target {
            Target::Global(address) => in_global(warp.id, operation, address, env, change),
            Target::Shared(address) => in_shared(warp.id, bytes, address, env, change),
            _ => Err(Rule::ReadOnly {
                space: Space::Variable,
                address: addresses[lane],
            }),
        }
        .map_err(at)?;
    }
    warp.set_wide(operation.d, active, &before);
    Ok(())
}

fn in_global(
    warp: usize,
    operation: &Atomic,
    address: u64,
    env: &mut Environment<'_>,
    change: impl Fn(u64) -> u64,
) -> Result<u64, Rule> {
    let bytes = operation.ty.bytes();
    if operation.order.releases() {
        env.view.fence(warp);
    }
    let place = env.memory.place(address, bytes, &mut env.hint)?;
    let mut raw = [0; 8];
    let part = &mut raw[..bytes as usize];
    env.memory.load_strong(place, part, &env.view)?;
    let old = u64::from_le_bytes(raw);
    env.memory
        .store_strong(place, &change(old).to_le_bytes()[..bytes as usize]);
    env.view.release(&mut env.releases, address, warp);
    env.view.observe(&env.releases, address);
    if operation.order.acquires() {
        env.view.fence(warp);
    }
    env.counts.global_atomics += 1;
    Ok(old)
}

fn in_shared(
    warp: usize,
    bytes: u32,
    address: u64,
    env: &mut Environment<'_>,
    change: impl Fn(u64) -> u64,
) -> Result<u64, Rule> {
    let at = env.shared.place(address, bytes)?;
    let mut raw = [0; 8];
    let part = &mut raw[..bytes as usize];
    part.copy_from_slice(env.shared.load_atomic(warp, at, bytes as usize)?);
    let old = u64::from_le_bytes(raw);
    env.shared
        .store_atomic(warp, at, &change(old).to_le_bytes()[..bytes as usize]);
    env.counts.shared_atomics += 1;
    Ok(old)
}

/// The new value.
pub(super) fn apply(kind: AtomicKind, ty: Type, old: u64, b: u64, c: u64) -> u64 {
    let (word, b_word) = (old as u32, b as u32);
    match kind {
        AtomicKind::Add => match ty {
            Type::F32 => u64::from((f32::from_bits(word) + f32::from_bits(b_word)).to_bits()),
            Type::F64 => (f64::from_bits(old) + f64::from_bits(b)).to_bits(),
            _ => old.wrapping_add(b),
        },
        AtomicKind::Min => match ty {
            Type::S32 => u64::from(word.cast_signed().min(b_word.cast_signed()).cast_unsigned()),
            Type::S64 => old.cast_signed().min(b.cast_signed()).cast_unsigned(),
            _ => old.min(b),
        },
        AtomicKind::Max => match ty {
            Type::S32 => u64::from(word.cast_signed().max(b_word.cast_signed()).cast_unsigned()),
            Type::S64 => old.cast_signed().max(b.cast_signed()).cast_unsigned(),
            _ => old.max(b),
        },
        AtomicKind::Increment => {
            if old >= b {
                0
            } else {
                old + 1
            }
        }
        AtomicKind::Decrement => {
            if old == 0 || old > b {
                b
            } else {
                old - 1
            }
        }
        AtomicKind::And => old & b,
        AtomicKind::Or => old | b,
        AtomicKind::Xor => old ^ b,
        AtomicKind::Exchange => b,
        AtomicKind::CompareAndSwap => {
            if old == b {
                c
            } else {
                old
            }
        }
    }
}
