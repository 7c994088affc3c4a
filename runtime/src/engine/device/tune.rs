//! Measures which tilings of the linear layers are fastest on the device at hand. All of them give the same bits.

use super::super::executor::{Job, plan};
use super::Accelerator;
use super::tilings::Layer;
use crate::pack::Pack;
use crate::plan::{LinearOp, Step};
use mergevit_kernels::cuda::DeviceError;
use mergevit_kernels::cuda::gemm::Tiling;
use std::time::{Duration, Instant};

/// Times in a row that a layer is run, and measurements of which the shortest counts.
const REPEATS: u32 = 4;
const MEASUREMENTS: usize = 2;

/// Share of the best time so far that another tiling must stay below: measurements differ by as much.
const WORTHWHILE: f64 = 0.98;

impl Accelerator {
    /// Takes the fastest tiling for every linear layer of what will be recorded.
    pub(super) fn tune(&mut self, pack: &Pack) -> Result<(), DeviceError> {
        let start = Instant::now();
        let (mut layers, mut changed) = (0, 0);
        for (index, schedule) in pack.schedules().iter().enumerate() {
            for batch in 1..=self.max_batch {
                if !self.is_recorded(batch) {
                    continue;
                }
                let plan = plan(pack.config(), schedule, batch);
                let job = Job {
                    pack,
                    plan: &plan,
                    schedule: index,
                };
                for step in plan.steps() {
                    let Some(layer) = step.ops().iter().find_map(Layer::of) else {
                        continue;
                    };
                    if !self.tilings.is_known(&layer) {
                        layers += 1;
                        changed += usize::from(self.tune_layer(&job, step, &layer)?);
                    }
                }
            }
        }
        log::info!(
            "{changed} of {layers} linear layers have other tilings for {}, found in {:.1} s",
            self.device.name(),
            start.elapsed().as_secs_f64()
        );
        Ok(())
    }

    /// Whether anything is faster than the model's choice.
    fn tune_layer(
        &mut self,
        job: &Job<'_>,
        step: &Step,
        layer: &Layer,
    ) -> Result<bool, DeviceError> {
        let possible = self.tilings.possible(layer);
        let modelled = possible[0];
        let mut best = (self.time_tiling(job, step, layer, modelled)?, modelled);
        for &tiling in &possible[1..] {
            let time = self.time_tiling(job, step, layer, tiling)?;
            if time < best.0.mul_f64(WORTHWHILE) {
                best = (time, tiling);
            }
        }
        self.tilings.set(layer, best.1);
        Ok(best.1 != modelled)
    }

    fn time_tiling(
        &mut self,
        job: &Job<'_>,
        step: &Step,
        layer: &Layer,
        tiling: Tiling,
    ) -> Result<Duration, DeviceError> {
        self.tilings.set(layer, tiling);
        self.lower(job, |lowering, launches| match *step {
            // With the weights of each layer in turn, so that they come from memory as in a real run.
            Step::Linear(op) if op.layer.is_some() => {
                for layer in (0..job.pack.config().depth).map(Some) {
                    lowering.step(&Step::Linear(LinearOp { layer, ..op }), launches);
                }
            }
            _ => lowering.step(step, launches),
        });
        let launches = self.launches();
        let mut shortest = Duration::MAX;
        for _ in 0..MEASUREMENTS {
            shortest = shortest.min(self.device.time(&launches, REPEATS)?);
        }
        let (Layer { linear, shape }, items) = (layer, tiling.items(&layer.shape));
        log::debug!(
            "tiling of {linear:?} {} x {} x {}: {:?}, K in {}, {} blocks for {items}: {:.2} us",
            shape.rows,
            shape.outputs,
            shape.inputs,
            tiling.tile,
            tiling.splits,
            tiling.blocks.min(items),
            1e6 * shortest.as_secs_f64() / launches.len() as f64
        );
        Ok(shortest)
    }
}
