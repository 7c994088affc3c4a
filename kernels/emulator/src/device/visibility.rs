//! Which accesses to global memory a warp knows to lie before its own.
//!
//! Within a block, those that another warp made before the last barrier of the whole block. Blocks of a launch run in
//! no order: what one writes another may read only after a handshake, as in "the last block to arrive adds up": the
//! writer's warps store, fences follow (`membar.gl`, `fence`) and a barrier, then an atomic operation on a counter
//! *releases* what its warp knows; a block whose own atomic operation comes later on the same address, followed by a
//! fence, has *acquired* it (PTX ISA 8 "Memory Consistency Model": release and acquire patterns, causality order).
//!
//! Kept simple: sets of stamps instead of clocks. A warp takes a stamp for what it touches between two barriers, and
//! another one after each release of its own. Released are those that a fence has followed: of the warp that took
//! the stamp, or of any warp after a later barrier. What one warp of a block has acquired all of them have, and
//! barriers of a part of a block do not count.

use crate::fault::{Other, Rule, Space};
use std::collections::HashMap;

/// A set of stamps of a launch, counted from its first.
#[derive(Clone, Debug, Default)]
struct Stamps(Vec<u64>);

impl Stamps {
    fn insert(&mut self, stamp: u32) {
        let word = stamp as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (stamp % 64);
    }

    fn contains(&self, stamp: u32) -> bool {
        self.0
            .get(stamp as usize / 64)
            .is_some_and(|word| word >> (stamp % 64) & 1 == 1)
    }

    fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }

    fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }
}

/// Stamp of the last warp that read a byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader(pub(crate) u32);

/// What a launch's blocks have released, by the address of the atomic operation.
#[derive(Debug, Default)]
pub(crate) struct Releases(HashMap<u64, Stamps>);

/// In place of a warp: several of a block, which have read the same byte.
const SEVERAL: u32 = u32::MAX;

/// Whose a stamp is.
#[derive(Clone, Copy, Debug)]
struct Owner {
    block: u32,
    warp: u32,
    /// Barriers of the whole block before it.
    barriers: u32,
    /// A fence has followed.
    fenced: bool,
}

/// What the running block knows.
#[derive(Debug)]
pub(crate) struct BlockView {
    /// The launch's first stamp.
    first: u32,
    /// Of every stamp so far.
    owners: Vec<Owner>,
    block: u32,
    /// How many stamps there were when the block started.
    earlier: u32,
    /// The warps' present stamps, and the one of several.
    stamps: Vec<Option<u32>>,
    /// The warp that touched memory last.
    warp: usize,
    barriers: u32,
    acquired: Stamps,
    /// Seen by an atomic operation, but no fence followed yet.
    observed: Stamps,
    initialised: bool,
    races: bool,
}

impl BlockView {
    /// Before the first block; `first` is the launch's first stamp; `initialised` and `races` say what to check.
    pub(crate) fn new(first: u32, (initialised, races): (bool, bool)) -> Self {
        Self {
            first,
            owners: Vec::new(),
            block: 0,
            earlier: 0,
            stamps: Vec::new(),
            warp: 0,
            barriers: 0,
            acquired: Stamps::default(),
            observed: Stamps::default(),
            initialised,
            races,
        }
    }

    /// A block of `warps` warps starts.
    pub(crate) fn begin_block(&mut self, block: u32, warps: usize) {
        self.block = block;
        self.earlier = self.owners.len() as u32;
        self.stamps = vec![None; warps + 1];
        self.barriers = 0;
        self.acquired = Stamps::default();
        self.observed = Stamps::default();
    }

    /// A warp is about to touch global memory. New stamps come from `take`, in ascending order.
    pub(crate) fn touch(&mut self, warp: usize, mut take: impl FnMut() -> u32) {
        self.warp = warp;
        let several = self.stamps.len() - 1;
        for (index, warp) in [(warp, warp as u32), (several, SEVERAL)] {
            if self.stamps[index].is_none() {
                self.stamps[index] = Some(take());
                self.owners.push(Owner {
                    block: self.block,
                    warp,
                    barriers: self.barriers,
                    fenced: false,
                });
            }
        }
    }

    /// The warp's.
    pub(crate) fn stamp(&self) -> u32 {
        self.stamps[self.warp].unwrap_or(self.first)
    }

    /// That of several warps.
    fn several(&self) -> u32 {
        self.stamps.last().copied().flatten().unwrap_or(self.first)
    }

    pub(crate) fn first_stamp(&self) -> u32 {
        self.first
    }

    pub(crate) fn tracks_reads(&self) -> bool {
        self.races
    }

    /// What stands for readers of several blocks: the stamp before the first.
    fn many(&self) -> u32 {
        self.first - 1
    }

    fn owner(&self, stamp: u32) -> &Owner {
        &self.owners[(stamp - self.first) as usize]
    }

    /// The record of a byte's reader after the warp read it.
    pub(crate) fn reader_after(&self, before: u32) -> u32 {
        if before < self.many() || before == self.stamp() {
            return self.stamp();
        }
        if before == self.many() {
            return before;
        }
        if self.knows(before) {
            self.stamp()
        } else if self.owner(before).block == self.block {
            self.several()
        } else {
            self.many()
        }
    }

    pub(crate) fn knows(&self, stamp: u32) -> bool {
        if stamp < self.first {
            return true;
        }
        let owner = self.owner(stamp);
        if owner.block == self.block {
            owner.warp == self.warp as u32 || owner.barriers < self.barriers
        } else {
            self.acquired.contains(stamp - self.first)
        }
    }

    fn race(&self, address: u64, access: &'static str, earlier: &'static str, stamp: u32) -> Rule {
        let owner = self.owners.get(stamp.wrapping_sub(self.first) as usize);
        Rule::GlobalRace {
            address,
            access,
            earlier,
            by: match owner {
                None => Other::Blocks,
                Some(owner) if owner.block != self.block => Other::Block(owner.block),
                Some(owner) if owner.warp == SEVERAL => Other::Warps,
                Some(owner) => Other::Warp(owner.warp),
            },
        }
    }

    pub(crate) fn check_read(
        &self,
        address: u64,
        writer: u32,
        unwritten: bool,
    ) -> Result<(), Rule> {
        if unwritten {
            return match self.initialised {
                true => Err(Rule::Uninitialised {
                    space: Space::Global,
                    address,
                }),
                false => Ok(()),
            };
        }
        if self.races && !self.knows(writer) {
            return Err(self.race(address, "read", "written", writer));
        }
        Ok(())
    }

    pub(crate) fn check_write(&self, address: u64, writer: u32) -> Result<(), Rule> {
        if self.races && !self.knows(writer) {
            return Err(self.race(address, "write", "written", writer));
        }
        Ok(())
    }

    pub(crate) fn check_overwrite(&self, address: u64, reader: Reader) -> Result<(), Rule> {
        let known = if reader.0 == self.many() {
            self.acquired.len() >= self.earlier
        } else {
            self.knows(reader.0)
        };
        if self.races && !known {
            return Err(self.race(address, "write", "read", reader.0));
        }
        Ok(())
    }

    /// The warp that touched memory has written.
    pub(crate) fn stored(&mut self) {
        let stamp = self.stamp();
        if let Some(owner) = self.owners.get_mut((stamp - self.first) as usize) {
            owner.fenced = false;
        }
    }

    /// All warps of the block met at a barrier.
    pub(crate) fn met(&mut self) {
        self.barriers += 1;
        self.stamps.fill(None);
    }

    /// A warp executed a fence of device scope or wider.
    pub(crate) fn fence(&mut self, warp: usize) {
        for owner in &mut self.owners[self.earlier as usize..] {
            owner.fenced |= owner.warp == warp as u32 || owner.barriers < self.barriers;
        }
        self.acquired.add(&std::mem::take(&mut self.observed));
    }

    /// A strong write of a warp at `address` (an atomic operation, a release store).
    pub(crate) fn release(&mut self, releases: &mut Releases, address: u64, warp: usize) {
        let released = releases.0.entry(address).or_default();
        for (index, owner) in self.owners.iter().enumerate().skip(self.earlier as usize) {
            let knows = owner.warp == warp as u32 || owner.barriers < self.barriers;
            if knows && owner.fenced {
                released.insert(index as u32);
            }
        }
        released.add(&self.acquired);
        self.stamps[warp] = None;
    }

    /// A strong read at `address` (an atomic operation, an acquire load); a fence must follow.
    pub(crate) fn observe(&mut self, releases: &Releases, address: u64) {
        if let Some(released) = releases.0.get(&address) {
            self.observed.add(released);
        }
    }
}
