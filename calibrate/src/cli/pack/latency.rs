//! Latency of schedules on this machine.

use super::super::error::CommandError;
use super::super::progress::Progress;
use super::judged::Judged;
use crate::schedules::LatencyModel;
use mergevit_runtime::limits::MAX_THREADS;
use mergevit_runtime::{Engine, Plan, Schedule};
use std::time::Instant;

/// How often each schedule is timed, one after the other in turn, so that whatever else the machine does hits all alike.
const ROUNDS: usize = 15;

impl Judged<'_> {
    /// Median microseconds of one image under each schedule, on this machine, with its best backend.
    ///
    /// # Errors
    /// [`CommandError`]: nothing here runs the pack.
    pub(super) fn latencies_us(&self, schedules: &[Schedule]) -> Result<Vec<f64>, CommandError> {
        let mut engine = Engine::options()
            .threads(rayon::current_num_threads().min(MAX_THREADS))
            .max_frame(1, 1)
            .build(self.pack(schedules.to_vec())?)?;
        let image = &self.choose.pixels[..self.checkpoint.model.image_bytes()];
        let mut times = vec![Vec::with_capacity(ROUNDS); schedules.len()];
        let progress = Progress::new(self.console, "timing", ROUNDS, schedules.len());
        for _ in 0..ROUNDS {
            for (schedule, times) in schedules.iter().zip(&mut times) {
                engine.set_schedule(&schedule.name)?;
                // Once to fill the caches.
                engine.classify_pixels(image)?;
                let start = Instant::now();
                engine.classify_pixels(image)?;
                times.push(1e6 * start.elapsed().as_secs_f64());
                progress.step();
            }
        }
        Ok(times.iter_mut().map(|times| median(times)).collect())
    }

    /// The latency of every schedule, from a few that are measured.
    ///
    /// # Errors
    /// As [`latencies_us`](Self::latencies_us).
    pub(super) fn latency_model(&self) -> Result<LatencyModel, CommandError> {
        let model = &self.checkpoint.model;
        let probes = LatencyModel::probes(model);
        let times = self.latencies_us(&probes)?;
        // What the engine ran can be planned.
        let plans = probes
            .iter()
            .filter_map(|own| Plan::new(model, own, 1).ok());
        let plans: Vec<Plan> = plans.collect();
        let measured: Vec<_> = plans.iter().map(Plan::tokens).zip(times).collect();
        Ok(LatencyModel::new(&measured))
    }
}

/// The middle one.
fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
