//! What can go wrong between a source file and its module.

use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The kernels could not be compiled, or what came out is not fit to ship.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder could not be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// `manifest.json` is not what this program writes.
    #[error("manifest.json: {0}")]
    Manifest(#[from] serde_json::Error),
    /// A source file cannot be compiled as it is.
    #[error("{file}: {what}")]
    Source {
        /// File name within `cuda`.
        file: String,
        /// What is wrong with it.
        what: String,
    },
    /// No NVRTC of the right version.
    #[error(
        "no NVRTC {version} found\n{tried}\
         hint: pip install nvidia-cuda-nvrtc-cu12=={version}.*, or name a library, toolkit or virtual environment \
         with --nvrtc PATH or MERGEVIT_NVRTC"
    )]
    NoNvrtc {
        /// The version needed.
        version: &'static str,
        /// One line for each library tried, with the reason why it was refused.
        tried: String,
    },
    /// The library lacks a function, or a call failed.
    #[error("NVRTC: {0}")]
    Nvrtc(String),
    /// The compiler refused a source file, or warned of something in it.
    #[error("{file} for {architecture}: {reason}\n{log}")]
    Compile {
        /// File name within `cuda`.
        file: String,
        /// `sm_87` or `compute_80`.
        architecture: &'static str,
        /// NVRTC's name for the error.
        reason: String,
        /// The compiler's messages.
        log: String,
    },
    /// The assembler's report has a line that is not understood.
    #[error("the report of ptxas: {0}")]
    Report(String),
    /// A kernel uses the machine in a way that no kernel here may.
    #[error("{kernel}: {what}")]
    Kernel {
        /// Name of the kernel.
        kernel: String,
        /// What it does.
        what: String,
    },
    /// `README.md` has no markers for the table.
    #[error("README.md: {0}")]
    Readme(&'static str),
    /// The modules together are larger than the repository wants to hold.
    #[error("the modules take {bytes} bytes together, at most {limit} are allowed")]
    TooLarge {
        /// Their size.
        bytes: u64,
        /// The largest size allowed.
        limit: u64,
    },
}

impl Error {
    /// An input or output error of a path, for `map_err`.
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }

    pub(crate) fn source(file: &str, what: impl Into<String>) -> Self {
        Self::Source {
            file: file.to_owned(),
            what: what.into(),
        }
    }

    pub(crate) fn kernel(kernel: &str, what: impl Into<String>) -> Self {
        Self::Kernel {
            kernel: kernel.to_owned(),
            what: what.into(),
        }
    }
}
