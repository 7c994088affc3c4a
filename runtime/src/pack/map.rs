//! The bytes of a pack: a memory map, a static slice, or memory of its own.

use super::error::Defect;
use super::header::HEADER_SIZE;
use super::origin::{Origin, PackChanged};
use super::sigbus::Listed;
use crate::aligned::AlignedBytes;
use crate::input_file::{self, InputError};
use memmap2::{Mmap, MmapOptions};
use std::ops::Deref;
use std::path::Path;

/// Bytes that stay where they are as long as the pack lives.
#[derive(Debug)]
pub(super) enum Bytes {
    Map(Mapped),
    Static(&'static [u8]),
    Memory(AlignedBytes),
}

/// A map, and the file under it.
#[derive(Debug)]
pub(super) struct Mapped {
    // Before the map, so that it is dropped before.
    _listed: Listed,
    map: Mmap,
    origin: Origin,
}

impl Bytes {
    /// The file, if there is one.
    pub(super) fn origin(&self) -> Option<&Origin> {
        match self {
            Self::Map(mapped) => Some(&mapped.origin),
            Self::Static(_) | Self::Memory(_) => None,
        }
    }

    /// Fails if the file changed since it was mapped.
    pub(super) fn check(&self) -> Result<(), PackChanged> {
        self.origin().map_or(Ok(()), Origin::check)
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Map(mapped) => &mapped.map,
            Self::Static(bytes) => bytes,
            Self::Memory(bytes) => bytes,
        }
    }
}

/// Maps the whole of a regular file, read-only.
pub(super) fn map(path: &Path) -> Result<Bytes, Defect> {
    let io = |action| move |source| Defect::Io { action, source };
    let file = input_file::open(path).map_err(|error| match error {
        InputError::Io(error) => io("open")(error),
        InputError::Folder => Defect::Directory,
        InputError::Kind(_) => Defect::NotAFile,
    })?;
    let metadata = file.metadata().map_err(io("read the size"))?;
    // An empty map is an error of the operating system's, and says less.
    if metadata.len() < HEADER_SIZE as u64 {
        return Err(Defect::NoHeader {
            found: metadata.len() as usize,
        });
    }
    // SAFETY: the map is read-only and private, and all types viewed in it (u8, i8, f32) have no invalid
    // bit patterns. What is left is another process changing the file: writing to it changes weights under
    // the engine, truncating it raises SIGBUS. No operating system interface prevents either; `Pack::open`
    // documents that packs are replaced by renaming, which `PackWriter` does, and never written in place.
    let map = unsafe { MmapOptions::new().map(&file) }.map_err(io("map"))?;
    fill(&map);
    Ok(Bytes::Map(Mapped {
        _listed: Listed::new(path, map.as_ptr_range()),
        map,
        origin: Origin::new(file, &metadata).map_err(io("read"))?,
    }))
}

/// Gets all of the file into memory, in pages of 2 MiB where the kernel and the file system have such: every weight is
/// read for each frame, and a processor's table of pages has no room for as many of 4 KiB.
///
/// These are wishes: without them a page comes when it is first read. File systems with large folios grant the first
/// (ext4 since Linux 6.16), unless the file is in memory already, in small pages; Linux before 5.14 has no second.
#[cfg(target_os = "linux")]
fn fill(map: &Mmap) {
    use memmap2::Advice;
    for advice in [Advice::HugePage, Advice::PopulateRead] {
        if let Err(error) = map.advise(advice) {
            log::debug!("{advice:?} for a pack: {error}");
        }
    }
}

#[cfg(not(target_os = "linux"))]
fn fill(_: &Mmap) {}
