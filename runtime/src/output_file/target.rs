//! What the name of an output stands for.

use super::error::OutputError;
use super::replace::folder;
use rustix::fs::{Access, access};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Symbolic links that are followed before they count as a circle, as Linux does.
const MAX_LINKS: u32 = 40;

/// Where bytes go.
#[derive(Debug)]
pub(super) enum Target {
    /// What the process was given as its standard output.
    StandardOutput,
    /// A device, a pipe, or another file that is already open: bytes are written through.
    Stream(File),
    /// A file that is there or can be: replaced by a new one. No symbolic link.
    File(PathBuf),
}

/// Finds out what `path` stands for. A pipe is opened, which waits for its reader.
///
/// # Errors
/// [`OutputError`]: a folder, or nothing that can be written.
pub(super) fn resolve(path: &Path) -> Result<Target, OutputError> {
    let descriptor = descriptor(path);
    if descriptor.as_deref().is_some_and(is_own_output) {
        return Ok(Target::StandardOutput);
    }
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Err(OutputError::Folder { path: path.into() }),
        Ok(metadata) if is_standard_output(&metadata) => Ok(Target::StandardOutput),
        Ok(metadata) if metadata.is_file() && descriptor.is_none() => existing(path),
        Ok(_) => {
            // Whoever opened it chose where its bytes go: they are added, never put at its start.
            let mut options = OpenOptions::new();
            options.append(true);
            let open = options.open(path);
            Ok(Target::Stream(open.map_err(OutputError::io(path, "open"))?))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => absent(path),
        Err(error) => Err(OutputError::io(path, "look it up")(error)),
    }
}

/// A regular file. One that may not be written is not replaced either: its owner protected it.
fn existing(path: &Path) -> Result<Target, OutputError> {
    access(path, Access::WRITE_OK)
        .map_err(|error| OutputError::io(path, "replace it")(error.into()))?;
    let found = fs::canonicalize(path).map_err(OutputError::io(path, "look it up"))?;
    Ok(Target::File(found))
}

/// A name that is not in use, or a symbolic link to one.
fn absent(path: &Path) -> Result<Target, OutputError> {
    let (end, _) = follow(path, |_| false);
    if end.as_os_str().as_bytes().ends_with(b"/") {
        return Err(OutputError::Folder { path: path.into() });
    }
    let Some(name) = end.file_name() else {
        let source = ErrorKind::NotFound.into();
        return Err(OutputError::io(path, "look it up")(source));
    };
    let folder = folder(&end);
    let found = fs::canonicalize(folder).map_err(|source| OutputError::NoFolder {
        path: path.into(),
        folder: folder.into(),
        source,
    })?;
    Ok(Target::File(found.join(name)))
}

/// Follows symbolic links until `stop`; where it ends, and whether it stopped.
fn follow(path: &Path, stop: impl Fn(&Path) -> bool) -> (PathBuf, bool) {
    let mut path = path.to_path_buf();
    for _ in 0..MAX_LINKS {
        if stop(&path) {
            return (path, true);
        }
        match fs::read_link(&path) {
            Ok(link) => path = folder(&path).join(link),
            Err(_) => break,
        }
    }
    (path, false)
}

/// The entry of `/proc/PID/fd` that a name such as `/dev/stderr` or `/dev/fd/3` leads to, if it does. What
/// such an entry links to is no path that could be followed.
fn descriptor(path: &Path) -> Option<PathBuf> {
    let is_entry = |path: &Path| {
        let folder = fs::canonicalize(folder(path));
        folder.is_ok_and(|folder| folder.starts_with("/proc") && folder.ends_with("fd"))
    };
    let (entry, found) = follow(path, is_entry);
    found.then_some(entry)
}

/// Whether an entry of `/proc/PID/fd` is this process's standard output.
fn is_own_output(entry: &Path) -> bool {
    entry.file_name().is_some_and(|name| name == "1")
        && fs::canonicalize(folder(entry)).ok() == fs::canonicalize("/proc/self/fd").ok()
}

/// Whether a file or pipe, found by another name, is the process's standard output.
fn is_standard_output(found: &Metadata) -> bool {
    // Several unrelated streams may be the same device.
    !found.file_type().is_char_device()
        && rustix::fs::fstat(io::stdout())
            .is_ok_and(|own| (own.st_dev, own.st_ino) == (found.dev(), found.ino()))
}
