//! Replacing a file: whatever fails, its name stands for the old bytes or for all of the new ones.
//!
//! The new file has no name while it is written. A process that is killed therefore leaves nothing behind,
//! save between two system calls at the very end: a file cannot take over a name that is in use except by
//! renaming, so one that replaces another is given a hidden name first.

use super::error::OutputError;
use super::filesystem::FileSystem;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process;

/// Hidden names tried before giving up. One is in use only if a process of the same id was killed here.
const ATTEMPTS: u32 = 100;

/// Bytes that are read back at once.
const CHUNK: usize = 1 << 20;

/// Attempted by [`probe`] too.
const CREATE: &str = "create a file in its folder";

/// The folder that holds `path`.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Checks that a file can be made beside `path`, by making one.
///
/// # Errors
/// [`OutputError::Io`].
pub(super) fn probe(system: &dyn FileSystem, path: &Path) -> Result<(), OutputError> {
    match retry(|| system.create_unnamed(folder(path))) {
        Err(error) if lacks_unnamed_files(&error) => {
            Hidden::make(system, path, |name| system.create(name)).map(drop)
        }
        made => made.map(drop).map_err(OutputError::io(path, CREATE)),
    }
}

/// Writes `bytes` to a new file, syncs it, reads it back, and puts it in the place of `path`, whose
/// permissions it keeps.
///
/// # Errors
/// [`OutputError`]; nothing is left behind. Only where its folder cannot be synced `path` is already new.
pub(super) fn replace(
    system: &dyn FileSystem,
    path: &Path,
    bytes: &[u8],
) -> Result<(), OutputError> {
    if !replace_unnamed(system, path, bytes)? {
        replace_hidden(system, path, bytes)?;
    }
    let action = "sync its folder (the new file is whole, but a power cut now may undo it)";
    retry(|| system.sync_folder(folder(path))).map_err(OutputError::io(path, action))
}

/// Whether an operation failed because this system has no unnamed files: not every file system does
/// (`EOPNOTSUPP`, or `EISDIR` and `ENOENT` where the kernel does not know them), and they cannot be named
/// without `/proc`.
fn lacks_unnamed_files(error: &io::Error) -> bool {
    use ErrorKind::{IsADirectory, NotFound, PermissionDenied, Unsupported};
    matches!(
        error.kind(),
        Unsupported | IsADirectory | NotFound | PermissionDenied
    )
}

/// Through a file that has no name until it is whole; false where there is no such thing.
fn replace_unnamed(
    system: &dyn FileSystem,
    path: &Path,
    bytes: &[u8],
) -> Result<bool, OutputError> {
    let file = match retry(|| system.create_unnamed(folder(path))) {
        Err(error) if lacks_unnamed_files(&error) => return Ok(false),
        made => made.map_err(OutputError::io(path, CREATE))?,
    };
    fill(system, &file, path, bytes)?;
    match retry(|| system.link(&file, path)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let (hidden, ()) = Hidden::make(system, path, |name| system.link(&file, name))?;
            hidden.take_the_place_of(path).map(|()| true)
        }
        Err(error) if lacks_unnamed_files(&error) => Ok(false),
        Err(error) => Err(OutputError::io(path, "name the new file")(error)),
    }
}

/// Through a file of a hidden name.
fn replace_hidden(system: &dyn FileSystem, path: &Path, bytes: &[u8]) -> Result<(), OutputError> {
    let (hidden, file) = Hidden::make(system, path, |name| system.create(name))?;
    fill(system, &file, path, bytes)?;
    hidden.take_the_place_of(path)
}

/// A file of a hidden name, removed when dropped unless it has taken another's place.
struct Hidden<'a> {
    system: &'a dyn FileSystem,
    name: PathBuf,
    is_renamed: bool,
}

impl<'a> Hidden<'a> {
    /// Lets `make` make a file beside `path`, of a name that is not in use.
    fn make<T>(
        system: &'a dyn FileSystem,
        path: &Path,
        make: impl Fn(&Path) -> io::Result<T>,
    ) -> Result<(Self, T), OutputError> {
        let mut attempt = 0;
        loop {
            // Short and of its own, so that it fits where `path` does.
            let name = format!(".mergevit-{}-{attempt}", process::id());
            let name = folder(path).join(name);
            match retry(|| make(&name)) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < ATTEMPTS => {
                    attempt += 1;
                }
                Err(error) => return Err(OutputError::io(path, CREATE)(error)),
                Ok(made) => {
                    let hidden = Self {
                        system,
                        name,
                        is_renamed: false,
                    };
                    return Ok((hidden, made));
                }
            }
        }
    }

    fn take_the_place_of(mut self, path: &Path) -> Result<(), OutputError> {
        retry(|| self.system.rename(&self.name, path))
            .map_err(OutputError::io(path, "replace it"))?;
        self.is_renamed = true;
        Ok(())
    }
}

impl Drop for Hidden<'_> {
    fn drop(&mut self) {
        if self.is_renamed {
            return;
        }
        if let Err(error) = retry(|| self.system.remove(&self.name)) {
            log::warn!("{}: cannot remove: {error}", self.name.display());
        }
    }
}

/// Writes all of a new file and makes sure of it.
fn fill(
    system: &dyn FileSystem,
    file: &File,
    path: &Path,
    bytes: &[u8],
) -> Result<(), OutputError> {
    if let Ok(old) = fs::metadata(path) {
        let mode = old.permissions().mode() & 0o777;
        retry(|| system.set_mode(file, mode))
            .map_err(OutputError::io(path, "keep its permissions"))?;
    }
    let mut rest = bytes;
    while !rest.is_empty() {
        match retry(|| system.write(file, rest)) {
            Ok(0) => return Err(OutputError::io(path, "write")(ErrorKind::WriteZero.into())),
            Ok(count) => rest = &rest[count..],
            Err(error) => return Err(OutputError::io(path, "write")(error)),
        }
    }
    retry(|| system.sync(file)).map_err(OutputError::io(path, "sync"))?;
    read_back(system, file, path, bytes)
}

/// Compares what a reader will see with what was meant to be written.
fn read_back(
    system: &dyn FileSystem,
    file: &File,
    path: &Path,
    bytes: &[u8],
) -> Result<(), OutputError> {
    let mut buffer = vec![0; CHUNK.min(bytes.len())];
    let mut offset = 0;
    while offset < bytes.len() {
        let count = retry(|| system.read(file, &mut buffer, offset as u64))
            .map_err(OutputError::io(path, "read back"))?;
        let (found, expected) = (&buffer[..count], &bytes[offset..]);
        let equal = found.iter().zip(expected).take_while(|(a, b)| a == b);
        if count == 0 || found != &expected[..count.min(expected.len())] {
            return Err(OutputError::ReadBack {
                path: path.into(),
                offset: offset + equal.count(),
            });
        }
        offset += count;
    }
    Ok(())
}

/// Repeats an operation that a signal interrupts.
fn retry<T>(mut operation: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match operation() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}
