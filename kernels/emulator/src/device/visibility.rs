//! Which blocks of a launch have made their writes visible to which.
//!
//! Blocks of a launch run in no order. What one writes another may read only after a handshake, as in "the last
//! block to arrive adds up": the writer's warps store, a fence follows (`membar.gl`, `fence`), then an atomic
//! operation on a counter *releases* the block; a block whose own atomic operation comes later on the same
//! address, followed by a fence, has *acquired* it (PTX ISA 8 "Memory Consistency Model": release and acquire
//! patterns, causality order).
//!
//! Kept simple: sets of stamps instead of clocks. A block takes a stamp when it starts, and another one for what it
//! does after each release. An atomic operation releases everything the block did so far if it comes after all of
//! it: other warps' stores before a barrier of the whole block that came since, and nothing stored without a fence
//! after it (by the storing warp, or by any warp after such a barrier).

use crate::fault::{Rule, Space};
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

/// Stamp of the last block that read a byte.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader(pub(crate) u32);

/// What a launch's blocks have released, by the address of the atomic operation.
#[derive(Debug, Default)]
pub(crate) struct Releases(HashMap<u64, Stamps>);

/// A warp's last store to global memory.
#[derive(Clone, Copy, Debug)]
struct Stored {
    /// Barriers of the whole block before it.
    barriers: u64,
    /// A fence has followed.
    fenced: bool,
}

/// The running block's knowledge of the others.
#[derive(Debug)]
pub(crate) struct BlockView {
    /// The launch's first stamp.
    first: u32,
    /// Which block each stamp of the launch is of.
    owners: Vec<u32>,
    /// The running block's first stamp, and the one that it uses now.
    own: (u32, u32),
    /// What comes next gets a stamp of its own.
    released: bool,
    acquired: Stamps,
    /// Seen by an atomic operation, but no fence followed yet.
    observed: Stamps,
    stored: Vec<Option<Stored>>,
    barriers: u64,
    initialised: bool,
    races: bool,
}

impl BlockView {
    /// Before the first block; `first` is the launch's first stamp; `initialised` and `races` say what to check.
    pub(crate) fn new(first: u32, (initialised, races): (bool, bool)) -> Self {
        Self {
            first,
            owners: Vec::new(),
            own: (first, first),
            released: false,
            acquired: Stamps::default(),
            observed: Stamps::default(),
            stored: Vec::new(),
            barriers: 0,
            initialised,
            races,
        }
    }

    /// A block of `warps` warps starts, with a new stamp.
    pub(crate) fn begin_block(&mut self, block: u32, warps: usize, stamp: u32) {
        self.owners.push(block);
        self.own = (stamp, stamp);
        self.released = false;
        self.acquired = Stamps::default();
        self.observed = Stamps::default();
        self.stored = vec![None; warps];
        self.barriers = 0;
    }

    /// Global memory is about to be touched: after a release under a new stamp, from `take`.
    pub(crate) fn touch(&mut self, take: impl FnOnce() -> u32) {
        if std::mem::take(&mut self.released) {
            self.own.1 = take();
            let block = self.owners.last().copied();
            self.owners.extend(block);
        }
    }

    pub(crate) fn stamp(&self) -> u32 {
        self.own.1
    }

    /// Whether the running block made this stamp.
    pub(crate) fn owns(&self, stamp: u32) -> bool {
        (self.own.0..=self.own.1).contains(&stamp)
    }

    pub(crate) fn first_stamp(&self) -> u32 {
        self.first
    }

    pub(crate) fn tracks_reads(&self) -> bool {
        self.races
    }

    /// What stands for several readers of this launch: the stamp before the first block's.
    fn many(&self) -> u32 {
        self.first - 1
    }

    /// The record of a byte's reader after this block read it.
    pub(crate) fn reader_after(&self, before: u32) -> u32 {
        let alone = before < self.many() || self.owns(before);
        if alone { self.stamp() } else { self.many() }
    }

    fn knows(&self, stamp: u32) -> bool {
        stamp < self.first || self.owns(stamp) || self.acquired.contains(stamp - self.first)
    }

    fn race(&self, address: u64, access: &'static str, earlier: &'static str, stamp: u32) -> Rule {
        Rule::GlobalRace {
            address,
            access,
            earlier,
            other: (self.owners)
                .get(stamp.wrapping_sub(self.first) as usize)
                .copied()
                .unwrap_or(0),
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
            self.acquired.len() >= self.own.0 - self.first
        } else {
            self.knows(reader.0)
        };
        if self.races && !known {
            return Err(self.race(address, "write", "read", reader.0));
        }
        Ok(())
    }

    /// A warp stored to global memory.
    pub(crate) fn stored(&mut self, warp: usize) {
        self.stored[warp] = Some(Stored {
            barriers: self.barriers,
            fenced: false,
        });
    }

    /// All warps of the block met at a barrier.
    pub(crate) fn met(&mut self) {
        self.barriers += 1;
    }

    /// A warp executed a fence of device scope or wider.
    pub(crate) fn fence(&mut self, warp: usize) {
        for (other, stored) in self.stored.iter_mut().enumerate() {
            if let Some(stored) = stored {
                stored.fenced |= other == warp || stored.barriers < self.barriers;
            }
        }
        self.acquired.add(&std::mem::take(&mut self.observed));
    }

    /// A strong write of a warp at `address` (an atomic operation, a release store).
    pub(crate) fn release(&mut self, releases: &mut Releases, address: u64, warp: usize) {
        let comes_after = |(other, stored): (usize, &Option<Stored>)| {
            stored.is_none_or(|stored| {
                stored.fenced && (other == warp || stored.barriers < self.barriers)
            })
        };
        if !self.stored.iter().enumerate().all(comes_after) {
            return;
        }
        let released = releases.0.entry(address).or_default();
        for stamp in self.own.0..=self.own.1 {
            released.insert(stamp - self.first);
        }
        released.add(&self.acquired);
        self.released = true;
    }

    /// A strong read at `address` (an atomic operation, an acquire load); a fence must follow.
    pub(crate) fn observe(&mut self, releases: &Releases, address: u64) {
        if let Some(released) = releases.0.get(&address) {
            self.observed.add(released);
        }
    }
}
