//! Which blocks of a launch have made their writes visible to which.
//!
//! Blocks of a launch run in no order. What one writes another may read only after a handshake, as in "the last
//! block to arrive adds up": the writer's warps store, a fence follows (`membar.gl`, `fence`), then an atomic
//! operation on a counter *releases* the block; a block whose own atomic operation comes later on the same
//! address, followed by a fence, has *acquired* it (PTX ISA 8 "Memory Consistency Model": release and acquire
//! patterns, causality order).
//!
//! Kept simple: sets of blocks instead of clocks. A block is released by an atomic operation if no warp of it has
//! stored since its last fence (a fence also covers what other warps stored before the last barrier of the whole
//! block). Stores after the release are not told apart from those before.

use crate::fault::{Rule, Space};
use std::collections::HashMap;

/// A set of blocks of a launch.
#[derive(Clone, Debug, Default)]
struct Blocks(Vec<u64>);

impl Blocks {
    fn insert(&mut self, block: u32) {
        let word = block as usize / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << (block % 64);
    }

    fn contains(&self, block: u32) -> bool {
        self.0
            .get(block as usize / 64)
            .is_some_and(|word| word >> (block % 64) & 1 == 1)
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
pub(crate) struct Releases(HashMap<u64, Blocks>);

/// The running block's knowledge of the others.
#[derive(Debug)]
pub(crate) struct BlockView {
    /// Stamp of block 0.
    first: u32,
    block: u32,
    /// Blocks run before this one.
    earlier: u32,
    acquired: Blocks,
    /// Seen by an atomic operation, but no fence followed yet.
    observed: Blocks,
    /// Per warp: the number of block barriers before its last store without a fence since.
    unfenced: Vec<Option<u64>>,
    barriers: u64,
    initialised: bool,
    races: bool,
}

impl BlockView {
    /// `first` is the stamp of block 0; `earlier` blocks have run; `initialised` and `races` say what to check.
    pub(crate) fn new(
        first: u32,
        block: u32,
        earlier: u32,
        warps: usize,
        (initialised, races): (bool, bool),
    ) -> Self {
        Self {
            first,
            block,
            earlier,
            acquired: Blocks::default(),
            observed: Blocks::default(),
            unfenced: vec![None; warps],
            barriers: 0,
            initialised,
            races,
        }
    }

    pub(crate) fn stamp(&self) -> u32 {
        self.first + self.block
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
        let alone = before < self.many() || before == self.stamp();
        if alone { self.stamp() } else { self.many() }
    }

    fn knows(&self, stamp: u32) -> bool {
        stamp < self.first || stamp == self.stamp() || self.acquired.contains(stamp - self.first)
    }

    fn race(&self, address: u64, access: &'static str, earlier: &'static str, stamp: u32) -> Rule {
        Rule::GlobalRace {
            address,
            access,
            earlier,
            other: stamp.saturating_sub(self.first),
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

    /// A warp stored to global memory.
    pub(crate) fn stored(&mut self, warp: usize) {
        self.unfenced[warp] = Some(self.barriers);
    }

    /// All warps of the block met at a barrier.
    pub(crate) fn met(&mut self) {
        self.barriers += 1;
    }

    /// A warp executed a fence of device scope or wider.
    pub(crate) fn fence(&mut self, warp: usize) {
        let barriers = self.barriers;
        for (other, unfenced) in self.unfenced.iter_mut().enumerate() {
            if other == warp || unfenced.is_some_and(|at| at < barriers) {
                *unfenced = None;
            }
        }
        self.acquired.add(&std::mem::take(&mut self.observed));
    }

    /// A strong write at `address` (an atomic operation, a release store).
    pub(crate) fn release(&mut self, releases: &mut Releases, address: u64) {
        if self.unfenced.iter().any(Option::is_some) {
            return;
        }
        let released = releases.0.entry(address).or_default();
        released.insert(self.block);
        released.add(&self.acquired);
    }

    /// A strong read at `address` (an atomic operation, an acquire load); a fence must follow.
    pub(crate) fn observe(&mut self, releases: &Releases, address: u64) {
        if let Some(released) = releases.0.get(&address) {
            self.observed.add(released);
        }
    }
}
