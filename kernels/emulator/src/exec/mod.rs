//! What instructions do to a warp.

mod atomic;
mod convert;
mod environment;
pub(crate) mod half;
mod lanes;
mod matrix;
mod memory;
mod vote;

pub(crate) use environment::{Environment, Progress};

use crate::fault::{Rule, Trouble};
use crate::op::Op;
use crate::warp::Warp;

/// Executes `op`, no branch and no barrier, in the lanes `active` of the warp.
pub(crate) fn execute(
    op: &Op,
    warp: &mut Warp,
    active: u32,
    env: &mut Environment<'_>,
) -> Result<Progress, Trouble> {
    if lanes::execute(op, warp, active) {
        return Ok(Progress::Done);
    }
    match op {
        Op::Load(access) => memory::load(warp, active, access, env)?,
        Op::Store(access) => memory::store(warp, active, access, env)?,
        Op::Atomic(operation) => atomic::atomic(warp, active, operation, env)?,
        Op::Prefetch(address) => memory::prefetch(warp, active, address, env)?,
        Op::AsyncCopy(copy) => memory::async_copy(warp, active, copy, env)?,
        Op::CommitGroup => warp.copies.commit(active),
        Op::WaitGroup(groups) => warp.copies.wait(warp.id, active, *groups, &mut env.shared),
        Op::WaitAll => warp.copies.wait_all(warp.id, active, &mut env.shared),
        Op::LoadMatrix(load) => return matrix::load(warp, active, load, env),
        Op::Mma(mma) => return matrix::multiply(warp, active, mma, &mut env.counts),
        Op::Shuffle(shuffle) => return vote::shuffle(warp, active, shuffle),
        Op::Vote { kind, members } => return vote::vote(warp, active, *kind, *members),
        Op::ActiveMask { d } => warp.set_word(*d, active, &[active; 32]),
        Op::Fence { device } => {
            if *device {
                env.view.fence(warp.id);
            }
        }
        Op::Nothing => {}
        Op::Trap => {
            return Err(Trouble {
                rule: Rule::Trap,
                lanes: active,
            });
        }
        _ => {
            return Err(Trouble {
                rule: Rule::Undefined("control flow inside an instruction".into()),
                lanes: active,
            });
        }
    }
    Ok(Progress::Done)
}
