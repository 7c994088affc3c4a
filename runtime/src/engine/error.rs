//! Why an engine cannot be made, and why it cannot run.

use crate::limits::MAX_THREADS;
use crate::pack::{PackError, UnknownSchedule};
use mergevit_kernels::cuda::DeviceError;
use mergevit_kernels::cuda::driver::OpenError;
use mergevit_kernels::frame::MAX_SIDE;
use mergevit_kernels::memory::OutOfMemory;
use mergevit_kernels::ops::MAX_BATCH;
use thiserror::Error;

/// Why there is no engine.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file is not a valid pack.
    #[error(transparent)]
    Pack(#[from] PackError),
    /// No such backend in this program.
    #[error("backend {name:?}: unknown, expected auto, cpu or one of {}", known.join(", "))]
    UnknownBackend {
        /// The name given.
        name: String,
        /// The names there are.
        known: Vec<&'static str>,
    },
    /// A backend that this machine cannot run.
    #[error("backend {name}: this machine cannot run it, it needs {needs}")]
    Refused {
        /// Its name.
        name: &'static str,
        /// What it needs.
        needs: &'static str,
    },
    /// A CUDA device that cannot be used.
    #[error("backend cuda: {0}")]
    Cuda(#[from] OpenError),
    /// A device that refuses the model, for lack of memory above all.
    #[error("backend cuda: {0}")]
    Device(#[from] DeviceError),
    /// The operating system refused a thread: a limit on processes, tasks or memory. An engine never makes do with
    /// fewer threads than were asked for; [`threads`](super::EngineOptions::threads) asks for fewer.
    #[error("cannot start thread {number} of {threads}: {source}")]
    Thread {
        /// Which of them, the caller's being the first.
        number: usize,
        /// Threads asked for, the caller's included.
        threads: usize,
        /// Its reason.
        source: std::io::Error,
    },
    /// The operating system refused memory for the model, its batches or its frames.
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
    /// No schedule of that name in the pack, and no cascade.
    #[error(transparent)]
    UnknownSchedule(#[from] UnknownSchedule),
    /// No threads, or too many.
    #[error("threads: {found}, expected 1 to {MAX_THREADS}")]
    Threads {
        /// Threads asked for.
        found: usize,
    },
    /// No images a batch, or too many.
    #[error("largest batch: {found}, expected 1 to {MAX_BATCH}")]
    MaxBatch {
        /// Images asked for.
        found: usize,
    },
    /// An impossible frame size.
    #[error("largest frame: {}x{}, expected sides of 1 to {MAX_SIDE}", found.0, found.1)]
    MaxFrame {
        /// (width, height) asked for.
        found: (usize, usize),
    },
}

/// Why nothing was run.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RunError {
    /// No images, or more than were reserved for.
    #[error("batch of {found} images, expected 1 to {max}")]
    Batch {
        /// Images given.
        found: usize,
        /// The engine's largest batch.
        max: usize,
    },
    /// A frame larger than was reserved for.
    #[error("frame {index}: {}x{}, expected at most {}x{}", found.0, found.1, max.0, max.1)]
    Frame {
        /// Which of the batch.
        index: usize,
        /// Its (width, height).
        found: (usize, usize),
        /// The engine's largest frame, (width, height).
        max: (usize, usize),
    },
    /// Pixels that are not a whole number of images.
    #[error("pixels: {found} bytes, expected a multiple of {image} for one or more images")]
    Pixels {
        /// Bytes given.
        found: usize,
        /// Bytes of one image at model resolution.
        image: usize,
    },
    /// [`Engine::run`](super::Engine::run) without pixels.
    #[error("no pixels: preprocess frames first, after each run and each change of schedule")]
    NoPixels,
    /// The device failed.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// No schedule of that name in the pack, and no cascade.
    #[error(transparent)]
    UnknownSchedule(#[from] UnknownSchedule),
}
