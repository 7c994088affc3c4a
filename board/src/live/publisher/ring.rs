//! A ring of fixed slots that one thread writes and many read.
//!
//! The writer never waits: it overwrites the oldest slot, and a reader that is overtaken is told so. Each slot is a
//! sequence lock (Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012): its version is
//! odd while it is written, and a copy counts only if the version was the same, and even, before and after. All of a slot is
//! atomic words, so a copy that loses the race is thrown away and nothing else.

use mergevit_kernels::memory::OutOfMemory;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};

/// Bytes of a word.
const WORD: usize = size_of::<u64>();

/// Numbers that an entry has beside its bytes.
pub(super) type Tag = [u64; 4];

#[derive(Debug, Default)]
struct Slot {
    /// Of the entry at position p: 2p + 1 while it is written, 2p + 2 from then on.
    version: AtomicU64,
    tag: [AtomicU64; 4],
    /// Bytes in use.
    length: AtomicU64,
    words: Box<[AtomicU64]>,
}

/// The slots. Positions count entries from 0.
#[derive(Debug)]
pub(super) struct Ring {
    slots: Box<[Slot]>,
    /// Entries written so far.
    head: AtomicU64,
}

/// The only way to write into a ring.
#[derive(Debug)]
pub(super) struct RingWriter {
    ring: Arc<Ring>,
}

/// A copy of an entry, in memory that is reserved once.
#[derive(Debug, Default)]
pub(super) struct Entry {
    pub(super) tag: Tag,
    room: Box<[u8]>,
    length: usize,
}

/// What a reader finds at a position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// The entry was copied.
    Entry,
    /// It is not written yet.
    Nothing,
    /// It was overwritten.
    Lost,
}

/// A ring of `slots`, each with room for `bytes`.
pub(super) fn ring(slots: usize, bytes: usize) -> Result<RingWriter, OutOfMemory> {
    let slot = || {
        Ok(Slot {
            words: words(bytes.div_ceil(WORD))?,
            ..Slot::default()
        })
    };
    let slots: Result<Vec<Slot>, OutOfMemory> = (0..slots).map(|_| slot()).collect();
    let ring = Ring {
        slots: slots?.into(),
        head: AtomicU64::new(0),
    };
    Ok(RingWriter {
        ring: Arc::new(ring),
    })
}

fn words(len: usize) -> Result<Box<[AtomicU64]>, OutOfMemory> {
    let mut words = Vec::new();
    words.try_reserve_exact(len).map_err(|_| OutOfMemory {
        bytes: len * WORD,
        what: "records",
    })?;
    words.extend((0..len).map(|_| AtomicU64::new(0)));
    Ok(words.into())
}

impl Ring {
    /// Entries written so far.
    pub(super) fn head(&self) -> u64 {
        self.head.load(Ordering::Acquire)
    }

    /// How many slots there are.
    pub(super) fn slots(&self) -> u64 {
        self.slots.len() as u64
    }

    /// Room of an entry, in bytes.
    pub(super) fn entry_bytes(&self) -> usize {
        self.slots.first().map_or(0, |slot| slot.words.len() * WORD)
    }

    /// Room for a copy of any entry.
    pub(super) fn entry(&self) -> Entry {
        Entry {
            room: vec![0; self.entry_bytes()].into(),
            ..Entry::default()
        }
    }

    /// Copies the entry at `position`. Does not allocate, and does not hold up the writer.
    pub(super) fn read(&self, position: u64, entry: &mut Entry) -> Found {
        let slot = &self.slots[(position % self.slots()) as usize];
        let whole = 2 * position + 2;
        match slot.version.load(Ordering::Acquire) {
            version if version < whole => return Found::Nothing,
            version if version > whole => return Found::Lost,
            _ => {}
        }
        // A length that is being overwritten may be of another entry, but it fits every slot.
        let length = slot.length.load(Ordering::Relaxed) as usize;
        for (to, from) in entry.tag.iter_mut().zip(&slot.tag) {
            *to = from.load(Ordering::Relaxed);
        }
        let chunks = entry.room.chunks_exact_mut(WORD);
        for (to, from) in chunks.zip(&slot.words[..length.div_ceil(WORD)]) {
            to.copy_from_slice(&from.load(Ordering::Relaxed).to_ne_bytes());
        }
        entry.length = length;
        fence(Ordering::Acquire);
        match slot.version.load(Ordering::Relaxed) == whole {
            true => Found::Entry,
            false => Found::Lost,
        }
    }
}

impl RingWriter {
    /// The ring, for readers.
    pub(super) fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Writes an entry, and returns its position. Does not wait and does not allocate.
    ///
    /// # Panics
    /// If `bytes` are more than a slot has room for.
    pub(super) fn push(&mut self, tag: Tag, bytes: &[u8]) -> u64 {
        assert!(bytes.len() <= self.ring.entry_bytes());
        let position = self.ring.head.load(Ordering::Relaxed);
        let slot = &self.ring.slots[(position % self.ring.slots()) as usize];
        slot.version.store(2 * position + 1, Ordering::Relaxed);
        fence(Ordering::Release);
        for (to, from) in slot.tag.iter().zip(tag) {
            to.store(from, Ordering::Relaxed);
        }
        slot.length.store(bytes.len() as u64, Ordering::Relaxed);
        for (to, from) in slot.words.iter().zip(bytes.chunks(WORD)) {
            let mut word = [0; WORD];
            word[..from.len()].copy_from_slice(from);
            to.store(u64::from_ne_bytes(word), Ordering::Relaxed);
        }
        slot.version.store(2 * position + 2, Ordering::Release);
        self.ring.head.store(position + 1, Ordering::Release);
        position
    }
}

impl Entry {
    /// What was copied.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.room[..self.length]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_come_back_as_they_were_until_they_are_overwritten() {
        let mut writer = ring(3, 13).expect("a few bytes");
        let ring = Arc::clone(writer.ring());
        let mut entry = ring.entry();
        assert_eq!(ring.read(0, &mut entry), Found::Nothing);
        for position in 0..20u64 {
            let bytes = vec![position as u8; (position % 14) as usize];
            assert_eq!(writer.push([position, 1, 2, 3], &bytes), position);
            for past in 0..=position {
                let found = ring.read(past, &mut entry);
                if past + 3 <= position {
                    assert_eq!(found, Found::Lost);
                    continue;
                }
                assert_eq!(found, Found::Entry);
                assert_eq!(entry.tag, [past, 1, 2, 3]);
                assert_eq!(entry.bytes(), vec![past as u8; (past % 14) as usize]);
            }
            assert_eq!(ring.read(position + 1, &mut entry), Found::Nothing);
            assert_eq!(ring.head(), position + 1);
        }
    }

    /// Readers that race with the writer see whole entries, in order.
    #[test]
    fn a_copy_is_whole_or_lost() {
        const ENTRIES: u64 = 200_000;
        let mut writer = ring(4, 64).expect("a few bytes");
        let read = |ring: Arc<Ring>| {
            let mut entry = ring.entry();
            let (mut position, mut read) = (0, 0);
            while position < ENTRIES {
                match ring.read(position, &mut entry) {
                    Found::Nothing => std::hint::spin_loop(),
                    Found::Lost => position = ring.head().saturating_sub(1).max(position + 1),
                    Found::Entry => {
                        assert_eq!(entry.tag, [position; 4]);
                        assert_eq!(entry.bytes().len() as u64, position % 65);
                        assert!(entry.bytes().iter().all(|&byte| byte == position as u8));
                        position += 1;
                        read += 1;
                    }
                }
            }
            read
        };
        std::thread::scope(|scope| {
            let readers = [0; 2].map(|_| {
                let ring = Arc::clone(writer.ring());
                scope.spawn(move || read(ring))
            });
            for position in 0..ENTRIES {
                let bytes = [position as u8; 64];
                writer.push([position; 4], &bytes[..(position % 65) as usize]);
            }
            for reader in readers {
                assert!(reader.join().expect("no copy was torn") > 0);
            }
        });
    }
}
