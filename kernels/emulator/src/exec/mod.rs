//! What instructions do to a warp.

mod atomic;
mod convert;
pub(crate) mod half;
mod lanes;
mod matrix;
mod memory;
mod vote;

use crate::counts::Counts;
use crate::device::memory::{Memory, Place};
use crate::device::shared::Shared;
use crate::device::visibility::{BlockView, Releases};
use crate::fault::{Rule, Trouble};
use crate::op::{ALL, Op};
use crate::warp::Warp;

/// What a warp's instructions reach beside its registers.
pub(crate) struct Surroundings<'a> {
    pub(crate) memory: &'a mut Memory,
    pub(crate) image: &'a [u8],
    pub(crate) params: &'a [u8],
    pub(crate) shared: Shared,
    pub(crate) view: BlockView,
    pub(crate) releases: Releases,
    pub(crate) counts: Counts,
    /// Where global memory was found last.
    pub(crate) hint: Place,
    pub(crate) initialised: bool,
}

impl Surroundings<'_> {
    /// A warp is about to read or write global memory by a plain access.
    fn touch(&mut self, warp: usize) {
        self.view.touch(warp, || self.memory.take_stamp());
    }
}

/// Whether an instruction is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Done,
    /// Lanes that its member mask names are elsewhere: wait for them.
    Wait,
}

/// Executes `op`, no branch and no barrier, in the lanes `active` of the warp.
pub(crate) fn execute(
    op: &Op,
    warp: &mut Warp,
    active: u32,
    around: &mut Surroundings<'_>,
) -> Result<Progress, Trouble> {
    if lanes::execute(op, warp, active) {
        return Ok(Progress::Done);
    }
    match op {
        Op::Load(access) => memory::load(warp, active, access, around)?,
        Op::Store(access) => memory::store(warp, active, access, around)?,
        Op::Atomic(operation) => atomic::atomic(warp, active, operation, around)?,
        Op::AsyncCopy(copy) => memory::async_copy(warp, active, copy, around)?,
        Op::CommitGroup => warp.copies.commit(active),
        Op::WaitGroup(groups) => warp
            .copies
            .wait(warp.id, active, *groups, &mut around.shared),
        Op::WaitAll => warp.copies.wait_all(warp.id, active, &mut around.shared),
        Op::LoadMatrix(load) => return matrix::load(warp, active, load, around),
        Op::Mma(mma) => return matrix::multiply(warp, active, mma, &mut around.counts),
        Op::Shuffle(shuffle) => return vote::shuffle(warp, active, shuffle),
        Op::Vote { kind, members } => return vote::vote(warp, active, *kind, *members),
        Op::ActiveMask { d } => warp.set_word(*d, active, &[active; 32]),
        Op::Fence { device } => {
            if *device {
                around.view.fence(warp.id);
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

/// For `.aligned` instructions: whether the whole warp is here.
fn whole_warp(warp: &Warp, active: u32) -> Result<Progress, Trouble> {
    if active == ALL {
        return Ok(Progress::Done);
    }
    if warp.live == ALL {
        return Ok(Progress::Wait);
    }
    let missing = !warp.live;
    Err(Trouble {
        rule: Rule::MemberMask(format!(
            "the instruction needs all 32 lanes, {missing:#010x} have exited or never were"
        )),
        lanes: active,
    })
}
