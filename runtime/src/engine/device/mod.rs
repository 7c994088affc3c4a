//! Plans on a device: recorded once for each schedule and batch size, then replayed.
//!
//! Weights are copied to the device once. Frames and pixels go in through memory that both sides see, and are
//! read there by a device that shares the processor's memory; to another they are copied on. A graph starts
//! from patches, made of either; they lie outside the arena, so that a cascade can run them again. Its last launches
//! write the results where the host sees them.

mod frames;
mod inbox;
mod lower;
mod memory;
mod tilings;
mod time;
mod tune;
mod weights;

use super::executor::{
    DeviceTimes, Executor, Follower, Job, Observer, Timer, VALID, image_chunks, plan,
};
use super::options::EngineOptions;
use super::output::{BEST, Results};
use super::planned::PlannedLaunch;
use super::view::ArenaView;
use crate::aligned::AlignedBytes;
use crate::pack::Pack;
use crate::plan::{EmbedOp, Op, PatchifyOp, Plan, Step};
use frames::Frames;
use lower::Lowering;
pub use lower::launches;
use memory::Memory;
use mergevit_kernels::cuda::preprocess::Destination;
use mergevit_kernels::cuda::{Best, Device, DeviceError, Graph, Launch};
use mergevit_kernels::frame::{Frame, Preprocessor};
use mergevit_kernels::memory::OutOfMemory;
use tilings::Tilings;
use weights::DeviceWeights;

/// Batches of up to this many images have a recorded graph for every schedule, and so has the largest. For
/// those between the kernels, which then run long, are launched one by one.
const RECORDED: usize = 8;

/// A device with a pack's weights, and graphs for its plans.
pub(super) struct Accelerator {
    device: Box<dyn Device>,
    name: &'static str,
    weights: DeviceWeights,
    tilings: Tilings,
    memory: Memory,
    frames: Frames,
    /// For frames that have no room on the device.
    preprocessor: Preprocessor,
    max_batch: usize,
    /// By schedule, then by batch.
    graphs: Box<[Option<Graph>]>,
    /// What was lowered last; has room for the launches of any plan.
    lowered: Vec<PlannedLaunch>,
    /// What an observer sees of the arena; empty until there is one.
    observed: AlignedBytes,
}

impl Accelerator {
    /// Copies the weights, reserves all memory, records all graphs.
    pub(super) fn new(
        pack: &Pack,
        mut device: Box<dyn Device>,
        name: &'static str,
        options: &EngineOptions,
    ) -> Result<Self, DeviceError> {
        let (max_batch, max_frame) = (options.max_batch, options.max_frame);
        let weights = DeviceWeights::upload(pack, &mut *device)?;
        let tilings = Tilings::new(device.target(), options.tune);
        let memory = Memory::new(pack, max_batch, &tilings, &mut *device)?;
        let geometry = pack.config().geometry().expect(VALID);
        let frames = Frames::new(geometry, max_frame, &mut *device)?;
        let mut accelerator = Self {
            device,
            name,
            weights,
            tilings,
            memory,
            frames,
            preprocessor: Preprocessor::new(geometry, max_frame.0, max_frame.1),
            max_batch,
            graphs: vec![None; pack.schedules().len() * max_batch].into(),
            lowered: Vec::new(),
            observed: AlignedBytes::zeroed(0),
        };
        if options.tune {
            accelerator.tune(pack)?;
        }
        accelerator.record(pack)?;
        accelerator.device.synchronize()?;
        Ok(accelerator)
    }

    fn record(&mut self, pack: &Pack) -> Result<(), DeviceError> {
        for (index, schedule) in pack.schedules().iter().enumerate() {
            for batch in 1..=self.max_batch {
                // Lowered even where nothing is recorded: to have room for the launches.
                let plan = plan(pack.config(), schedule, batch);
                self.lower_network(&Job {
                    pack,
                    plan: &plan,
                    schedule: index,
                });
                if self.is_recorded(batch) {
                    let graph = self.device.record(&self.launches())?;
                    self.graphs[index * self.max_batch + batch - 1] = Some(graph);
                }
            }
        }
        Ok(())
    }

    fn is_recorded(&self, batch: usize) -> bool {
        batch <= RECORDED || batch == self.max_batch
    }

    /// Runs `lower` on the job's plan and the emptied list of launches.
    fn lower(&mut self, job: &Job<'_>, lower: impl FnOnce(&Lowering<'_>, &mut Vec<PlannedLaunch>)) {
        let addresses = &self.memory.addresses;
        let lowering = Lowering {
            pack: job.pack,
            plan: job.plan,
            weights: &self.weights,
            addresses,
            tilings: &self.tilings,
        };
        self.lowered.clear();
        lower(&lowering, &mut self.lowered);
    }

    fn lower_network(&mut self, job: &Job<'_>) {
        self.lower(job, |lowering, launches| lowering.network(launches));
    }

    fn lower_step(&mut self, job: &Job<'_>, step: &Step) {
        self.lower(job, |lowering, launches| lowering.step(step, launches));
    }

    /// The launches of what was lowered last. Allocates: for loading only.
    fn launches(&self) -> Vec<Launch> {
        self.lowered.iter().map(|lowered| lowered.launch).collect()
    }

    fn launch_all(&mut self) -> Result<(), DeviceError> {
        let mut lowered = self.lowered.iter();
        lowered.try_for_each(|lowered| self.device.launch(&lowered.launch))
    }

    /// The pixels' bytes, on the host.
    fn pixels(&mut self, plan: &Plan) -> Result<&mut [u8], DeviceError> {
        let pixels = self.memory.pixels.bytes(&mut *self.device)?;
        Ok(&mut pixels[..plan.pixels().len])
    }

    /// Pixels to patches, from which the recorded graphs start.
    fn patchify(&mut self, job: &Job<'_>) -> Result<(), DeviceError> {
        let len = job.plan.pixels().len;
        self.memory.pixels.send(len, &mut *self.device)?;
        self.lower_step(job, &Step::Patchify(job.plan.patchify()));
        self.launch_all()
    }

    /// Reads the arena back, and puts the pixels and the patches, which do not lie there, where the plan has them.
    fn read_arena(&mut self, plan: &Plan, step: &Step) -> Result<(), DeviceError> {
        let addresses = self.memory.addresses;
        self.device
            .read(addresses.arena, &mut self.observed[..plan.arena_len()])?;
        if let Step::Patchify(PatchifyOp { pixels, .. }) = step {
            let bytes = self.memory.pixels.bytes(&mut *self.device)?;
            self.observed[pixels.range()].copy_from_slice(&bytes[..pixels.len]);
        }
        if let Step::Patchify(PatchifyOp { patches, .. })
        | Step::Embed(_, EmbedOp { patches, .. }) = step
        {
            let observed = &mut self.observed[patches.range()];
            self.device.read(addresses.patches, observed)?;
        }
        Ok(())
    }
}

impl Executor for Accelerator {
    fn name(&self) -> &'static str {
        self.name
    }

    fn threads(&self) -> usize {
        1
    }

    fn device(&self) -> Option<&str> {
        Some(self.device.name())
    }

    fn arena_bytes(&self) -> usize {
        self.memory.arena_len
    }

    fn set_pixels(&mut self, job: &Job<'_>, pixels: &[u8]) -> Result<(), DeviceError> {
        self.pixels(job.plan)?.copy_from_slice(pixels);
        self.patchify(job)
    }

    fn preprocess(&mut self, job: &Job<'_>, frames: &[Frame<'_>]) -> Result<(), DeviceError> {
        let shape = job.plan.patchify().shape;
        if frames.iter().all(|frame| self.frames.takes(frame)) {
            let patches = self.memory.addresses.patches;
            let image = shape.patches() * shape.row();
            for (index, frame) in frames.iter().enumerate() {
                let destination = Destination::Patches(patches.offset(index * image), shape);
                self.frames.start(frame, &destination, &mut *self.device)?;
            }
            return Ok(());
        }
        let pixels = self.memory.pixels.bytes(&mut *self.device)?;
        for (frame, image) in frames.iter().zip(image_chunks(job.pack, pixels)) {
            self.preprocessor.preprocess(frame, image).expect(VALID);
        }
        self.patchify(job)
    }

    fn take_again(&mut self, job: &Job<'_>, images: &[usize]) -> Result<(), DeviceError> {
        let shape = job.plan.patchify().shape;
        let (patches, len) = (self.memory.addresses.patches, shape.patches() * shape.row());
        let mut moved = (images.iter().enumerate()).filter(|(place, image)| place != *image);
        moved.try_for_each(|(place, image)| {
            let (from, to) = (patches.offset(image * len), patches.offset(place * len));
            self.device.copy(from, len, to)
        })
    }

    fn run(&mut self, job: &Job<'_>) -> Result<(), DeviceError> {
        match self.graphs[job.schedule * self.max_batch + job.plan.batch() - 1] {
            Some(graph) => self.device.replay(graph),
            None => {
                self.lower_network(job);
                self.launch_all()
            }
        }
    }

    fn results(&mut self, job: &Job<'_>) -> Result<Results<'_>, DeviceError> {
        self.device.synchronize()?;
        let results = self.device.shared_bytes(self.memory.results)?;
        let [sizes, best] = self.memory.offsets;
        let best_len = job.plan.batch() * BEST * size_of::<Best>();
        Ok(Results {
            batch: job.plan.batch(),
            outputs: bytemuck::cast_slice(&results[..job.plan.output().len]),
            sizes: bytemuck::cast_slice(&results[sizes..][..job.plan.sizes().len]),
            best: bytemuck::cast_slice(&results[best..][..best_len]),
        })
    }

    fn observe(
        &mut self,
        job: &Job<'_>,
        observer: &mut Observer<'_>,
    ) -> Result<Results<'_>, DeviceError> {
        if self.observed.is_empty() {
            self.observed = AlignedBytes::zeroed(self.memory.arena_len);
        }
        for step in job.plan.steps() {
            self.lower_step(job, step);
            self.launch_all()?;
            self.device.synchronize()?;
            self.read_arena(job.plan, step)?;
            let view = ArenaView {
                bytes: &self.observed,
            };
            step.ops().iter().for_each(|op| observer(op, &view));
        }
        self.results(job)
    }

    fn reserve_view(&mut self) -> Result<(), OutOfMemory> {
        if self.observed.is_empty() {
            self.observed = AlignedBytes::try_zeroed(self.memory.arena_len, "a view of the arena")?;
        }
        Ok(())
    }

    fn follow(&mut self, job: &Job<'_>, follower: &mut dyn Follower) -> Result<(), DeviceError> {
        // Patches are there already.
        for step in job.plan.steps() {
            if matches!(step, Step::Patchify(_)) {
                continue;
            }
            self.lower_step(job, step);
            self.launch_all()?;
            for op in step.ops() {
                let Op::Merge(op) = op else { continue };
                self.device.synchronize()?;
                for span in [op.qkv, op.sizes] {
                    let from = self.memory.addresses.arena.offset(span.range().start);
                    self.device.read(from, &mut self.observed[span.range()])?;
                }
                let view = ArenaView {
                    bytes: &self.observed,
                };
                follower.merged(&op, &view);
            }
        }
        Ok(())
    }

    fn time(
        &mut self,
        job: &Job<'_>,
        repeats: u32,
        timer: &mut Timer<'_>,
    ) -> Result<Option<DeviceTimes>, DeviceError> {
        self.time_launches(job, repeats, timer).map(Some)
    }
}
