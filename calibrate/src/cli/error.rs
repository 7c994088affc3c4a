//! Why a command failed.

use crate::checkpoint::CheckpointError;
use crate::dataset::DatasetError;
use crate::observe::ObserveError;
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
    /// The activations cannot be used.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// The pack cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The pack cannot be read.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// There is no engine for it.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The engine does not run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Pixels of another shape or type.
    #[error("{}: {found}, expected pixels U8 [N, {size}, {size}, 3] with N at least 1", path.display())]
    Pixels {
        /// The file.
        path: PathBuf,
        /// What is in it.
        found: String,
        /// Side of the model's input in pixels.
        size: usize,
    },
    /// A pack and a checkpoint that do not belong together.
    #[error("{}: the model is {found}, but the checkpoint is {expected}", path.display())]
    Mismatch {
        /// The pack.
        path: PathBuf,
        /// Its shape.
        found: String,
        /// The checkpoint's shape.
        expected: String,
    },
    /// The operating system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// Its reason.
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

    /// What to try, where there is something to try.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Checkpoint(_) => Some(
                "a checkpoint is a folder with model.safetensors and config.json, or the file beside its \
                 config.json",
            ),
            Self::Dataset(_) => Some("a data set is folder:DIR or idx:IMAGES[.gz],LABELS[.gz]"),
            Self::Mismatch { .. } => Some("give the checkpoint that the pack was made from"),
            _ => None,
        }
    }
}
