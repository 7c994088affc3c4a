//! Plans on the processor: one operation after the other, over slices of one arena.

mod execute;
mod weights;

use super::executor::{
    DeviceTimes, Executor, Follower, Job, Observer, Timer, VALID, image_chunks, plan,
};
use super::options::EngineOptions;
use super::output::Results;
use super::view::ArenaView;
use crate::aligned::AlignedBytes;
use crate::pack::Pack;
use crate::plan::Op;
use execute::Execution;
use mergevit_kernels::cuda::DeviceError;
use mergevit_kernels::frame::{Frame, Preprocessor};
use mergevit_kernels::memory::{OutOfMemory, zeroed};
use mergevit_kernels::ops::Kernels;
use weights::{RowSums, Weights};

/// The arena, and the kernels that work in it.
pub(super) struct Host {
    sums: RowSums,
    kernels: Box<dyn Kernels>,
    preprocessor: Preprocessor,
    /// (B, S, S, 3) u8: outside the arena, where the network would overwrite them before a cascade runs them again.
    pixels: Box<[u8]>,
    arena: AlignedBytes,
}

impl Host {
    pub(super) fn new(
        pack: &Pack,
        kernels: Box<dyn Kernels>,
        options: &EngineOptions,
    ) -> Result<Self, OutOfMemory> {
        let config = pack.config();
        let geometry = config.geometry().expect(VALID);
        let arena_len = pack
            .schedules()
            .iter()
            .flat_map(|schedule| (1..=options.max_batch).map(move |batch| (schedule, batch)))
            .map(|(schedule, batch)| plan(config, schedule, batch).arena_len())
            .max()
            .unwrap_or(0);
        let (width, height) = options.max_frame;
        Ok(Self {
            sums: RowSums::new(pack)?,
            kernels,
            preprocessor: Preprocessor::new(geometry, width, height),
            pixels: zeroed(options.max_batch * config.image_bytes(), "pixels")?,
            arena: AlignedBytes::try_zeroed(arena_len, "the arena")?,
        })
    }

    /// Runs the network, with a call after every operation.
    fn execute(&mut self, job: &Job<'_>, after: &mut Observer<'_>) {
        let weights = Weights {
            pack: job.pack,
            sums: &self.sums,
        };
        for op in job.plan.ops() {
            let mut execution = Execution {
                weights,
                kernels: &mut *self.kernels,
                pixels: &self.pixels[..job.plan.pixels().len],
                arena: &mut self.arena,
            };
            execution.run(&op);
            after(&op, &ArenaView { bytes: &self.arena });
        }
    }
}

impl Executor for Host {
    fn name(&self) -> &'static str {
        self.kernels.name()
    }

    fn threads(&self) -> usize {
        self.kernels.threads()
    }

    fn device(&self) -> Option<&str> {
        None
    }

    fn arena_bytes(&self) -> usize {
        self.arena.len()
    }

    fn set_pixels(&mut self, _: &Job<'_>, pixels: &[u8]) -> Result<(), DeviceError> {
        self.pixels[..pixels.len()].copy_from_slice(pixels);
        Ok(())
    }

    fn preprocess(&mut self, job: &Job<'_>, frames: &[Frame<'_>]) -> Result<(), DeviceError> {
        for (frame, image) in frames.iter().zip(image_chunks(job.pack, &mut self.pixels)) {
            self.preprocessor.preprocess(frame, image).expect(VALID);
        }
        Ok(())
    }

    fn take_again(&mut self, job: &Job<'_>, images: &[usize]) -> Result<(), DeviceError> {
        let len = job.pack.config().image_bytes();
        for (place, &image) in images.iter().enumerate() {
            self.pixels
                .copy_within(image * len..(image + 1) * len, place * len);
        }
        Ok(())
    }

    fn run(&mut self, job: &Job<'_>) -> Result<(), DeviceError> {
        self.execute(job, &mut |_, _| {});
        Ok(())
    }

    fn results(&mut self, job: &Job<'_>) -> Result<Results<'_>, DeviceError> {
        let view = ArenaView { bytes: &self.arena };
        Ok(Results {
            batch: job.plan.batch(),
            outputs: view.f32(job.plan.output()),
            sizes: view.u32(job.plan.sizes()),
            best: &[],
        })
    }

    fn observe(
        &mut self,
        job: &Job<'_>,
        observer: &mut Observer<'_>,
    ) -> Result<Results<'_>, DeviceError> {
        // An observer sees them where the plan has them.
        let pixels = job.plan.pixels();
        self.arena[pixels.range()].copy_from_slice(&self.pixels[..pixels.len]);
        self.execute(job, observer);
        self.results(job)
    }

    fn reserve_view(&mut self) -> Result<(), OutOfMemory> {
        Ok(())
    }

    fn follow(&mut self, job: &Job<'_>, follower: &mut dyn Follower) -> Result<(), DeviceError> {
        self.execute(job, &mut |op, view| {
            if let Op::Merge(op) = op {
                follower.merged(op, view);
            }
        });
        Ok(())
    }

    fn time(
        &mut self,
        _: &Job<'_>,
        _: u32,
        _: &mut Timer<'_>,
    ) -> Result<Option<DeviceTimes>, DeviceError> {
        Ok(None)
    }
}
