//! Why a command failed, and what its user can do about it.

use crate::checkpoint::CheckpointError;
use crate::dataset::DatasetError;
use crate::observe::ObserveError;
use crate::zero_shot::TextEmbeddingsError;
use mergevit_runtime::labels::LabelsError;
use mergevit_runtime::{LoadError, OutputError, PackError, RunError, WriteError};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a command failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CommandError {
    /// The arguments contradict each other, or what they name.
    #[error("{0}")]
    Usage(String),
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The images cannot be used.
    #[error(transparent)]
    Dataset(#[from] DatasetError),
    /// The file of labels cannot be used.
    #[error(transparent)]
    Labels(#[from] LabelsError),
    /// The text embeddings cannot be used.
    #[error("{}: {source}", path.display())]
    TextEmbeddings {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: TextEmbeddingsError,
    },
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
    /// A classifier is to be made for a pack that has one in its network.
    #[error("{}: the network scores {classes} classes of its own, expected one that gives embeddings", path.display())]
    HasClasses {
        /// The pack.
        path: PathBuf,
        /// Its classes.
        classes: usize,
    },
    /// A class is to be added to a pack whose classes are no directions.
    #[error("{}: the pack has {has}, expected one made with --kind prototypes", path.display())]
    NoPrototypes {
        /// The pack.
        path: PathBuf,
        /// What it has.
        has: &'static str,
    },
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
    /// The pack was made from another checkpoint of the same dimensions.
    #[error("{}: made from checkpoint {found}, but the checkpoint given is {expected}", path.display())]
    OtherCheckpoint {
        /// The pack.
        path: PathBuf,
        /// Hash of the checkpoint that the pack was made from.
        found: String,
        /// Hash of the checkpoint given.
        expected: String,
    },
    /// The operating system refused the threads: a limit on processes, tasks or memory.
    #[error("cannot start threads: {0}")]
    Threads(#[source] rayon::ThreadPoolBuildError),
    /// An output cannot be written.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The reader of standard output has read enough and went away: a quiet end.
    #[error("the reader of standard output is gone")]
    ReaderGone,
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
            Self::Checkpoint(error) => error.defect.hint(),
            Self::Dataset(error) => error.hint(),
            Self::Threads(_) | Self::Load(LoadError::Thread { .. }) => {
                Some("set RAYON_NUM_THREADS to fewer; `ulimit -u` shows a limit of the shell")
            }
            Self::Mismatch { .. } | Self::OtherCheckpoint { .. } => {
                Some("give the checkpoint that the pack was made from")
            }
            Self::HasClasses { .. } => Some(
                "make a pack of the checkpoint without its classifier: mergevit-calibrate pack --headless",
            ),
            Self::NoPrototypes { .. } => {
                Some("give images of all classes: --images folder:DIR, and --add for the new one")
            }
            Self::Usage(_) => Some("for more, try '--help'"),
            _ => None,
        }
    }

    /// The process's exit code: 0, 1 for failed work or 2 for wrong usage.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::ReaderGone => 0,
            Self::Usage(_)
            | Self::Load(LoadError::UnknownBackend { .. } | LoadError::UnknownSchedule(_))
            | Self::Run(RunError::UnknownSchedule(_)) => 2,
            _ => 1,
        }
    }
}
