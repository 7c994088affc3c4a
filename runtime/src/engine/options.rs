//! How to run a pack.

use super::backend::Backend;
use super::error::LoadError;
use crate::pack::{Choice, Pack};
use mergevit_kernels::cuda::driver::OpenOptions;
use mergevit_kernels::frame::MAX_SIDE;
use mergevit_kernels::ops::MAX_BATCH;

/// How to run a pack: a builder that makes [`Engine`](crate::Engine)s.
///
/// ```
/// use mergevit_runtime::Engine;
///
/// let engine = Engine::options()
///     .backend("cpu")
///     .threads(1)
///     .schedule("r8")
///     .max_frame(1280, 720)
///     .load("../board/assets/garments.mvit")?;
/// assert_eq!(engine.schedule().name, "r8");
/// # Ok::<(), mergevit_runtime::LoadError>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "options do nothing until they load a pack"]
pub struct EngineOptions {
    pub(super) backend: Backend,
    pub(super) threads: Option<usize>,
    pub(super) max_batch: usize,
    pub(super) max_frame: (usize, usize),
    pub(super) schedule: Option<String>,
    pub(super) tune: bool,
    pub(super) open: OpenOptions,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            threads: None,
            max_batch: 1,
            max_frame: (MAX_SIDE, MAX_SIDE),
            schedule: None,
            tune: false,
            open: OpenOptions::default(),
        }
    }
}

impl EngineOptions {
    /// Which backend runs: one of [`backends`](crate::backends) or a short name; see [`Backend`]. The best that
    /// works by default.
    pub fn backend(mut self, backend: impl Into<Backend>) -> Self {
        self.backend = backend.into();
        self
    }

    /// Threads, the caller's included; by default one for each core that the process may use.
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Most images a batch, 1 to [`MAX_BATCH`]; 1 by default. On a CUDA device every schedule has a recorded graph
    /// for batches of up to 8 and for the largest; those between are launched kernel by kernel.
    pub fn max_batch(mut self, images: usize) -> Self {
        self.max_batch = images;
        self
    }

    /// Largest frame in pixels; by default the largest that a [`Frame`](crate::Frame) can be. It bounds what is
    /// reserved: say what the camera gives. A CUDA device has room for 4K video at most; the processor resizes
    /// larger frames for it.
    pub fn max_frame(mut self, width: usize, height: usize) -> Self {
        self.max_frame = (width, height);
        self
    }

    /// The merge schedule or the cascade to start with, by name; the pack's first schedule by default.
    pub fn schedule(mut self, name: impl Into<String>) -> Self {
        self.schedule = Some(name.into());
        self
    }

    /// Whether to measure on a CUDA device, for some seconds at load, which tilings of linear layers are fastest
    /// there, instead of asking a model of it; not by default. No bit of a result depends on it.
    pub fn tune(mut self, tune: bool) -> Self {
        self.tune = tune;
        self
    }

    /// How a CUDA device is opened: what a thread does while it waits for it, and how many of its multiprocessors are
    /// used. By default it spins, and all are.
    pub fn open(mut self, open: OpenOptions) -> Self {
        self.open = open;
        self
    }

    /// Checks what depends on neither pack nor machine.
    pub(super) fn check(&self) -> Result<(), LoadError> {
        if !(1..=MAX_BATCH).contains(&self.max_batch) {
            return Err(LoadError::MaxBatch {
                found: self.max_batch,
            });
        }
        let (width, height) = self.max_frame;
        let sides = 1..=MAX_SIDE;
        if !(sides.contains(&width) && sides.contains(&height)) {
            return Err(LoadError::MaxFrame {
                found: self.max_frame,
            });
        }
        Ok(())
    }

    /// What to start with.
    pub(super) fn choice(&self, pack: &Pack) -> Result<Choice, LoadError> {
        match &self.schedule {
            None => Ok(Choice::schedule(0)),
            Some(name) => Ok(pack.choice(name)?),
        }
    }
}
