//! A cascade at work: which images of a batch run again, and one answer of two runs.

use super::executor::{Executor, Follower, Job, plan, run};
use super::output::{BEST, Output, Results, Runs};
use super::scores::Scores;
use crate::config::Cascade;
use crate::pack::Pack;
use crate::plan::Plan;
use mergevit_kernels::cuda::{Best, DeviceError};
use mergevit_kernels::memory::{OutOfMemory, zeroed};
use mergevit_kernels::ops::MAX_BATCH;

/// What a cascade needs besides what its schedules need.
pub(super) struct SecondRun {
    planned: Planned,
    /// Images of the batch that run again, ascending.
    images: heapless::Vec<usize, MAX_BATCH>,
    kept: Kept,
}

/// The plan that ran second last.
struct Planned {
    /// Index of its schedule.
    schedule: usize,
    plan: Box<Plan>,
}

/// The answers of the first run while the second writes over them, then the answers of both.
struct Kept {
    /// (B, outputs)
    outputs: Box<[f32]>,
    /// (B, K)
    best: Box<[Best]>,
    /// (B, T) of the first run.
    first_sizes: Box<[u32]>,
    /// Of one image after the other, each as many as its schedule leaves.
    sizes: Box<[u32]>,
}

impl SecondRun {
    /// Room for every cascade of a pack and every batch; `None` where it has no cascade.
    pub(super) fn new(pack: &Pack, max_batch: usize) -> Result<Option<Self>, OutOfMemory> {
        let Some(cascade) = pack.cascades().first() else {
            return Ok(None);
        };
        Ok(Some(Self {
            planned: Planned::new(pack, cascade),
            images: heapless::Vec::new(),
            kept: Kept::new(pack, max_batch)?,
        }))
    }

    /// After the run of `first`: runs those images again that it is unsure of. Returns one answer of both.
    pub(super) fn finish<'e>(
        &'e mut self,
        cascade: &Cascade,
        executor: &'e mut dyn Executor,
        first: &Job<'e>,
        scores: &'e mut Scores,
        follower: Option<&mut (dyn Follower + '_)>,
    ) -> Result<Output<'e>, DeviceError> {
        let (pack, batch) = (first.pack, first.plan.batch());
        let results = executor.results(first)?;
        let output = Output::new(results, Runs::once(first.run()), scores, pack);
        self.images.clear();
        self.images.extend(output.unsure(cascade.threshold));
        if self.images.is_empty() {
            let results = executor.results(first)?;
            return Ok(Output::scored(
                results,
                Runs::once(first.run()),
                scores,
                pack,
            ));
        }
        let mixed = self.images.len() < batch;
        if mixed {
            self.kept.keep(&executor.results(first)?);
        }
        let second = self.planned.job(pack, cascade, self.images.len());
        executor.take_again(&second, &self.images)?;
        run(executor, &second, &self.images, follower)?;
        let mut results = executor.results(&second)?;
        if mixed {
            results = self.kept.merge(first, &self.images, &results);
        }
        let runs = Runs {
            first: first.run(),
            second: Some(second.run()),
            images: &self.images,
        };
        Ok(Output::new(results, runs, scores, pack))
    }
}

impl Planned {
    fn new(pack: &Pack, cascade: &Cascade) -> Self {
        let schedule = then(pack, cascade);
        Self {
            schedule,
            plan: Box::new(plan(pack.config(), &pack.schedules()[schedule], 1)),
        }
    }

    /// A cascade's second run, of `batch` images. Plans it unless it is what was planned last. Does not allocate.
    fn job<'a>(&'a mut self, pack: &'a Pack, cascade: &Cascade, batch: usize) -> Job<'a> {
        let schedule = then(pack, cascade);
        if (self.schedule, self.plan.batch()) != (schedule, batch) {
            *self.plan = plan(pack.config(), &pack.schedules()[schedule], batch);
            self.schedule = schedule;
        }
        Job {
            pack,
            plan: &self.plan,
            schedule,
        }
    }
}

/// Index of the schedule that a cascade runs second.
fn then(pack: &Pack, cascade: &Cascade) -> usize {
    pack.schedule_index(&cascade.then)
        .expect("a valid pack's cascades name its schedules")
}

impl Kept {
    fn new(pack: &Pack, max_batch: usize) -> Result<Self, OutOfMemory> {
        let config = pack.config();
        let what = "the answers of two runs";
        Ok(Self {
            outputs: zeroed(max_batch * config.classes, what)?,
            best: zeroed(max_batch * BEST, what)?,
            first_sizes: zeroed(max_batch * config.tokens(), what)?,
            sizes: zeroed(max_batch * config.tokens(), what)?,
        })
    }

    fn keep(&mut self, first: &Results<'_>) {
        self.outputs[..first.outputs.len()].copy_from_slice(first.outputs);
        self.best[..first.best.len()].copy_from_slice(first.best);
        self.first_sizes[..first.sizes.len()].copy_from_slice(first.sizes);
    }

    /// The answers of `second` for `images`, and for the others those that were kept.
    fn merge(&mut self, first: &Job<'_>, images: &[usize], second: &Results<'_>) -> Results<'_> {
        let (batch, tokens) = (first.plan.batch(), first.run().tokens);
        let mut rest = second.sizes;
        let mut end = 0;
        for image in 0..batch {
            let sizes = match images.contains(&image) {
                true => rest.split_off(..second.sizes.len() / second.batch),
                false => Some(&self.first_sizes[image * tokens..][..tokens]),
            };
            let sizes = sizes.expect("the second run has sizes for each of its images");
            self.sizes[end..][..sizes.len()].copy_from_slice(sizes);
            end += sizes.len();
        }
        Results {
            batch,
            outputs: scatter(second.outputs, images, &mut self.outputs, batch),
            sizes: &self.sizes[..end],
            best: scatter(second.best, images, &mut self.best, batch),
        }
    }
}

/// Puts the rows of `from`, one for each of `images`, to their images' rows of `to`, which has `batch`. Returns these.
fn scatter<'a, T: Copy>(from: &[T], images: &[usize], to: &'a mut [T], batch: usize) -> &'a [T] {
    let columns = from.len() / images.len();
    for (index, &image) in images.iter().enumerate() {
        to[image * columns..][..columns].copy_from_slice(&from[index * columns..][..columns]);
    }
    &to[..batch * columns]
}
