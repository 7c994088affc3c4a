//! A pack in the making, run on held-out images.

use super::super::console::Console;
use super::super::error::CommandError;
use super::super::evaluate::engine;
use super::super::progress::Progress;
use super::sets::HeldOut;
use crate::checkpoint::Checkpoint;
use crate::evaluate::Outputs;
use crate::evaluate::outputs::{full_precision, quantized};
use mergevit_runtime::{Engine, Pack, PackWriter, Schedule};

/// All that judging schedules takes.
pub(super) struct Judged<'a> {
    pub(super) checkpoint: &'a Checkpoint,
    /// The weights, whatever its schedules are.
    pub(super) writer: &'a PackWriter<'a>,
    pub(super) choose: &'a HeldOut,
    pub(super) validate: &'a HeldOut,
    /// How many classes the set has images of from which both come.
    pub(super) present_classes: usize,
    pub(super) console: Console,
}

/// INT8's answers under one schedule.
#[derive(Clone, Debug, Default)]
pub(super) struct Answered {
    pub(super) choose: Outputs,
    pub(super) validate: Outputs,
}

impl Judged<'_> {
    /// The pack with these schedules and nothing else.
    pub(super) fn pack(&self, schedules: Vec<Schedule>) -> Result<Pack, CommandError> {
        let writer = self.writer.clone().with_schedules(schedules);
        Ok(Pack::from_memory(writer.to_bytes()?)?)
    }

    /// An engine for the pack with these schedules.
    pub(super) fn engine(&self, schedules: Vec<Schedule>) -> Result<Engine, CommandError> {
        Ok(engine(self.pack(schedules)?, "auto")?)
    }

    /// INT8's answers to all held-out images, schedule by schedule.
    pub(super) fn answers(&self, schedules: &[Schedule]) -> Result<Vec<Answered>, CommandError> {
        let images = self.choose.len() + self.validate.len();
        let progress = Progress::new(self.console, "answering", images, schedules.len());
        let mut engine = self.engine(schedules.to_vec())?;
        let mut all = Vec::new();
        for Schedule { name, .. } in schedules {
            let mut of = |set: &HeldOut| match set.len() {
                0 => Ok(Outputs::default()),
                _ => quantized(&mut engine, name, &set.pixels, &|| progress.step()),
            };
            all.push(Answered {
                choose: of(self.choose)?,
                validate: of(self.validate)?,
            });
        }
        Ok(all)
    }

    /// Full precision's answers to the images that validate, schedule by schedule.
    pub(super) fn full_precision(
        &self,
        schedules: &[&Schedule],
    ) -> Result<Vec<Outputs>, CommandError> {
        // It knows the classes' vectors, if there are any.
        let depth = self.checkpoint.model.depth;
        let pack = self.pack(vec![Schedule::constant(0, depth)])?;
        let set = self.validate;
        let passes = schedules.len();
        let progress = Progress::new(self.console, "merging in FP32", set.len(), passes);
        let answers = schedules.iter().map(|schedule| {
            let done = || progress.step();
            full_precision(self.checkpoint, &pack, schedule, &set.pixels, &done)
        });
        Ok(answers.collect())
    }
}
