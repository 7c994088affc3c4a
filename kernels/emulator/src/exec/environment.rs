//! What an instruction works with beside its warp's registers, and what it reports back.

use crate::counts::Counts;
use crate::device::memory::{Memory, Place};
use crate::device::shared::Shared;
use crate::device::visibility::{BlockView, Releases};
use crate::fault::{Rule, Trouble};
use crate::op::ALL;
use crate::warp::Warp;

/// What a warp's instructions reach beside its registers.
pub(crate) struct Environment<'a> {
    pub(crate) memory: &'a mut Memory,
    /// The module's variables, `.const` and `.global`.
    pub(crate) variables: &'a [u8],
    pub(crate) params: &'a [u8],
    pub(crate) shared: Shared,
    pub(crate) view: BlockView,
    pub(crate) releases: Releases,
    pub(crate) counts: Counts,
    /// Where global memory was found last.
    pub(crate) hint: Place,
    pub(crate) initialised: bool,
}

impl Environment<'_> {
    /// A warp is about to read or write global memory by a plain access.
    pub(super) fn touch(&mut self, warp: usize) {
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

/// For `.aligned` instructions: whether the whole warp is here.
pub(super) fn whole_warp(warp: &Warp, active: u32) -> Result<Progress, Trouble> {
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
