//! What runs a plan: the processor, or a device.

use super::output::{Results, Run};
use super::planned::PlannedLaunch;
use super::view::ArenaView;
use crate::config::{ModelConfig, Schedule};
use crate::pack::Pack;
use crate::plan::{MergeOp, Op, Plan};
use mergevit_kernels::cuda::DeviceError;
use mergevit_kernels::frame::Frame;
use mergevit_kernels::memory::OutOfMemory;
use mergevit_kernels::ops::MAX_BATCH;

/// A plan with what it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Job<'a> {
    pub(super) pack: &'a Pack,
    pub(super) plan: &'a Plan,
    /// Index of the plan's schedule.
    pub(super) schedule: usize,
}

impl<'a> Job<'a> {
    /// What it leaves.
    pub(super) fn run(&self) -> Run<'a> {
        let tokens = self.plan.sizes().len / size_of::<u32>() / self.plan.batch();
        Run {
            schedule: &self.pack.schedules()[self.schedule],
            tokens,
        }
    }
}

/// Called after operations, with a look at the arena.
pub(super) type Observer<'a> = dyn FnMut(&Op, &ArenaView<'_>) + 'a;

/// Follows the runs of a batch through their merges.
pub(crate) trait Follower {
    /// A run begins, of these images of the batch.
    fn begin(&mut self, images: &[usize]);

    /// Tokens merged; the arena has what that was decided by.
    fn merged(&mut self, op: &MergeOp, arena: &ArenaView<'_>);
}

/// Runs a job, whose images are these of a batch.
pub(super) fn run(
    executor: &mut dyn Executor,
    job: &Job<'_>,
    images: &[usize],
    follower: Option<&mut (dyn Follower + '_)>,
) -> Result<(), DeviceError> {
    match follower {
        None => executor.run(job),
        Some(follower) => {
            follower.begin(images);
            executor.follow(job, follower)
        }
    }
}

/// The images of a whole batch.
pub(super) fn all(batch: usize) -> &'static [usize] {
    const ALL: [usize; MAX_BATCH] = {
        let mut all = [0; MAX_BATCH];
        let mut image = 0;
        while image < MAX_BATCH {
            all[image] = image;
            image += 1;
        }
        all
    };
    &ALL[..batch]
}

/// Called with launches, and how long each takes.
pub(super) type Timer<'a> = dyn FnMut(&PlannedLaunch, LaunchTimes) + 'a;

/// How long a launch takes, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LaunchTimes {
    /// Repeated back to back: with its weights in the caches that hold them.
    pub alone_us: f64,
    /// In its place in the network: what it adds to the launches before it, with cold weights and the gap before it. None of
    /// one that comes before the network.
    pub in_place_us: Option<f64>,
}

/// How long a plan takes on a device, in microseconds, without the processor's part.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DeviceTimes {
    /// All launches of the network, one after the other.
    pub network_us: f64,
    /// A launch of as many that do nothing.
    pub launch_us: f64,
}

/// Runs plans of one pack, of as many images as it was made for. Does not allocate unless it says so.
pub(super) trait Executor: Send {
    /// Name of the backend.
    fn name(&self) -> &'static str;

    /// Threads, the caller's included.
    fn threads(&self) -> usize;

    /// Name of the device, unless it is the processor.
    fn device(&self) -> Option<&str>;

    /// Bytes of the arena.
    fn arena_bytes(&self) -> usize;

    /// Takes (B, S, S, 3) u8 as what the next run classifies.
    fn set_pixels(&mut self, job: &Job<'_>, pixels: &[u8]) -> Result<(), DeviceError>;

    /// Turns frames, one an image, into what the next run classifies.
    fn preprocess(&mut self, job: &Job<'_>, frames: &[Frame<'_>]) -> Result<(), DeviceError>;

    /// Makes these images of what was set last, in ascending order, what the next run classifies; `job` has as many.
    /// They are in place once, after a run of the whole batch.
    fn take_again(&mut self, job: &Job<'_>, images: &[usize]) -> Result<(), DeviceError>;

    /// Runs the network on what was set.
    fn run(&mut self, job: &Job<'_>) -> Result<(), DeviceError>;

    /// What the last run has given, once it is done. `job` is what it ran.
    fn results(&mut self, job: &Job<'_>) -> Result<Results<'_>, DeviceError>;

    /// Runs the network on pixels that were set, operation by operation. May allocate the first time.
    fn observe(
        &mut self,
        job: &Job<'_>,
        observer: &mut Observer<'_>,
    ) -> Result<Results<'_>, DeviceError>;

    /// Reserves what [`Self::follow`] needs.
    fn reserve_view(&mut self) -> Result<(), OutOfMemory>;

    /// As [`Self::run`], with a look after each merge at what it read. Does not allocate once that is reserved.
    fn follow(&mut self, job: &Job<'_>, follower: &mut dyn Follower) -> Result<(), DeviceError>;

    /// Times every launch `repeats` times, and the whole network. Returns nothing where there are no launches: operations
    /// on the processor are timed by observing them.
    fn time(
        &mut self,
        job: &Job<'_>,
        repeats: u32,
        timer: &mut Timer<'_>,
    ) -> Result<Option<DeviceTimes>, DeviceError>;
}

/// The reader has checked configuration and schedules, and the engine checks batches before it plans.
pub(super) const VALID: &str = "a valid pack plans for every batch in range and preprocesses";

pub(super) fn plan(config: &ModelConfig, schedule: &Schedule, batch: usize) -> Plan {
    Plan::new(config, schedule, batch).expect(VALID)
}

/// The images of a batch.
pub(super) fn image_chunks<'a>(
    pack: &Pack,
    pixels: &'a mut [u8],
) -> impl Iterator<Item = &'a mut [u8]> {
    pixels.chunks_exact_mut(pack.config().image_bytes())
}
