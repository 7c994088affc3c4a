//! The engine: a pack, a plan, an arena and a backend. It walks the plan.

mod backend;
mod error;
mod execute;
mod output;
mod weights;

pub use backend::{Backend, BackendStatus, backends};
pub use error::{LoadError, RunError};
pub use output::{ArenaView, Output, Top};

use crate::aligned::AlignedBytes;
use crate::config::{ModelConfig, Schedule};
use crate::pack::Pack;
use crate::plan::{Op, Plan, capacity};
use mergevit_kernels::frame::{Frame, MAX_SIDE, Preprocessor};
use mergevit_kernels::ops::{Kernels, MAX_BATCH};
use std::path::Path;
use weights::{RowSums, Weights};

/// How to run a pack.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Which backend; the best by default.
    pub backend: Backend,
    /// Threads, the caller's included; as many as there are cores by default.
    pub threads: Option<usize>,
    /// Most images a batch, 1 to [`MAX_BATCH`]; 1 by default.
    pub max_batch: usize,
    /// Largest frame, (width, height) in pixels; the largest that a [`Frame`] can be by default.
    pub max_frame: (usize, usize),
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            backend: Backend::Auto,
            threads: None,
            max_batch: 1,
            max_frame: (MAX_SIDE, MAX_SIDE),
        }
    }
}

/// A model ready to classify. After [`Engine::new`] nothing allocates, except to make an error.
pub struct Engine {
    pack: Pack,
    sums: RowSums,
    kernels: Box<dyn Kernels>,
    preprocessor: Preprocessor,
    arena: AlignedBytes,
    plan: Box<Plan>,
    /// Index of the plan's schedule.
    schedule: usize,
    /// Whether the arena holds pixels that the plan has not consumed.
    has_pixels: bool,
    max_batch: usize,
    max_frame: (usize, usize),
}

/// The reader has checked configuration and schedules, and the engine checks batches before it plans.
const VALID: &str = "a valid pack plans for every batch in range and preprocesses";

fn plan(config: &ModelConfig, schedule: &Schedule, batch: usize) -> Plan {
    Plan::new(config, schedule, batch).expect(VALID)
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
        let (max_batch, max_frame) = (options.max_batch, options.max_frame);
        if !(1..=MAX_BATCH).contains(&max_batch) {
            return Err(LoadError::MaxBatch { found: max_batch });
        }
        let sides = 1..=MAX_SIDE;
        if !(sides.contains(&max_frame.0) && sides.contains(&max_frame.1)) {
            return Err(LoadError::MaxFrame { found: max_frame });
        }
        let config = pack.config();
        let threads = backend::threads(options.threads)?;
        let kernels = backend::make(&options.backend, threads, &capacity(config, max_batch))?;
        let geometry = config.geometry().expect(VALID);
        let arena_len = pack
            .schedules()
            .iter()
            .flat_map(|schedule| (1..=max_batch).map(move |batch| (schedule, batch)))
            .map(|(schedule, batch)| plan(config, schedule, batch).arena_len())
            .max()
            .unwrap_or(0);
        let first = plan(config, &pack.schedules()[0], 1);
        Ok(Self {
            sums: RowSums::new(&pack),
            kernels,
            preprocessor: Preprocessor::new(geometry, max_frame.0, max_frame.1),
            arena: AlignedBytes::zeroed(arena_len),
            plan: Box::new(first),
            schedule: 0,
            has_pixels: false,
            max_batch,
            max_frame,
            pack,
        })
    }

    /// The pack.
    pub fn pack(&self) -> &Pack {
        &self.pack
    }

    /// Name of the backend that runs: `cpu/avx512-vnni`, say.
    pub fn backend(&self) -> &'static str {
        self.kernels.name()
    }

    /// Threads it runs on, the caller's included.
    pub fn threads(&self) -> usize {
        self.kernels.threads()
    }

    /// Bytes of the arena: activations of the largest plan.
    pub fn arena_bytes(&self) -> usize {
        self.arena.len()
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

    /// Plans again if anything differs. The arena's content is then meaningless.
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

    /// Classifies frames of any resolution and format.
    ///
    /// # Errors
    /// [`RunError`] for too many frames, or one that is larger than was reserved for.
    pub fn classify(&mut self, frames: &[Frame<'_>]) -> Result<Output<'_>, RunError> {
        self.preprocess(frames)?;
        self.run()
    }

    /// Classifies images at model resolution, (B, S, S, 3) u8 RGB.
    ///
    /// # Errors
    /// [`RunError`] for too many images, or bytes that are not whole images.
    pub fn classify_pixels(&mut self, pixels: &[u8]) -> Result<Output<'_>, RunError> {
        self.set_pixels(pixels)?;
        self.run()
    }

    /// [`classify_pixels`](Self::classify_pixels), with a look at the arena after every operation.
    ///
    /// # Errors
    /// As [`classify_pixels`](Self::classify_pixels).
    pub fn observe(
        &mut self,
        pixels: &[u8],
        observer: &mut dyn FnMut(&Op, &ArenaView<'_>),
    ) -> Result<Output<'_>, RunError> {
        self.set_pixels(pixels)?;
        self.walk(observer)
    }

    /// The first half of [`classify`](Self::classify): frames to pixels at model resolution, in the arena.
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
        let pixels = &mut self.arena[self.plan.pixels().range()];
        let images = pixels.chunks_exact_mut(self.pack.config().image_bytes());
        for (frame, image) in frames.iter().zip(images) {
            self.preprocessor
                .preprocess(frame, image)
                .expect("the preprocessor crops to the model's image size");
        }
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
        self.arena[self.plan.pixels().range()].copy_from_slice(pixels);
        self.has_pixels = true;
        Ok(())
    }

    /// The second half of [`classify`](Self::classify): the network on the pixels in the arena, which it
    /// consumes.
    ///
    /// # Errors
    /// [`RunError::NoPixels`] if nothing was preprocessed since the last run or change of schedule.
    pub fn run(&mut self) -> Result<Output<'_>, RunError> {
        self.walk(&mut |_, _| {})
    }

    fn walk(
        &mut self,
        observer: &mut dyn FnMut(&Op, &ArenaView<'_>),
    ) -> Result<Output<'_>, RunError> {
        if !std::mem::take(&mut self.has_pixels) {
            return Err(RunError::NoPixels);
        }
        let weights = Weights {
            pack: &self.pack,
            sums: &self.sums,
        };
        for op in self.plan.ops() {
            execute::execute(op, weights, &mut *self.kernels, &mut self.arena);
            observer(op, &ArenaView { bytes: &self.arena });
        }
        let view = ArenaView { bytes: &self.arena };
        Ok(Output {
            batch: self.plan.batch(),
            logits: view.f32(self.plan.logits()),
            sizes: view.u32(self.plan.sizes()),
        })
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("architecture", &self.pack.config().architecture)
            .field("schedule", &self.schedule().name)
            .field("backend", &self.backend())
            .field("threads", &self.threads())
            .field("max_batch", &self.max_batch)
            .field("arena_bytes", &self.arena_bytes())
            .finish_non_exhaustive()
    }
}
