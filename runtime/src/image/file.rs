//! Opening a file that claims to be an image.

use super::error::ImageDefect;
use super::limits::MAX_FILE;
use std::fs::{File, FileType, OpenOptions};
use std::io;
use std::path::Path;

/// Opens a regular file. Looks before it opens, because opening a pipe waits for a writer and opening a device
/// may change it; and once more after, in case the file was exchanged in between.
pub(super) fn open(path: &Path) -> Result<File, ImageDefect> {
    check_kind(path.metadata().map_err(ImageDefect::Open)?.file_type())?;
    let file = open_without_waiting(path).map_err(ImageDefect::Open)?;
    let metadata = file.metadata().map_err(ImageDefect::Open)?;
    check_kind(metadata.file_type())?;
    if metadata.len() > MAX_FILE {
        return Err(ImageDefect::Large);
    }
    Ok(file)
}

#[cfg(unix)]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(path)
}

#[cfg(not(unix))]
fn open_without_waiting(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).open(path)
}

fn check_kind(kind: FileType) -> Result<(), ImageDefect> {
    if kind.is_file() {
        Ok(())
    } else {
        Err(ImageDefect::Kind(name(kind)))
    }
}

#[cfg(unix)]
fn name(kind: FileType) -> &'static str {
    use std::os::unix::fs::FileTypeExt;
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a named pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(not(unix))]
fn name(kind: FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else {
        "not a regular file"
    }
}
