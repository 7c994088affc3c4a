//! Writing output to whatever a user names, without a surprise.
//!
//! A regular file is replaced as a whole: whatever happens, its name stands for the old bytes or the new ones,
//! and a process that is killed leaves no half of a file. What is not a regular file is never replaced:
//! devices and pipes are written through, a symbolic link stays and its target is replaced, a folder is
//! refused.
//!
//! ```
//! use mergevit_runtime::OutputFile;
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("report.json");
//! // Before the work: fails at once if nothing could be written there.
//! let output = OutputFile::new(&path)?;
//! // After it.
//! output.write(b"{}\n")?;
//! # assert_eq!(std::fs::read(&path)?, b"{}\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
#[cfg(test)]
mod faults;
mod filesystem;
mod replace;
mod target;

pub use error::OutputError;

use filesystem::System;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use target::Target;

/// A place to write to, checked before there is anything to write.
#[derive(Debug)]
pub struct OutputFile {
    name: PathBuf,
    target: Target,
}

impl OutputFile {
    /// Finds out what `path` is, and checks that it can be written: its folder takes new files, a file that
    /// is there is not read-only. A device or pipe is opened; a pipe without a reader waits for one.
    ///
    /// # Errors
    /// [`OutputError`]; nothing has changed.
    pub fn new(path: impl AsRef<Path>) -> Result<Self, OutputError> {
        let name = path.as_ref().to_path_buf();
        let target = target::resolve(&name)?;
        if let Target::File(path) = &target {
            replace::probe(&System, path)?;
        }
        Ok(Self { name, target })
    }

    /// The process's standard output.
    pub fn standard_output() -> Self {
        Self {
            name: "standard output".into(),
            target: Target::StandardOutput,
        }
    }

    /// The name given.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// The file that is made or replaced, symbolic links followed; none where bytes are written through.
    pub fn file(&self) -> Option<&Path> {
        match &self.target {
            Target::File(path) => Some(path),
            Target::StandardOutput | Target::Stream(_) => None,
        }
    }

    /// Whether this is the process's standard output, by whatever name: nothing else may be written there.
    pub fn is_standard_output(&self) -> bool {
        matches!(self.target, Target::StandardOutput)
    }

    /// Whether writing to one would undo writing to the other.
    pub fn is_same_as(&self, other: &Self) -> bool {
        match (&self.target, &other.target) {
            (Target::StandardOutput, Target::StandardOutput) => true,
            (Target::File(a), Target::File(b)) => a == b,
            _ => false,
        }
    }

    /// Whether writing would replace the file of this name.
    pub fn would_replace(&self, path: &Path) -> bool {
        let identity = |path: &Path| fs::metadata(path).map(|file| (file.dev(), file.ino()));
        let own = self.file().map(identity);
        matches!((own, identity(path)), (Some(Ok(own)), Ok(other)) if own == other)
    }

    /// Writes all of `bytes`. A file is synced and read back before it takes its name.
    ///
    /// # Errors
    /// [`OutputError`]; a file is then unchanged, while a stream may have taken some of the bytes.
    pub fn write(&self, bytes: &[u8]) -> Result<(), OutputError> {
        match &self.target {
            Target::File(path) => replace::replace(&System, path, bytes),
            Target::Stream(stream) => {
                let mut stream: &File = stream;
                let written = stream.write_all(bytes).and_then(|()| stream.flush());
                written.map_err(OutputError::io(&self.name, "write"))
            }
            Target::StandardOutput => {
                let mut out = io::stdout().lock();
                let written = out.write_all(bytes).and_then(|()| out.flush());
                written.map_err(OutputError::StandardOutput)
            }
        }
    }
}
