//! Writing files atomically.

use super::error::CommandError;
use std::io::{self, Write};
use std::path::Path;
use tempfile::NamedTempFile;

/// The folder that holds `path`.
pub(super) fn folder(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Writes a temporary file beside `path`, syncs it and renames it.
///
/// # Errors
/// [`CommandError::Io`]; `path` is then unchanged.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    let fail = |action| move |source| CommandError::io(path, action, source);
    let mut file = temporary(folder(path)).map_err(fail("create a temporary file beside"))?;
    file.write_all(bytes).map_err(fail("write"))?;
    file.as_file().sync_all().map_err(fail("sync"))?;
    file.persist(path)
        .map_err(|error| fail("rename to")(error.error))?;
    Ok(())
}

/// A temporary file with the permissions of any new file, as the process's umask allows.
#[cfg(unix)]
pub(super) fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .prefix(".mergevit-")
        .permissions(std::fs::Permissions::from_mode(0o666))
        .tempfile_in(folder)
}

/// A temporary file.
#[cfg(not(unix))]
pub(super) fn temporary(folder: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new()
        .prefix(".mergevit-")
        .tempfile_in(folder)
}
