//! Global memory: separate allocations with gaps between, and what is known about every byte.

use super::visibility::{BlockView, Reader};
use crate::fault::{MemoryError, Rule, Space};

/// Where the first allocation lies. Far from 0, so that small numbers are no addresses.
const BASE: u64 = 0x10_0000_0000;
/// What an allocation's address is a multiple of, as with `cuMemAlloc`.
const ALIGNMENT: u64 = 256;
/// Bytes between two allocations, none of which may be touched.
const GAP: u64 = 4096;

/// Nothing wrote the byte.
const UNWRITTEN: u32 = 0;
/// The host wrote it; what blocks wrote is numbered from the next stamp on.
pub(crate) const HOST: u32 = 1;

/// The device's memory.
///
/// Every byte knows whether something wrote it, and which block of which launch did so last.
#[derive(Debug, Default)]
pub struct Memory {
    allocations: Vec<Allocation>,
    /// The last stamp that a launch handed to a block.
    last_stamp: u32,
}

#[derive(Debug)]
struct Allocation {
    base: u64,
    data: Vec<u8>,
    /// Stamp of the last writer of each byte.
    writer: Vec<u32>,
    /// Stamp of the last block that read each byte in a launch; empty before the first read.
    reader: Vec<u32>,
}

/// The place of an access: an allocation and an offset in it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    allocation: usize,
    offset: usize,
}

impl Memory {
    /// No allocations.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reserves `bytes` bytes that nothing has written; returns their address, a multiple of 256.
    pub fn allocate(&mut self, bytes: usize) -> u64 {
        let end = self
            .allocations
            .last()
            .map_or(BASE, |last| last.base + last.data.len() as u64 + GAP);
        let base = end.next_multiple_of(ALIGNMENT);
        self.allocate_at(base, bytes);
        base
    }

    /// Reserves `bytes` bytes that nothing has written at an address of the caller's choice.
    ///
    /// # Panics
    /// If that is not beyond all allocations so far.
    pub fn allocate_at(&mut self, base: u64, bytes: usize) {
        let end = |last: &Allocation| last.base + last.data.len() as u64;
        assert!(self.allocations.last().is_none_or(|last| end(last) <= base));
        self.allocations.push(Allocation {
            base,
            data: vec![0; bytes],
            writer: vec![UNWRITTEN; bytes],
            reader: Vec::new(),
        });
    }

    /// Reserves memory and writes `data` to it.
    pub fn upload(&mut self, data: &[u8]) -> u64 {
        let address = self.allocate(data.len());
        if let Some(allocation) = self.allocations.last_mut() {
            allocation.data.copy_from_slice(data);
            allocation.writer.fill(HOST);
        }
        address
    }

    /// Writes to a part of one allocation, as the host.
    ///
    /// # Errors
    /// [`MemoryError::OutOfBounds`].
    pub fn write(&mut self, address: u64, data: &[u8]) -> Result<(), MemoryError> {
        let place = self.host_place(address, data.len())?;
        let allocation = &mut self.allocations[place.allocation];
        let range = place.offset..place.offset + data.len();
        allocation.data[range.clone()].copy_from_slice(data);
        allocation.writer[range].fill(HOST);
        Ok(())
    }

    /// Reads a part of one allocation, as the host.
    ///
    /// # Errors
    /// [`MemoryError::OutOfBounds`]; [`MemoryError::Uninitialised`] if nothing wrote one of the bytes.
    pub fn read(&self, address: u64, bytes: usize) -> Result<Vec<u8>, MemoryError> {
        let place = self.host_place(address, bytes)?;
        let allocation = &self.allocations[place.allocation];
        let range = place.offset..place.offset + bytes;
        if let Some(at) = allocation.writer[range.clone()]
            .iter()
            .position(|&w| w == UNWRITTEN)
        {
            return Err(MemoryError::Uninitialised {
                address: address + at as u64,
            });
        }
        Ok(allocation.data[range].to_vec())
    }

    /// Forgets what was written to these bytes, so far as they are allocated.
    pub fn forget(&mut self, address: u64, bytes: usize) {
        let end = address.saturating_add(bytes as u64);
        for allocation in &mut self.allocations {
            let length = allocation.data.len() as u64;
            let from = address.saturating_sub(allocation.base).min(length) as usize;
            let to = end.saturating_sub(allocation.base).min(length) as usize;
            allocation.writer[from..to].fill(UNWRITTEN);
        }
    }

    fn host_place(&self, address: u64, bytes: usize) -> Result<Place, MemoryError> {
        self.find(address, bytes)
            .ok_or_else(|| MemoryError::OutOfBounds {
                address,
                bytes,
                near: self.nearest(address),
            })
    }

    /// The first stamp of a launch. A launch takes fewer than half of all stamps: fewer than it may execute
    /// instructions.
    pub(crate) fn begin_launch(&mut self) -> u32 {
        if self.last_stamp > u32::MAX / 2 {
            self.restart_stamps();
        }
        // The stamp before the first stands for several readers.
        self.last_stamp = self.last_stamp.max(HOST) + 1;
        self.last_stamp + 1
    }

    /// The next stamp.
    pub(crate) fn take_stamp(&mut self) -> u32 {
        self.last_stamp += 1;
        self.last_stamp
    }

    /// Stamps have run out: what launches wrote becomes what the host wrote.
    fn restart_stamps(&mut self) {
        for allocation in &mut self.allocations {
            for stamp in allocation.writer.iter_mut().filter(|stamp| **stamp > HOST) {
                *stamp = HOST;
            }
            allocation.reader.clear();
        }
        self.last_stamp = HOST;
    }

    fn find(&self, address: u64, bytes: usize) -> Option<Place> {
        let after = self
            .allocations
            .partition_point(|allocation| allocation.base <= address);
        let allocation = after.checked_sub(1)?;
        let found = &self.allocations[allocation];
        let offset = usize::try_from(address - found.base).ok()?;
        let fits = offset.checked_add(bytes)? <= found.data.len();
        fits.then_some(Place { allocation, offset })
    }

    /// Says where `address` lies from the nearest allocation below.
    fn nearest(&self, address: u64) -> String {
        let after = self
            .allocations
            .partition_point(|allocation| allocation.base <= address);
        match after.checked_sub(1).map(|at| &self.allocations[at]) {
            Some(below) => format!(
                ", {} bytes from the start of {} bytes at {:#x}",
                address - below.base,
                below.data.len(),
                below.base
            ),
            None => ", below all allocations".into(),
        }
    }

    /// Looks up an access of a kernel. `hint` is where the last one went.
    pub(crate) fn place(&self, address: u64, bytes: u32, hint: &mut Place) -> Result<Place, Rule> {
        let length = bytes as usize;
        if let Some(last) = self.allocations.get(hint.allocation)
            && let Some(offset) = address.checked_sub(last.base)
            && let Ok(offset) = usize::try_from(offset)
            && offset
                .checked_add(length)
                .is_some_and(|end| end <= last.data.len())
        {
            return Ok(Place {
                allocation: hint.allocation,
                offset,
            });
        }
        let place = self
            .find(address, length)
            .ok_or_else(|| Rule::OutOfBounds {
                space: Space::Global,
                address,
                bytes,
                near: self.nearest(address),
            })?;
        *hint = place;
        Ok(place)
    }

    /// Reads into `into` as block `view`; bytes whose bit in `used` is 0 do not matter.
    pub(crate) fn load(
        &mut self,
        place: Place,
        into: &mut [u8],
        used: u64,
        view: &BlockView,
    ) -> Result<(), Rule> {
        let allocation = &mut self.allocations[place.allocation];
        let range = place.offset..place.offset + into.len();
        into.copy_from_slice(&allocation.data[range.clone()]);
        let own = view.stamp();
        let plain = |&w: &u32| w != UNWRITTEN && (w < view.first_stamp() || w == own);
        if !allocation.writer[range.clone()].iter().all(plain) {
            for (i, &writer) in allocation.writer[range.clone()].iter().enumerate() {
                let address = allocation.base + (place.offset + i) as u64;
                if used >> i & 1 == 1 {
                    view.check_read(address, writer, writer == UNWRITTEN)?;
                }
            }
        }
        if view.tracks_reads() {
            if allocation.reader.is_empty() {
                allocation.reader = vec![0; allocation.data.len()];
            }
            for reader in &mut allocation.reader[range] {
                *reader = view.reader_after(*reader);
            }
        }
        Ok(())
    }

    /// Checks that nothing has written these bytes since the launch began (`ld.global.nc`).
    pub(crate) fn check_constant(
        &self,
        place: Place,
        bytes: usize,
        view: &BlockView,
    ) -> Result<(), Rule> {
        let allocation = &self.allocations[place.allocation];
        let writers = &allocation.writer[place.offset..place.offset + bytes];
        match writers
            .iter()
            .position(|&writer| writer >= view.first_stamp())
        {
            None => Ok(()),
            Some(at) => Err(Rule::NotConstant {
                address: allocation.base + (place.offset + at) as u64,
            }),
        }
    }

    /// Writes `data` as block `view`.
    pub(crate) fn store(
        &mut self,
        place: Place,
        data: &[u8],
        view: &BlockView,
    ) -> Result<(), Rule> {
        let allocation = &mut self.allocations[place.allocation];
        let range = place.offset..place.offset + data.len();
        for i in range.clone() {
            let address = allocation.base + i as u64;
            view.check_write(address, allocation.writer[i])?;
            if let Some(&reader) = allocation.reader.get(i) {
                view.check_overwrite(address, Reader(reader))?;
            }
        }
        allocation.data[range.clone()].copy_from_slice(data);
        allocation.writer[range].fill(view.stamp());
        Ok(())
    }

    /// Reads for an atomic operation or another strong access, which races with nothing.
    pub(crate) fn load_strong(
        &self,
        place: Place,
        into: &mut [u8],
        view: &BlockView,
    ) -> Result<(), Rule> {
        let allocation = &self.allocations[place.allocation];
        let range = place.offset..place.offset + into.len();
        into.copy_from_slice(&allocation.data[range.clone()]);
        if let Some(at) = allocation.writer[range]
            .iter()
            .position(|&w| w == UNWRITTEN)
        {
            let address = allocation.base + (place.offset + at) as u64;
            view.check_read(address, UNWRITTEN, true)?;
        }
        Ok(())
    }

    /// Writes for an atomic operation or another strong access. Who wrote the byte first stays on record as far
    /// as plain accesses are concerned: to them a byte of atomics is as if the host had written it.
    pub(crate) fn store_strong(&mut self, place: Place, data: &[u8]) {
        let allocation = &mut self.allocations[place.allocation];
        let range = place.offset..place.offset + data.len();
        allocation.data[range.clone()].copy_from_slice(data);
        allocation.writer[range].fill(HOST);
    }
}

impl Place {
    pub(crate) const START: Self = Self {
        allocation: 0,
        offset: 0,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_are_apart_and_know_what_was_written() {
        let mut memory = Memory::new();
        let a = memory.allocate(100);
        let b = memory.upload(&[1, 2, 3]);
        assert_eq!((a % 256, b % 256), (0, 0));
        assert!(b - a >= 100 + GAP);
        assert_eq!(memory.read(b, 3).unwrap(), [1, 2, 3]);
        assert_eq!(
            memory.read(a, 1),
            Err(MemoryError::Uninitialised { address: a })
        );
        memory.write(a + 99, &[7]).unwrap();
        assert_eq!(memory.read(a + 99, 1).unwrap(), [7]);
        memory.allocate_at(b + 3, 2);
        memory.write(b + 4, &[9]).unwrap();
        assert_eq!(memory.read(b + 4, 1).unwrap(), [9]);
        assert!(memory.read(b + 2, 2).is_err(), "not across allocations");
        assert!(matches!(
            memory.read(a + 99, 2),
            Err(MemoryError::OutOfBounds { .. })
        ));
        assert!(matches!(
            memory.write(a - 1, &[0]),
            Err(MemoryError::OutOfBounds { .. })
        ));
        memory.forget(a + 98, 1000);
        assert!(memory.read(a + 99, 1).is_err());
        assert_eq!(memory.read(b, 3).unwrap(), [1, 2, 3]);
        memory.forget(b + 1, 1);
        assert_eq!(
            memory.read(b, 3),
            Err(MemoryError::Uninitialised { address: b + 1 })
        );
    }

    #[test]
    fn stamps_start_again_when_they_run_out() {
        let mut memory = Memory::new();
        let first = memory.begin_launch();
        assert!(first > HOST);
        assert_eq!(memory.take_stamp(), first);
        assert_eq!(memory.begin_launch(), first + 2);
        memory.last_stamp = u32::MAX - 5;
        assert_eq!(memory.begin_launch(), HOST + 2);
    }
}
