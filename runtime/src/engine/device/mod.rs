//! Plans on a device: recorded once for each schedule and batch size, then replayed.
//!
//! Weights are copied to the device once. Frames and pixels go in through memory that both sides see, and are
//! read there by a device that shares the processor's memory; to another they are copied on. A graph starts
//! from patches, made of either. Its last launches write the results where the host sees them.

mod frames;
mod inbox;
mod lower;
mod memory;
mod tilings;
mod tune;
mod weights;

use super::executor::{Executor, Job, Observer, Timer};
use super::output::{ArenaView, Output};
use super::{EngineOptions, VALID, image_chunks, plan};
use crate::aligned::AlignedBytes;
use crate::pack::Pack;
use crate::plan::{Op, OpKind, Plan, Span};
use frames::Frames;
pub use lower::launches;
use lower::{Lowering, makes_patches};
use memory::{BEST, Memory};
use mergevit_kernels::cuda::preprocess::Destination;
use mergevit_kernels::cuda::{Best, Device, DeviceError, Graph, Launch};
use mergevit_kernels::frame::{Frame, Preprocessor};
use mergevit_kernels::ops::Patchify;
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
    /// Room for the launches of any plan.
    launches: Vec<Launch>,
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
            launches: Vec::new(),
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
                    let graph = self.device.record(&self.launches)?;
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
    fn lower(&mut self, job: &Job<'_>, lower: impl FnOnce(&Lowering<'_>, &mut Vec<Launch>)) {
        let addresses = &self.memory.addresses;
        let lowering = Lowering {
            pack: job.pack,
            plan: job.plan,
            weights: &self.weights,
            addresses,
            tilings: &self.tilings,
        };
        self.launches.clear();
        lower(&lowering, &mut self.launches);
    }

    fn lower_network(&mut self, job: &Job<'_>) {
        self.lower(job, |lowering, launches| lowering.network(launches));
    }

    fn lower_group(&mut self, job: &Job<'_>, group: &[Op]) {
        self.lower(job, |lowering, launches| lowering.group(group, launches));
    }

    fn launch_all(&mut self) -> Result<(), DeviceError> {
        let mut launches = self.launches.iter();
        launches.try_for_each(|launch| self.device.launch(launch))
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
        let group = job.plan.groups().find(|group| makes_patches(group));
        self.lower_group(job, group.expect(PATCHES));
        self.launch_all()
    }

    fn output(&mut self, plan: &Plan) -> Result<Output<'_>, DeviceError> {
        self.device.synchronize()?;
        let results = self.device.shared_bytes(self.memory.results)?;
        let [sizes, best] = self.memory.offsets;
        let best_len = plan.batch() * BEST * size_of::<Best>();
        Ok(Output {
            batch: plan.batch(),
            logits: bytemuck::cast_slice(&results[..plan.logits().len]),
            sizes: bytemuck::cast_slice(&results[sizes..][..plan.sizes().len]),
            best: bytemuck::cast_slice(&results[best..][..best_len]),
        })
    }

    /// Reads the arena back, and puts the pixels, which lie in memory that the host sees, where the plan has
    /// them.
    fn read_arena(&mut self, plan: &Plan, group: &[Op]) -> Result<(), DeviceError> {
        let arena = self.memory.addresses.arena;
        self.device
            .read(arena, &mut self.observed[..plan.arena_len()])?;
        for op in group {
            if let OpKind::Patchify { pixels, .. } = op.kind {
                let bytes = self.memory.pixels.bytes(&mut *self.device)?;
                self.observed[pixels.range()].copy_from_slice(&bytes[..pixels.len]);
            }
        }
        Ok(())
    }
}

/// The recorded graphs start behind it.
const PATCHES: &str = "every plan makes patches";

/// Where a plan's patches lie, and their shape.
fn patches(plan: &Plan) -> (Span, Patchify) {
    let patches = |op: &Op| match op.kind {
        OpKind::Patchify { shape, patches, .. } => Some((patches, shape)),
        _ => None,
    };
    plan.ops().iter().find_map(patches).expect(PATCHES)
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
        let (patches, shape) = patches(job.plan);
        if frames.iter().all(|frame| self.frames.takes(frame)) {
            let patches = self.memory.addresses.arena.offset(patches.offset);
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

    fn run(&mut self, job: &Job<'_>) -> Result<Output<'_>, DeviceError> {
        match self.graphs[job.schedule * self.max_batch + job.plan.batch() - 1] {
            Some(graph) => self.device.replay(graph)?,
            None => {
                self.lower_network(job);
                self.launch_all()?;
            }
        }
        self.output(job.plan)
    }

    fn observe(
        &mut self,
        job: &Job<'_>,
        observer: &mut Observer<'_>,
    ) -> Result<Output<'_>, DeviceError> {
        if self.observed.is_empty() {
            self.observed = AlignedBytes::zeroed(self.memory.arena_len);
        }
        for group in job.plan.groups() {
            self.lower_group(job, group);
            self.launch_all()?;
            self.device.synchronize()?;
            self.read_arena(job.plan, group)?;
            let view = ArenaView {
                bytes: &self.observed,
            };
            group.iter().for_each(|op| observer(op, &view));
        }
        self.output(job.plan)
    }

    fn time(
        &mut self,
        job: &Job<'_>,
        repeats: u32,
        timer: &mut Timer<'_>,
    ) -> Result<bool, DeviceError> {
        for group in job.plan.groups() {
            // A launch that adds to the residual stream does so every time: start from values of a real run.
            self.run(job)?;
            self.lower_group(job, group);
            let last = self.launches.len() - 1;
            for (index, launch) in self.launches.iter().enumerate() {
                // A group's launches and its operations go in step; operations that are left go with the
                // last launch, launches that are left with no operation.
                let first = index.min(group.len());
                let ops = match index == last {
                    true => &group[first..],
                    false => &group[first..(first + 1).min(group.len())],
                };
                let time = self.device.time(std::slice::from_ref(launch), repeats)?;
                timer(ops, launch, time);
            }
        }
        Ok(true)
    }
}
