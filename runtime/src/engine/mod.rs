//! The engine: a pack, a plan, and what runs it.

mod backend;
mod device;
mod error;
mod execute;
mod executor;
mod host;
mod output;
mod weights;

pub use backend::{Backend, BackendStatus, backends};
pub use device::launches;
pub use error::{LoadError, RunError};
pub use output::{ArenaView, Output, Top};

use crate::config::{ModelConfig, Schedule};
use crate::pack::Pack;
use crate::plan::{Op, Plan};
use device::Accelerator;
use executor::{Executor, Job};
use mergevit_kernels::cuda::{Device, Launch};
use mergevit_kernels::frame::{Frame, MAX_SIDE};
use mergevit_kernels::ops::MAX_BATCH;
use std::path::Path;
use std::time::Duration;

/// How to run a pack.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Which backend; the best by default.
    pub backend: Backend,
    /// Threads, the caller's included; as many as there are cores by default.
    pub threads: Option<usize>,
    /// Most images a batch, 1 to [`MAX_BATCH`]; 1 by default. On a CUDA device batches of up to 8 and the
    /// largest are recorded as graphs, for every schedule; those between are launched one by one.
    pub max_batch: usize,
    /// Largest frame, (width, height) in pixels; the largest that a [`Frame`] can be by default. A CUDA device
    /// has room for 4K video at most; the processor resizes larger frames for it.
    pub max_frame: (usize, usize),
    /// Whether to measure on a CUDA device, for some seconds at load, which tilings of linear layers are fastest
    /// there, instead of asking a model of it; not by default. The results' bits do not depend on it.
    pub tune: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            threads: None,
            max_batch: 1,
            max_frame: (MAX_SIDE, MAX_SIDE),
            tune: false,
        }
    }
}

impl EngineOptions {
    fn check(&self) -> Result<(), LoadError> {
        let (max_batch, max_frame) = (self.max_batch, self.max_frame);
        if !(1..=MAX_BATCH).contains(&max_batch) {
            return Err(LoadError::MaxBatch { found: max_batch });
        }
        let sides = 1..=MAX_SIDE;
        if !(sides.contains(&max_frame.0) && sides.contains(&max_frame.1)) {
            return Err(LoadError::MaxFrame { found: max_frame });
        }
        Ok(())
    }
}

/// A model ready to classify. After [`Engine::new`] nothing allocates, except to make an error, and the first
/// [`observe`](Engine::observe) on a device.
pub struct Engine {
    pack: Pack,
    executor: Box<dyn Executor>,
    plan: Box<Plan>,
    /// Index of the plan's schedule.
    schedule: usize,
    /// Whether there are pixels that the plan has not consumed.
    has_pixels: bool,
    max_batch: usize,
    max_frame: (usize, usize),
}

/// The reader has checked configuration and schedules, and the engine checks batches before it plans.
const VALID: &str = "a valid pack plans for every batch in range and preprocesses";

fn plan(config: &ModelConfig, schedule: &Schedule, batch: usize) -> Plan {
    Plan::new(config, schedule, batch).expect(VALID)
}

/// The images of a batch.
fn image_chunks<'a>(pack: &Pack, pixels: &'a mut [u8]) -> impl Iterator<Item = &'a mut [u8]> {
    pixels.chunks_exact_mut(pack.config().image_bytes())
}

impl Engine {
    /// Maps a pack and makes an engine for it.
    ///
    /// # Errors
    /// [`LoadError`]: the pack is damaged, or the options do not fit this program or machine.
    pub fn load(path: &Path, options: &EngineOptions) -> Result<Self, LoadError> {
        Self::new(Pack::open(path)?, options)
    }

    /// An engine that starts with the pack's first schedule. Reserves everything that any schedule and any
    /// batch up to the largest will need.
    ///
    /// # Errors
    /// [`LoadError`]: the options do not fit this program or machine.
    pub fn new(pack: Pack, options: &EngineOptions) -> Result<Self, LoadError> {
        options.check()?;
        let executor = backend::make(&pack, options)?;
        Ok(Self::with_executor(pack, executor, options))
    }

    /// An engine on a device of the caller's: one among several, or one that tests emulate. The options'
    /// backend and threads do not count.
    ///
    /// # Errors
    /// [`LoadError`]: the options are impossible, or the device refuses.
    pub fn on_device(
        pack: Pack,
        device: Box<dyn Device>,
        options: &EngineOptions,
    ) -> Result<Self, LoadError> {
        options.check()?;
        let executor = Accelerator::new(&pack, device, backend::CUDA, options)?;
        Ok(Self::with_executor(pack, Box::new(executor), options))
    }

    fn with_executor(pack: Pack, executor: Box<dyn Executor>, options: &EngineOptions) -> Self {
        Self {
            plan: Box::new(plan(pack.config(), &pack.schedules()[0], 1)),
            executor,
            schedule: 0,
            has_pixels: false,
            max_batch: options.max_batch,
            max_frame: options.max_frame,
            pack,
        }
    }

    /// The pack.
    pub fn pack(&self) -> &Pack {
        &self.pack
    }

    /// Name of the backend that runs: `cuda` or `cpu/avx512-vnni`, say.
    pub fn backend(&self) -> &'static str {
        self.executor.name()
    }

    /// Name of the device that it runs on, unless that is the processor: `NVIDIA Orin`, say.
    pub fn device(&self) -> Option<&str> {
        self.executor.device()
    }

    /// Threads it runs on, the caller's included.
    pub fn threads(&self) -> usize {
        self.executor.threads()
    }

    /// Bytes of the arena: activations of the largest plan.
    pub fn arena_bytes(&self) -> usize {
        self.executor.arena_bytes()
    }

    /// Most images a batch.
    pub fn max_batch(&self) -> usize {
        self.max_batch
    }

    /// The schedule that runs.
    pub fn schedule(&self) -> &Schedule {
        &self.pack.schedules()[self.schedule]
    }

    /// The plan of the current schedule and of the last batch's size, at first 1.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Changes the schedule, between frames. Pixels that were preprocessed and not run are dropped.
    ///
    /// # Errors
    /// [`RunError::UnknownSchedule`]; the schedule stays what it was.
    pub fn set_schedule(&mut self, name: &str) -> Result<(), RunError> {
        let schedules = self.pack.schedules();
        let Some(index) = schedules.iter().position(|s| s.name == name) else {
            let known: Vec<_> = schedules.iter().map(|s| s.name.as_str()).collect();
            return Err(RunError::UnknownSchedule {
                name: name.into(),
                known: known.join(", "),
            });
        };
        self.replan(index, self.plan.batch());
        Ok(())
    }

    /// Plans again if anything differs. What the arena holds is then meaningless.
    fn replan(&mut self, schedule: usize, batch: usize) {
        self.has_pixels = false;
        if (self.schedule, self.plan.batch()) != (schedule, batch) {
            *self.plan = plan(self.pack.config(), &self.pack.schedules()[schedule], batch);
            self.schedule = schedule;
        }
    }

    fn check_batch(&self, found: usize) -> Result<(), RunError> {
        if (1..=self.max_batch).contains(&found) {
            Ok(())
        } else {
            Err(RunError::Batch {
                found,
                max: self.max_batch,
            })
        }
    }

    /// The executor, and what it is to run.
    fn job(&mut self) -> (&mut dyn Executor, Job<'_>) {
        let job = Job {
            pack: &self.pack,
            plan: &self.plan,
            schedule: self.schedule,
        };
        (&mut *self.executor, job)
    }

    /// Classifies frames of any resolution and format.
    ///
    /// # Errors
    /// [`RunError`] for too many frames, or one that is larger than was reserved for, or a device that fails.
    pub fn classify(&mut self, frames: &[Frame<'_>]) -> Result<Output<'_>, RunError> {
        self.preprocess(frames)?;
        self.run()
    }

    /// Classifies images at model resolution, (B, S, S, 3) u8 RGB.
    ///
    /// # Errors
    /// [`RunError`] for too many images, or bytes that are not whole images, or a device that fails.
    pub fn classify_pixels(&mut self, pixels: &[u8]) -> Result<Output<'_>, RunError> {
        self.set_pixels(pixels)?;
        self.run()
    }

    /// [`classify_pixels`](Self::classify_pixels), with a look at the arena after every operation; on a device
    /// that computes some of them as one, after the last of those.
    ///
    /// # Errors
    /// As [`classify_pixels`](Self::classify_pixels).
    pub fn observe(
        &mut self,
        pixels: &[u8],
        observer: &mut dyn FnMut(&Op, &ArenaView<'_>),
    ) -> Result<Output<'_>, RunError> {
        self.set_pixels(pixels)?;
        self.has_pixels = false;
        let (executor, job) = self.job();
        Ok(executor.observe(&job, observer)?)
    }

    /// Times every launch of the current plan on a device, each `repeats` times in a row on what a run of the
    /// whole plan has left in the arena. `timer` gets the operations that a launch computes, in the plan's order; merging is two
    /// launches, of which the first counts as the merge and the second as the layer norm. Returns whether
    /// there were launches at all: operations on the processor are timed by [observing](Self::observe) them.
    /// Pixels that were preprocessed and not run are dropped.
    ///
    /// # Errors
    /// [`RunError::Device`]
    pub fn time_launches(
        &mut self,
        repeats: u32,
        timer: &mut dyn FnMut(&[Op], &Launch, Duration),
    ) -> Result<bool, RunError> {
        self.has_pixels = false;
        let (executor, job) = self.job();
        Ok(executor.time(&job, repeats, timer)?)
    }

    /// The first half of [`classify`](Self::classify): frames to pixels at model resolution, or beyond.
    ///
    /// # Errors
    /// As [`classify`](Self::classify).
    pub fn preprocess(&mut self, frames: &[Frame<'_>]) -> Result<(), RunError> {
        self.check_batch(frames.len())?;
        let max = self.max_frame;
        let too_large = |frame: &Frame<'_>| frame.width() > max.0 || frame.height() > max.1;
        if let Some(index) = frames.iter().position(too_large) {
            return Err(RunError::Frame {
                index,
                found: (frames[index].width(), frames[index].height()),
                max,
            });
        }
        self.replan(self.schedule, frames.len());
        let (executor, job) = self.job();
        executor.preprocess(&job, frames)?;
        self.has_pixels = true;
        Ok(())
    }

    fn set_pixels(&mut self, pixels: &[u8]) -> Result<(), RunError> {
        let image = self.pack.config().image_bytes();
        if pixels.is_empty() || !pixels.len().is_multiple_of(image) {
            return Err(RunError::Pixels {
                found: pixels.len(),
                image,
            });
        }
        let batch = pixels.len() / image;
        self.check_batch(batch)?;
        self.replan(self.schedule, batch);
        let (executor, job) = self.job();
        executor.set_pixels(&job, pixels)?;
        self.has_pixels = true;
        Ok(())
    }

    /// The second half of [`classify`](Self::classify): the network on what was preprocessed, which it
    /// consumes.
    ///
    /// # Errors
    /// [`RunError::NoPixels`] if nothing was preprocessed since the last run or change of schedule;
    /// [`RunError::Device`].
    pub fn run(&mut self) -> Result<Output<'_>, RunError> {
        if !std::mem::take(&mut self.has_pixels) {
            return Err(RunError::NoPixels);
        }
        let (executor, job) = self.job();
        Ok(executor.run(&job)?)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("architecture", &self.pack.config().architecture)
            .field("schedule", &self.schedule().name)
            .field("backend", &self.backend())
            .field("device", &self.device())
            .field("threads", &self.threads())
            .field("max_batch", &self.max_batch)
            .field("arena_bytes", &self.arena_bytes())
            .finish_non_exhaustive()
    }
}
