//! Why a command failed.

use crate::checkpoint::CheckpointError;
use crate::dataset::DatasetError;
use crate::observe::ObserveError;
use mergevit_runtime::labels::LabelsError;
use mergevit_runtime::{LoadError, PackError, RunError, WriteError};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a command failed: exit code 1.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The images cannot be used.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The file of labels cannot be used.
    #[error(transparent)]
    Labels(#[from] LabelsError),
    /// The activations cannot be used.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// The pack cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The pack cannot be read.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// No engine can run the pack.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The engine failed.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The pixels have the wrong shape or type.
    #[error("{}: {found}, expected pixels U8 [N, {size}, {size}, 3] with N at least 1", path.display())]
    Pixels {
        /// The file.
        path: PathBuf,
        /// What is in it.
        found: String,
        /// Side of the model's input in pixels.
        size: usize,
    },
    /// The pack was not made from the checkpoint.
    #[error("{}: the model is {found}, but the checkpoint is {expected}", path.display())]
    Mismatch {
        /// The pack.
        path: PathBuf,
        /// The pack's dimensions.
        found: String,
        /// The checkpoint's dimensions.
        expected: String,
    },
    /// The operating system refused the threads: a limit on processes, tasks or memory.
    #[error("cannot start threads: {0}")]
    Threads(#[source] rayon::ThreadPoolBuildError),
    /// The operating system reported an error.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The action that failed.
        action: &'static str,
        /// The system's error.
        source: io::Error,
    },
}

impl CommandError {
    pub(super) fn io(path: &Path, action: &'static str, source: io::Error) -> Self {
        Self::Io {
            path: path.into(),
            action,
            source,
        }
    }

    /// What the user can try, if anything.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Threads(_) | Self::Load(LoadError::Thread { .. }) => {
                Some("set RAYON_NUM_THREADS to fewer; `ulimit -u` shows a limit of the shell")
            }
            Self::Checkpoint(error) => error.defect.hint(),
            Self::Dataset(error) => error.hint(),
            Self::Mismatch { .. } => Some("give the checkpoint that the pack was made from"),
            _ => None,
        }
    }
}
