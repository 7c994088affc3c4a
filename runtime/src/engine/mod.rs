//! The engine: a pack, a plan, and what runs it.

mod backend;
mod cascade;
mod device;
mod error;
mod executor;
mod host;
mod make;
mod options;
mod output;
mod planned;
mod prediction;
mod scores;
mod view;

pub use backend::{Backend, BackendStatus, backends};
pub use device::launches;
pub use error::{LoadError, RunError};
pub use options::EngineOptions;
pub use output::{Output, margin};
pub use planned::PlannedLaunch;
pub use prediction::{Prediction, Top};
pub use view::ArenaView;

use crate::config::{Cascade, Schedule};
use crate::pack::{Choice, Pack};
use crate::plan::Plan;
use cascade::SecondRun;
use device::Accelerator;
pub(crate) use executor::Follower;
pub use executor::{DeviceTimes, LaunchTimes};
use executor::{Executor, Job, Observer, Timer, plan};
use make::Made;
use mergevit_kernels::cuda::Device;
use mergevit_kernels::frame::Frame;
use mergevit_kernels::memory::OutOfMemory;
use output::Runs;
use scores::Scores;
use std::path::Path;

/// A model ready to classify images, or to embed them. Once it is made nothing allocates, except to make an error, and the first
/// [`observe`](crate::inspect::observe) on a device.
///
/// Threads do not survive a `fork`: a child must neither run nor drop an engine of its parent's, for it would wait for
/// threads that are not there. `exec` is fine.
pub struct Engine {
    pack: Pack,
    executor: Box<dyn Executor>,
    scores: Scores,
    /// Why it is not a CUDA device, if the choice was left to the engine.
    refusal: Option<LoadError>,
    /// Of what runs, or of a cascade runs first.
    plan: Box<Plan>,
    choice: Choice,
    /// Where the pack has a cascade.
    second: Option<SecondRun>,
    /// Whether there are pixels that the plan has not consumed.
    has_pixels: bool,
    max_batch: usize,
    max_frame: (usize, usize),
}

impl Engine {
    /// Maps a pack and makes an engine for it: on the best backend that works, starting with the pack's first
    /// schedule, for single frames of any size. [`options`](Self::options) change any of that.
    ///
    /// # Errors
    /// [`LoadError`]: the pack is damaged, or a device refuses it.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        Self::options().load(path)
    }

    /// The options of an engine to be made.
    pub fn options() -> EngineOptions {
        EngineOptions::default()
    }

    /// Reserves everything that any schedule and any batch up to the largest will need.
    fn new(pack: Pack, options: &EngineOptions) -> Result<Self, LoadError> {
        options.check()?;
        let choice = options.choice(&pack)?;
        let Made { executor, refusal } = make::make(&pack, options)?;
        // Making it read the weights once more: for their sums, or for a device.
        pack.check_named()?;
        let engine = Self::with_executor(pack, executor, choice, options)?;
        Ok(Self { refusal, ..engine })
    }

    /// See [`inspect::on_device`](crate::inspect::on_device).
    pub(crate) fn on_device(
        pack: Pack,
        device: Box<dyn Device>,
        options: &EngineOptions,
    ) -> Result<Self, LoadError> {
        options.check()?;
        let choice = options.choice(&pack)?;
        let executor = Box::new(Accelerator::new(&pack, device, backend::CUDA, options)?);
        pack.check_named()?;
        Ok(Self::with_executor(pack, executor, choice, options)?)
    }

    fn with_executor(
        pack: Pack,
        executor: Box<dyn Executor>,
        choice: Choice,
        options: &EngineOptions,
    ) -> Result<Self, OutOfMemory> {
        let schedule = &pack.schedules()[choice.schedule];
        Ok(Self {
            scores: Scores::new(pack.config(), options.max_batch)?,
            plan: Box::new(plan(pack.config(), schedule, 1)),
            executor,
            refusal: None,
            choice,
            second: SecondRun::new(&pack, options.max_batch)?,
            has_pixels: false,
            max_batch: options.max_batch,
            max_frame: options.max_frame,
            pack,
        })
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

    /// Why [`Backend::Auto`] took the processor and not a CUDA device. `None` on a device, and where the backend was
    /// named.
    pub fn refusal(&self) -> Option<&LoadError> {
        self.refusal.as_ref()
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

    /// The schedule that runs; of a cascade, the first.
    pub fn schedule(&self) -> &Schedule {
        &self.pack.schedules()[self.choice.schedule]
    }

    /// The cascade that runs, if one does.
    pub fn cascade(&self) -> Option<&Cascade> {
        self.choice
            .cascade
            .map(|index| &self.pack.cascades()[index])
    }

    /// The plan of the current schedule and of the last batch's size, at first 1.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Changes to a schedule or to a cascade, between frames. Pixels that were preprocessed and not run are dropped.
    ///
    /// # Errors
    /// [`RunError::UnknownSchedule`]; what runs stays what it was.
    pub fn set_schedule(&mut self, name: &str) -> Result<(), RunError> {
        let choice = self.pack.choice(name)?;
        self.replan(choice, self.plan.batch());
        Ok(())
    }

    /// Plans again if anything differs. What the arena holds is then meaningless.
    fn replan(&mut self, choice: Choice, batch: usize) {
        self.has_pixels = false;
        if (self.choice.schedule, self.plan.batch()) != (choice.schedule, batch) {
            let schedule = &self.pack.schedules()[choice.schedule];
            *self.plan = plan(self.pack.config(), schedule, batch);
        }
        self.choice = choice;
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

    /// The executor, what it is to run, and what makes scores of what it gives.
    fn job(&mut self) -> (&mut dyn Executor, Job<'_>, &mut Scores) {
        let job = Job {
            pack: &self.pack,
            plan: &self.plan,
            schedule: self.choice.schedule,
        };
        (&mut *self.executor, job, &mut self.scores)
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

    /// See [`inspect::observe`](crate::inspect::observe).
    pub(crate) fn observe(
        &mut self,
        pixels: &[u8],
        observer: &mut Observer<'_>,
    ) -> Result<Output<'_>, RunError> {
        self.set_pixels(pixels)?;
        self.has_pixels = false;
        let (executor, job, scores) = self.job();
        let results = executor.observe(&job, observer)?;
        Ok(Output::new(
            results,
            Runs::once(job.run()),
            scores,
            job.pack,
        ))
    }

    /// See [`inspect::time_launches`](crate::inspect::time_launches).
    pub(crate) fn time_launches(
        &mut self,
        repeats: u32,
        timer: &mut Timer<'_>,
    ) -> Result<Option<DeviceTimes>, RunError> {
        self.has_pixels = false;
        let (executor, job, _) = self.job();
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
        self.replan(self.choice, frames.len());
        let (executor, job, _) = self.job();
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
        self.replan(self.choice, batch);
        let (executor, job, _) = self.job();
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
        self.run_followed(None)
    }

    /// See [`inspect::TokenMapper`](crate::inspect::TokenMapper).
    pub(crate) fn reserve_view(&mut self) -> Result<(), OutOfMemory> {
        self.executor.reserve_view()
    }

    /// As [`classify_pixels`](Self::classify_pixels), followed through its merges.
    pub(crate) fn follow(
        &mut self,
        pixels: &[u8],
        follower: &mut dyn Follower,
    ) -> Result<Output<'_>, RunError> {
        self.set_pixels(pixels)?;
        self.run_followed(Some(follower))
    }

    fn run_followed(
        &mut self,
        mut follower: Option<&mut (dyn Follower + '_)>,
    ) -> Result<Output<'_>, RunError> {
        if !std::mem::take(&mut self.has_pixels) {
            return Err(RunError::NoPixels);
        }
        let Self {
            pack,
            executor,
            plan,
            choice,
            scores,
            second,
            ..
        } = self;
        let job = Job {
            pack,
            plan,
            schedule: choice.schedule,
        };
        let images = executor::all(job.plan.batch());
        executor::run(&mut **executor, &job, images, follower.as_deref_mut())?;
        let cascade = choice.cascade.map(|index| &pack.cascades()[index]);
        match (cascade, second) {
            (Some(cascade), Some(second)) => {
                Ok(second.finish(cascade, &mut **executor, &job, scores, follower)?)
            }
            _ => {
                let results = executor.results(&job)?;
                Ok(Output::new(results, Runs::once(job.run()), scores, pack))
            }
        }
    }
}

impl EngineOptions {
    /// Maps a pack and makes an engine for it.
    ///
    /// # Errors
    /// [`LoadError`]: the pack is damaged, or the options do not fit this program, machine or pack.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<Engine, LoadError> {
        self.build(Pack::open(path.as_ref())?)
    }

    /// Makes an engine for a pack.
    ///
    /// # Errors
    /// [`LoadError`]: the options do not fit this program, machine or pack.
    pub fn build(&self, pack: Pack) -> Result<Engine, LoadError> {
        Engine::new(pack, self)
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
