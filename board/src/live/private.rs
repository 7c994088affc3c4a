//! A place for the socket of a run that was not given one.

use crate::failure::Failure;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// A folder that the owner alone may enter. It is removed when this is dropped.
#[derive(Debug)]
pub(crate) struct PrivateFolder {
    path: PathBuf,
}

impl PrivateFolder {
    /// Makes it: in what systemd gives a service, or where temporary files are.
    ///
    /// # Errors
    /// No folder can be made there.
    pub(crate) fn make() -> Result<Self, Failure> {
        let parent = std::env::var_os("RUNTIME_DIRECTORY");
        // A list where a unit names several.
        let parent = parent.as_ref().and_then(|list| {
            let first = std::env::split_paths(list).next()?;
            (!first.as_os_str().is_empty()).then_some(first)
        });
        Self::below(&parent.unwrap_or_else(std::env::temp_dir))
    }

    fn below(parent: &Path) -> Result<Self, Failure> {
        let id = std::process::id();
        // A name that another process left is left alone.
        for attempt in 0..100 {
            let path = parent.join(format!("mergevit-{id}-{attempt}"));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failure(&path, &error)),
            }
        }
        Err(failure(parent, &io::ErrorKind::AlreadyExists.into()))
    }

    /// The name of a socket in it.
    pub(crate) fn socket(&self) -> PathBuf {
        self.path.join("socket")
    }
}

fn failure(path: &Path, error: &io::Error) -> Failure {
    Failure::work(&format_args!(
        "{}: cannot make a folder for a socket: {error}",
        path.display()
    ))
    .hint("--socket PATH puts it elsewhere")
}

impl Drop for PrivateFolder {
    fn drop(&mut self) {
        // The socket is gone by now; whatever else is there is not ours.
        let _ = fs::remove_dir(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn it_is_private_new_and_goes() {
        let parent = tempfile::tempdir().expect("a folder");
        let folders = [0; 2].map(|_| PrivateFolder::below(parent.path()).expect("it is made"));
        assert_ne!(folders[0].path, folders[1].path);
        for folder in folders {
            let mode = fs::metadata(&folder.path)
                .expect("it is there")
                .permissions();
            assert_eq!(mode.mode() & 0o777, 0o700);
            let path = folder.path.clone();
            drop(folder);
            assert!(!path.exists());
        }
        let error = PrivateFolder::below(&parent.path().join("nowhere"));
        assert!(error.is_err());
    }
}
