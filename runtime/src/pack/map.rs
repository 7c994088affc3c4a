//! The bytes of a pack: a memory map or a static slice. The one place with `unsafe` code.

use super::error::Defect;
use memmap2::{Mmap, MmapOptions};
use std::fs::File;
use std::ops::Deref;
use std::path::Path;

/// Bytes that stay where they are as long as the pack lives.
#[derive(Debug)]
pub(super) enum Bytes {
    Map(Mmap),
    Static(&'static [u8]),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Map(map) => map,
            Self::Static(bytes) => bytes,
        }
    }
}

/// Maps the whole of a regular file, read-only.
pub(super) fn map(path: &Path) -> Result<Bytes, Defect> {
    let io = |action| move |source| Defect::Io { action, source };
    let file = File::open(path).map_err(io("open"))?;
    let metadata = file.metadata().map_err(io("read the size"))?;
    if !metadata.is_file() {
        return Err(Defect::NotAFile);
    }
    // An empty map is an error of the operating system's, and says less.
    if metadata.len() == 0 {
        return Err(Defect::NoHeader { found: 0 });
    }
    let mut options = MmapOptions::new();
    // All of it is about to be read for its checksums: one call instead of a page fault every 64 KiB.
    options.populate();
    // SAFETY: the map is read-only and private, and all types viewed in it (u8, i8, f32) have no invalid
    // bit patterns. What is left is another process changing the file: writing to it changes weights under
    // the engine, truncating it raises SIGBUS. No operating system interface prevents either; `Pack::open`
    // documents that packs are replaced by renaming, which `PackWriter` does, and never written in place.
    let map = unsafe { options.map(&file) }.map_err(io("map"))?;
    Ok(Bytes::Map(map))
}
