//! Why an instruction set cannot be used.

use crate::memory::OutOfMemory;
use std::io;
use thiserror::Error;

/// Why a backend on the processor was not made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MakeError {
    /// The processor lacks the instructions.
    #[error("this machine lacks its instructions")]
    Unavailable,
    /// The operating system refused a thread: a limit on processes, tasks or memory.
    #[error("cannot start thread {number} of {threads}: {source}")]
    Thread {
        /// Which of them, the caller's being the first.
        number: usize,
        /// Threads asked for, the caller's included.
        threads: usize,
        /// Its reason.
        source: io::Error,
    },
    /// The operating system refused scratch space.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}
