//! Why a file was not written.

use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a file was not written. Unless it says otherwise, the name holds what it held before.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OutputError {
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The name given.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Its reason.
        source: io::Error,
    },
    /// The name of a folder.
    #[error("{}: a folder, expected the name of a file to write", path.display())]
    Folder {
        /// The name given.
        path: PathBuf,
    },
    /// The folder that the file is to lie in cannot be found.
    #[error("{}: cannot find the folder {}: {source}", path.display(), folder.display())]
    NoFolder {
        /// The name given.
        path: PathBuf,
        /// The folder.
        folder: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file reads back differently.
    #[error(
        "{}: byte {offset} reads back differently than it was written: the disk or its file system \
         is faulty",
        path.display()
    )]
    ReadBack {
        /// The name given.
        path: PathBuf,
        /// The first byte that differs.
        offset: usize,
    },
    /// Standard output cannot be written; a reader that went away is a
    /// [`BrokenPipe`](io::ErrorKind::BrokenPipe).
    #[error("standard output: cannot write: {0}")]
    StandardOutput(#[source] io::Error),
}

impl OutputError {
    /// Turns the system's reason for not doing `action` to `path` into an error.
    pub(super) fn io(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Io {
            path,
            action,
            source,
        }
    }
}
