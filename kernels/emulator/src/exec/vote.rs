//! Exchanges between lanes (PTX ISA "shfl.sync", "vote.sync", "match.sync", "redux.sync", "bar.warp.sync").
//!
//! Each waits until all lanes of its member mask have come to it. Lanes with different masks are different
//! exchanges. A mask that names a lane that has exited, or does not name its own lane, is a fault.

use super::atomic::apply;
use super::environment::Progress;
use crate::fault::{Rule, Trouble};
use crate::op::{LANES, Reg, Shuffle, ShuffleMode, VoteKind, Word};
use crate::syntax::types::Type;
use crate::warp::{Warp, lanes};

/// Splits the active lanes by member mask and says whether each group is complete.
fn groups(warp: &Warp, active: u32, members: Reg) -> Result<(Progress, Vec<u32>), Trouble> {
    let masks = &warp.words[members as usize];
    let mut found: Vec<u32> = Vec::with_capacity(1);
    let mut progress = Progress::Done;
    for lane in lanes(active) {
        let mask = masks[lane];
        if mask >> lane & 1 == 0 {
            let what = format!("the mask {mask:#010x} leaves out lane {lane} that executes it");
            return Err(Trouble::at_lane(lane, Rule::MemberMask(what)));
        }
        if found.contains(&mask) {
            continue;
        }
        found.push(mask);
        if mask & !warp.live != 0 {
            let gone = mask & !warp.live;
            let what = format!("the mask {mask:#010x} names lanes {gone:#010x} that have exited");
            return Err(Trouble::at_lane(lane, Rule::MemberMask(what)));
        }
        let same = lanes(active).filter(|&other| masks[other] == mask);
        if same.fold(0, |there, other| there | 1 << other) != mask {
            progress = Progress::Wait;
        }
    }
    Ok((progress, found))
}

/// The source lane and whether it is in range: the manual's description of `shfl.sync`, with j the source lane
/// and maxLane and minLane from the clamp and the segment mask.
fn source(mode: ShuffleMode, lane: u32, b: u32, c: u32) -> (u32, bool) {
    let (b, clamp, segment) = (b & 0x1f, c & 0x1f, c >> 8 & 0x1f);
    let most = lane & segment | clamp & !segment;
    let least = lane & segment;
    let (j, in_range) = match mode {
        ShuffleMode::Up => {
            let j = lane.wrapping_sub(b);
            (j, j.cast_signed() >= most.cast_signed())
        }
        ShuffleMode::Down => (lane + b, lane + b <= most),
        ShuffleMode::Butterfly => (lane ^ b, lane ^ b <= most),
        ShuffleMode::Index => {
            let j = least | b & !segment;
            (j, j <= most)
        }
    };
    if in_range { (j, true) } else { (lane, false) }
}

pub(super) fn shuffle(warp: &mut Warp, active: u32, s: &Shuffle) -> Result<Progress, Trouble> {
    let (progress, _) = groups(warp, active, s.members)?;
    if progress == Progress::Wait {
        return Ok(progress);
    }
    let masks = warp.words[s.members as usize];
    let (a, b, c) = (s.a as usize, s.b as usize, s.c as usize);
    let mut value: Word = [0; LANES];
    let mut in_range = 0;
    for lane in lanes(active) {
        let (from, inside) = source(
            s.mode,
            lane as u32,
            warp.words[b][lane],
            warp.words[c][lane],
        );
        if masks[lane] >> from & 1 == 0 {
            return Err(Trouble::at_lane(
                lane,
                Rule::InactiveSource { source_lane: from },
            ));
        }
        value[lane] = warp.words[a][from as usize];
        in_range |= u32::from(inside) << lane;
    }
    if let Some(p) = s.p {
        warp.set_predicate(p, active, in_range);
    }
    warp.set_wide(s.d, active, &value.map(u64::from));
    Ok(Progress::Done)
}

pub(super) fn vote(
    warp: &mut Warp,
    active: u32,
    kind: VoteKind,
    members: Reg,
) -> Result<Progress, Trouble> {
    let (progress, groups) = groups(warp, active, members)?;
    if progress == Progress::Done {
        for group in groups {
            tally(warp, group, kind);
        }
    }
    Ok(progress)
}

/// One complete exchange of the lanes in `group`.
fn tally(warp: &mut Warp, group: u32, kind: VoteKind) {
    let all_if = |holds: bool| if holds { u32::MAX } else { 0 };
    match kind {
        VoteKind::Ballot { d, a } => {
            let votes = warp.condition(a) & group;
            warp.set_word(d, group, &[votes; LANES]);
        }
        VoteKind::All { d, a } => {
            let holds = !warp.condition(a) & group == 0;
            warp.set_predicate(d, group, all_if(holds));
        }
        VoteKind::Any { d, a } => {
            let holds = warp.condition(a) & group != 0;
            warp.set_predicate(d, group, all_if(holds));
        }
        VoteKind::Uniform { d, a } => {
            let votes = warp.condition(a) & group;
            warp.set_predicate(d, group, all_if(votes == 0 || votes == group));
        }
        VoteKind::MatchAny { d, a } => {
            let a = warp.wide(a);
            let equal = |lane: usize| {
                let same = lanes(group).filter(|&other| a[other] == a[lane]);
                same.fold(0, |mask, other| mask | 1 << other)
            };
            let value: Word = std::array::from_fn(equal);
            warp.set_word(d, group, &value);
        }
        VoteKind::MatchAll { d, p, a } => {
            let a = warp.wide(a);
            let first = group.trailing_zeros() as usize % LANES;
            let same = lanes(group).all(|lane| a[lane] == a[first]);
            warp.set_word(d, group, &[if same { group } else { 0 }; LANES]);
            if let Some(p) = p {
                warp.set_predicate(p, group, all_if(same));
            }
        }
        VoteKind::Reduce { d, a, kind, signed } => {
            let ty = if signed { Type::S32 } else { Type::U32 };
            let a = warp.words[a as usize];
            let first = group.trailing_zeros() as usize % LANES;
            let rest = lanes(group & !(1 << first));
            let total = rest.fold(u64::from(a[first]), |total, lane| {
                apply(kind, ty, total, a[lane].into(), 0)
            });
            warp.set_word(d, group, &[total as u32; LANES]);
        }
        VoteKind::Meet => {}
    }
}
