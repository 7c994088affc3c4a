//! Whether the file under a map is still what was mapped.

use super::header::HEADER_SIZE;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use thiserror::Error;

/// What was done to a pack's file while it was in use. Its map shows the change: answers since then are nobody's.
///
/// Replace a pack by renaming a new file over it; see [`Pack::open`](super::Pack::open).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PackChanged {
    /// Truncated, or written beyond its end.
    #[error("changed while in use: it has {found} bytes, and had {expected}")]
    Size {
        /// Bytes now.
        found: u64,
        /// Bytes when it was mapped.
        expected: u64,
    },
    /// Written to since it was mapped: its time of modification is another.
    #[error("changed while in use: it was written to")]
    Modified,
    /// Another header, in a file that says it was not written to.
    #[error("changed while in use: it has another header")]
    Header,
    /// The system no longer gives access to it.
    #[error("cannot be read while in use: {0}")]
    Unreadable(io::ErrorKind),
}

/// What changes with every write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        }
    }
}

/// A file as it was just before it was mapped.
#[derive(Debug)]
pub(super) struct Origin {
    file: File,
    stamp: Stamp,
    /// Names of the file: one less once another was renamed over it.
    links: u64,
    /// It holds the checksum of all checksums.
    header: [u8; HEADER_SIZE],
}

impl Origin {
    /// Of a file of at least a header's length.
    pub(super) fn new(file: File, metadata: &Metadata) -> io::Result<Self> {
        let mut header = [0; HEADER_SIZE];
        file.read_exact_at(&mut header, 0)?;
        Ok(Self {
            stamp: Stamp::of(metadata),
            links: metadata.nlink(),
            header,
            file,
        })
    }

    /// See [`Pack::check`](super::Pack::check).
    pub(super) fn check(&self) -> Result<(), PackChanged> {
        let unreadable = |error: io::Error| PackChanged::Unreadable(error.kind());
        let stamp = Stamp::of(&self.file.metadata().map_err(unreadable)?);
        if stamp.size != self.stamp.size {
            return Err(PackChanged::Size {
                found: stamp.size,
                expected: self.stamp.size,
            });
        }
        if stamp != self.stamp {
            return Err(PackChanged::Modified);
        }
        // Read, not looked up in the map: where the file shrinks at this very moment, that is an error.
        let mut header = [0; HEADER_SIZE];
        self.file
            .read_exact_at(&mut header, 0)
            .map_err(unreadable)?;
        if header != self.header {
            return Err(PackChanged::Header);
        }
        Ok(())
    }

    /// See [`Pack::is_replaced`](super::Pack::is_replaced).
    pub(super) fn is_replaced(&self) -> bool {
        self.file
            .metadata()
            .is_ok_and(|metadata| metadata.nlink() < self.links)
    }
}
