//! The operations that replacing a file takes.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// A new file's permissions, which the process's umask narrows.
const MODE: u32 = 0o666;

/// Every operation through which a file is replaced, so that a test can let each of them fail.
pub(super) trait FileSystem {
    /// A new file in `folder` without a name: the system frees it when the process ends, however it ends.
    fn create_unnamed(&self, folder: &Path) -> io::Result<File>;

    /// A new file of a name that does not exist.
    fn create(&self, path: &Path) -> io::Result<File>;

    /// Sets the permission bits.
    fn set_mode(&self, file: &File, mode: u32) -> io::Result<()>;

    /// Appends some of `bytes`; how many.
    fn write(&self, file: &File, bytes: &[u8]) -> io::Result<usize>;

    /// Returns once the file's bytes are on the disk.
    fn sync(&self, file: &File) -> io::Result<()>;

    /// Reads some bytes from `offset` on; how many.
    fn read(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Gives an unnamed file a name that does not exist.
    fn link(&self, file: &File, path: &Path) -> io::Result<()>;

    /// Renames a file; if there is another one of the new name, it is gone.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Returns once the folder's names are on the disk.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// The operating system's.
pub(super) struct System;

impl FileSystem for System {
    #[cfg(target_os = "linux")]
    fn create_unnamed(&self, folder: &Path) -> io::Result<File> {
        use rustix::fs::{Mode, OFlags, open};
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        Ok(open(folder, flags, Mode::from_raw_mode(MODE))?.into())
    }

    #[cfg(not(target_os = "linux"))]
    fn create_unnamed(&self, _: &Path) -> io::Result<File> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(MODE);
        options.open(path)
    }

    fn set_mode(&self, file: &File, mode: u32) -> io::Result<()> {
        file.set_permissions(Permissions::from_mode(mode))
    }

    fn write(&self, mut file: &File, bytes: &[u8]) -> io::Result<usize> {
        file.write(bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_all()
    }

    fn read(&self, file: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        file.read_at(buffer, offset)
    }

    fn link(&self, file: &File, path: &Path) -> io::Result<()> {
        use rustix::fs::{AtFlags, CWD, linkat};
        use std::os::fd::AsRawFd;
        // Without privileges, the way to an unnamed file is its place in /proc (open(2), O_TMPFILE).
        let open = format!("/proc/self/fd/{}", file.as_raw_fd());
        Ok(linkat(CWD, open, CWD, path, AtFlags::SYMLINK_FOLLOW)?)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        match File::open(folder).and_then(|folder| folder.sync_all()) {
            // A folder that may be written but not listed cannot be opened, and some file systems cannot
            // sync one (EINVAL): they are left to their own time.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::PermissionDenied
                        | io::ErrorKind::InvalidInput
                        | io::ErrorKind::Unsupported
                ) =>
            {
                Ok(())
            }
            other => other,
        }
    }
}
