//! A block's shared memory, with what is needed to notice races, stale reads and unwaited copies.
//!
//! Time in a block is counted in barriers: `now` is the number of barriers completed so far. Every byte remembers
//! who wrote it last and when, and who read it since; every warp knows, for every other one, up to which time it
//! has met it at a barrier. Two accesses race if one is a write, the warps differ, and the later warp has not met
//! the earlier one since (Flanagan and Freund, "FastTrack", 2009, with warps in place of threads).

use crate::fault::{Rule, Space};

/// Most warps of a block.
pub(crate) const MAX_WARPS: usize = 32;

/// In place of a warp: several, all by atomic operations.
const SEVERAL: u8 = u8::MAX;

/// How a byte is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
    Atomic,
    Copy,
}

impl Access {
    const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Atomic => "atomic",
            Self::Copy => "cp.async",
        }
    }
}

/// Shared memory of the running block.
#[derive(Debug)]
pub(crate) struct Shared {
    data: Vec<u8>,
    bytes: Vec<Byte>,
    now: u32,
    start: u32,
    warps: usize,
    /// `met[w][v]`: warp w knows what v did before this time.
    met: Vec<[u32; MAX_WARPS]>,
    /// The least of `met[w]` over all other warps.
    floor: Vec<u32>,
    initialised: bool,
    races: bool,
}

/// What is known about a byte.
#[derive(Clone, Copy, Debug, Default)]
struct Byte {
    /// When it was written; before the block's start: not at all.
    written: u32,
    /// When it was read last since the last write.
    read: u32,
    /// Which warps read it since the last write, unless that is long ago.
    readers: u32,
    writer: u8,
    atomic: bool,
    /// A `cp.async` to it is under way.
    in_flight: bool,
}

impl Shared {
    /// `size` bytes; `initialised` and `races` say what to check.
    pub(crate) fn new(size: usize, (initialised, races): (bool, bool)) -> Self {
        Self {
            data: vec![0; size],
            bytes: vec![Byte::default(); size],
            now: 0,
            start: 0,
            warps: 0,
            met: Vec::new(),
            floor: Vec::new(),
            initialised,
            races,
        }
    }

    /// Forgets everything: a new block of `warps` warps starts.
    pub(crate) fn begin_block(&mut self, warps: usize) {
        self.now += 1;
        self.start = self.now;
        self.warps = warps;
        self.met = vec![[self.start; MAX_WARPS]; warps];
        self.floor = vec![if warps > 1 { self.start } else { u32::MAX }; warps];
        for byte in &mut self.bytes {
            byte.in_flight = false;
        }
    }

    /// The warps in `who` met at a barrier.
    pub(crate) fn meet(&mut self, who: u32) {
        self.now += 1;
        let members = || (0..self.warps).filter(|warp| who >> warp & 1 == 1);
        let mut joined = [0; MAX_WARPS];
        for warp in members() {
            for (joined, met) in joined.iter_mut().zip(self.met[warp]) {
                *joined = met.max(*joined);
            }
        }
        for warp in members() {
            joined[warp] = self.now;
        }
        let members: Vec<usize> = members().collect();
        for warp in members {
            self.met[warp] = joined;
            let others = (0..self.warps).filter(|&other| other != warp);
            self.floor[warp] = others.map(|other| joined[other]).min().unwrap_or(u32::MAX);
        }
    }

    /// Checks an access's place.
    pub(crate) fn place(&self, address: u64, bytes: u32) -> Result<usize, Rule> {
        let end = address.checked_add(bytes.into());
        if end.is_some_and(|end| end <= self.data.len() as u64) {
            return Ok(address as usize);
        }
        Err(Rule::OutOfBounds {
            space: Space::Shared,
            address,
            bytes,
            near: format!(", the block has {} bytes", self.data.len()),
        })
    }

    /// A warp that touched `byte` last, as far as `warp` has not met it since.
    fn unmet_writer(&self, byte: &Byte, warp: usize, access: Access) -> Option<u32> {
        if byte.written < self.floor[warp] || byte.written < self.start {
            return None;
        }
        if byte.writer == SEVERAL {
            let other = (0..self.warps).find(|&v| v != warp && self.met[warp][v] <= byte.written);
            return other.filter(|_| access != Access::Atomic).map(|v| v as u32);
        }
        let writer = usize::from(byte.writer);
        let both_atomic = byte.atomic && access == Access::Atomic;
        let unmet = writer != warp && self.met[warp][writer] <= byte.written;
        (unmet && !both_atomic).then_some(writer as u32)
    }

    fn unmet_reader(&self, byte: &Byte, warp: usize) -> Option<u32> {
        let others = byte.readers & !(1 << warp);
        if others == 0 || byte.read < self.floor[warp] || byte.read < self.start {
            return None;
        }
        (0..self.warps as u32)
            .find(|&v| others >> v & 1 == 1 && self.met[warp][v as usize] <= byte.read)
    }

    fn race(at: usize, access: Access, warp: usize, earlier: Access, other: u32) -> Rule {
        Rule::SharedRace {
            address: at as u64,
            access: access.name(),
            warp: warp as u32,
            earlier: match earlier {
                Access::Read => "read",
                Access::Atomic => "changed by an atomic operation",
                Access::Write | Access::Copy => "written",
            },
            other,
        }
    }

    /// Reads `bytes` bytes as `warp`; those whose bit in `used` is 0 do not matter.
    pub(crate) fn load(
        &mut self,
        warp: usize,
        at: usize,
        bytes: usize,
        used: u64,
    ) -> Result<&[u8], Rule> {
        let range = at..at + bytes;
        let floor = self.floor[warp].min(self.now + 1);
        let settled = |b: &Byte| !b.in_flight && b.written >= self.start && b.written < floor;
        if !self.bytes[range.clone()].iter().all(settled) {
            for (i, at) in range.clone().enumerate() {
                if used >> i & 1 == 1 {
                    self.check_read(warp, at, Access::Read)?;
                }
            }
        }
        if self.races {
            self.record_read(warp, range.clone());
        }
        Ok(&self.data[range])
    }

    fn check_read(&self, warp: usize, at: usize, access: Access) -> Result<(), Rule> {
        let byte = &self.bytes[at];
        if byte.in_flight {
            return Err(Rule::UnwaitedCopy { address: at as u64 });
        }
        if self.initialised && byte.written < self.start {
            return Err(Rule::Uninitialised {
                space: Space::Shared,
                address: at as u64,
            });
        }
        if self.races
            && let Some(other) = self.unmet_writer(byte, warp, access)
        {
            let earlier = if byte.atomic {
                Access::Atomic
            } else {
                Access::Write
            };
            return Err(Self::race(at, access, warp, earlier, other));
        }
        Ok(())
    }

    fn record_read(&mut self, warp: usize, range: std::ops::Range<usize>) {
        let (now, bit, floor) = (self.now, 1 << warp, self.floor[warp]);
        for byte in &mut self.bytes[range] {
            // Readers that this warp has met since are implied by this one.
            let kept = if byte.read < floor { 0 } else { byte.readers };
            byte.readers = kept | bit;
            byte.read = now;
        }
    }

    fn check_write(&self, warp: usize, at: usize, access: Access) -> Result<(), Rule> {
        let byte = &self.bytes[at];
        if byte.in_flight {
            return Err(Rule::UnwaitedCopy { address: at as u64 });
        }
        if !self.races {
            return Ok(());
        }
        if let Some(other) = self.unmet_writer(byte, warp, access) {
            let earlier = if byte.atomic {
                Access::Atomic
            } else {
                Access::Write
            };
            return Err(Self::race(at, access, warp, earlier, other));
        }
        if let Some(other) = self.unmet_reader(byte, warp) {
            return Err(Self::race(at, access, warp, Access::Read, other));
        }
        Ok(())
    }

    /// Writes `data` as `warp`.
    pub(crate) fn store(&mut self, warp: usize, at: usize, data: &[u8]) -> Result<(), Rule> {
        for (at, &value) in (at..).zip(data) {
            self.check_write(warp, at, Access::Write)?;
            self.settle(warp, at, value);
        }
        Ok(())
    }

    fn settle(&mut self, warp: usize, at: usize, value: u8) {
        self.data[at] = value;
        let byte = &mut self.bytes[at];
        byte.written = self.now;
        byte.writer = warp as u8;
        byte.atomic = false;
        byte.readers = 0;
    }

    /// Begins an atomic operation of `warp`: checks it and returns the old bytes.
    pub(crate) fn load_atomic(&self, warp: usize, at: usize, bytes: usize) -> Result<&[u8], Rule> {
        for at in at..at + bytes {
            self.check_read(warp, at, Access::Atomic)?;
            self.check_write(warp, at, Access::Atomic)?;
        }
        Ok(&self.data[at..at + bytes])
    }

    /// Reads by a strong access (`.volatile`, `.relaxed`, `.acquire`), which races with plain writes only.
    pub(crate) fn load_strong(&self, warp: usize, at: usize, bytes: usize) -> Result<&[u8], Rule> {
        for at in at..at + bytes {
            self.check_read(warp, at, Access::Atomic)?;
        }
        Ok(&self.data[at..at + bytes])
    }

    /// Writes by a strong access, which races with plain accesses only.
    pub(crate) fn store_strong(&mut self, warp: usize, at: usize, data: &[u8]) -> Result<(), Rule> {
        for at in at..at + data.len() {
            self.check_write(warp, at, Access::Atomic)?;
        }
        self.store_atomic(warp, at, data);
        Ok(())
    }

    /// Ends an atomic operation of `warp`.
    pub(crate) fn store_atomic(&mut self, warp: usize, at: usize, data: &[u8]) {
        for (at, &value) in (at..).zip(data) {
            let before = self.bytes[at];
            let shared = before.atomic
                && before.written >= self.floor[warp]
                && usize::from(before.writer) != warp;
            self.settle(warp, at, value);
            let byte = &mut self.bytes[at];
            byte.atomic = true;
            if shared {
                byte.writer = SEVERAL;
            }
        }
    }

    /// A `cp.async` of `warp` to these bytes starts.
    pub(crate) fn begin_copy(&mut self, warp: usize, at: usize, bytes: usize) -> Result<(), Rule> {
        for at in at..at + bytes {
            self.check_write(warp, at, Access::Copy)?;
            self.bytes[at].in_flight = true;
        }
        Ok(())
    }

    /// The thread that started a copy has waited for it: it counts as written by its warp now.
    pub(crate) fn end_copy(&mut self, warp: usize, at: usize, data: &[u8]) {
        for (at, &value) in (at..).zip(data) {
            self.bytes[at].in_flight = false;
            self.settle(warp, at, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_warps() -> Shared {
        let mut shared = Shared::new(64, (true, true));
        shared.begin_block(2);
        shared
    }

    #[test]
    fn a_barrier_separates_a_write_from_a_read() {
        let mut shared = two_warps();
        shared.store(0, 8, &[1, 2]).unwrap();
        assert_eq!(shared.load(0, 8, 2, !0).unwrap(), [1, 2]);
        assert!(matches!(
            shared.load(1, 8, 2, !0),
            Err(Rule::SharedRace { other: 0, .. })
        ));
        shared.meet(0b11);
        assert_eq!(shared.load(1, 8, 2, !0).unwrap(), [1, 2]);
        assert!(matches!(
            shared.store(0, 9, &[3]),
            Err(Rule::SharedRace { other: 1, .. })
        ));
        shared.meet(0b11);
        shared.store(0, 9, &[3]).unwrap();
    }

    #[test]
    fn a_barrier_of_others_helps_nobody() {
        let mut shared = Shared::new(64, (true, true));
        shared.begin_block(3);
        shared.store(0, 0, &[1]).unwrap();
        shared.meet(0b110);
        assert!(shared.load(1, 0, 1, !0).is_err());
        shared.meet(0b011);
        shared.load(1, 0, 1, !0).unwrap();
        assert!(shared.load(2, 0, 1, !0).is_err());
        shared.meet(0b110);
        shared.load(2, 0, 1, !0).unwrap();
    }

    #[test]
    fn atomics_race_with_plain_accesses_only() {
        let mut shared = two_warps();
        shared.store(0, 0, &[0; 4]).unwrap();
        shared.meet(0b11);
        for warp in [0, 1, 0] {
            assert_eq!(shared.load_atomic(warp, 0, 4).unwrap().len(), 4);
            shared.store_atomic(warp, 0, &[1; 4]);
        }
        assert!(shared.load(0, 0, 4, !0).is_err());
        shared.meet(0b11);
        shared.load(0, 0, 4, !0).unwrap();
    }

    #[test]
    fn a_new_block_knows_nothing() {
        let mut shared = two_warps();
        shared.store(0, 0, &[1]).unwrap();
        shared.begin_block(1);
        assert!(matches!(
            shared.load(0, 0, 1, !0),
            Err(Rule::Uninitialised { .. })
        ));
        shared.store(0, 0, &[1]).unwrap();
        shared.load(0, 0, 1, !0).unwrap();
    }

    #[test]
    fn a_copy_is_there_after_its_wait() {
        let mut shared = two_warps();
        shared.begin_copy(0, 0, 4).unwrap();
        assert!(matches!(
            shared.load(0, 0, 1, !0),
            Err(Rule::UnwaitedCopy { .. })
        ));
        assert!(matches!(
            shared.store(0, 3, &[1]),
            Err(Rule::UnwaitedCopy { .. })
        ));
        shared.meet(0b11);
        assert!(matches!(
            shared.load(1, 0, 1, !0),
            Err(Rule::UnwaitedCopy { .. })
        ));
        shared.end_copy(0, 0, &[1, 2, 3, 4]);
        assert_eq!(shared.load(0, 0, 4, !0).unwrap(), [1, 2, 3, 4]);
        assert!(matches!(
            shared.load(1, 0, 1, !0),
            Err(Rule::SharedRace { .. })
        ));
        shared.meet(0b11);
        shared.load(1, 0, 4, !0).unwrap();
    }
}
