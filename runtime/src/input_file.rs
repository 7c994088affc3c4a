//! Opening input files without surprises: regular files, or links to them.
//!
//! Whoever opens a named pipe waits until somebody writes to it, reading a device need not end, and opening one may
//! change it. All of these are refused unopened, with an error that says what was found.
//!
//! ```
//! use mergevit_runtime::input_file;
//!
//! let error = input_file::read("/dev/null").unwrap_err();
//! assert_eq!(error.to_string(), "a device, expected a regular file");
//! ```

use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use thiserror::Error;

/// Why a file was not opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InputError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// It is a folder.
    #[error("a folder, expected a regular file")]
    Folder,
    /// It is a pipe, a socket or a device.
    #[error("{0}, expected a regular file")]
    Kind(&'static str),
}

impl From<InputError> for io::Error {
    fn from(error: InputError) -> Self {
        match error {
            InputError::Io(error) => error,
            InputError::Folder | InputError::Kind(_) => {
                Self::new(io::ErrorKind::InvalidInput, error)
            }
        }
    }
}

/// Opens a regular file for reading. Looks before it opens, and once more after, in case the file was exchanged in
/// between.
///
/// # Errors
/// [`InputError`].
pub fn open(path: impl AsRef<Path>) -> Result<File, InputError> {
    let path = path.as_ref();
    check(path.metadata()?.file_type())?;
    let mut options = OpenOptions::new();
    // Does not wait, whatever the file has become. On regular files the flag means nothing.
    options.read(true).custom_flags(libc::O_NONBLOCK);
    let file = options.open(path)?;
    check(file.metadata()?.file_type())?;
    Ok(file)
}

/// Reads the whole of a regular file.
///
/// # Errors
/// [`InputError`].
pub fn read(path: impl AsRef<Path>) -> Result<Vec<u8>, InputError> {
    let mut file = open(path)?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn check(kind: FileType) -> Result<(), InputError> {
    let found = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        return Err(InputError::Folder);
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    };
    Err(InputError::Kind(found))
}
