//! `mergevit bench --estimate`: a roofline estimate of a plan's latency on a Jetson module.
//!
//! The kernels count the multiplications and instructions of each launch. Its time is the longest that its
//! multiplications, its instructions or its memory traffic need on the module, with the blocks spread over the
//! SMs as evenly as whole blocks allow, plus a gap between launches. Cache misses, exposed latency and falling
//! clocks are not modelled, so this is an estimate, not a measurement.

mod module;
mod row;
mod table;

pub(super) use module::ModuleName;

use crate::args::ModelArgs;
use crate::failure::Failure;
use crate::model;
use crate::output::Time;
use mergevit_runtime::{Cascade, Pack, Plan, Schedule, inspect};
use module::Module;
use row::Row;
use serde::Serialize;

/// A whole plan on a module.
#[derive(Debug, Serialize)]
pub(super) struct Estimate {
    event: &'static str,
    time: Time,
    module: &'static str,
    architecture: String,
    schedule: String,
    batch: usize,
    kinds: Vec<Row>,
    total: Row,
    latency_us: f64,
    frames_per_second: f64,
    /// What comes after it, where it is the first schedule of a cascade.
    #[serde(skip_serializing_if = "Option::is_none")]
    second: Option<Second>,
    #[serde(skip)]
    hardware: &'static Module,
}

/// The second runs of a cascade.
#[derive(Debug, Serialize)]
struct Second {
    schedule: String,
    /// Of a batch of which every image runs twice.
    latency_us: f64,
    /// Fraction of images that `pack` saw run twice, and where.
    second_run_rate: f64,
    dataset: String,
    /// Of a batch, both runs, on average at that rate.
    mean_latency_us: f64,
    mean_frames_per_second: f64,
}

impl Estimate {
    fn new(
        pack: &Pack,
        schedule: &Schedule,
        batch: usize,
        module: &'static Module,
    ) -> Result<Self, Failure> {
        let config = pack.config();
        let plan = Plan::new(config, schedule, batch).map_err(|error| Failure::work(&error))?;
        let mut kinds: Vec<Row> = Vec::new();
        let mut total = Row {
            name: "total".into(),
            ..Row::default()
        };
        for launches in inspect::launches(pack, &plan, module.target()) {
            let row = Row::new(&launches, module);
            total.add(&row);
            match kinds.iter_mut().find(|kind| kind.name == row.name) {
                Some(kind) => kind.add(&row),
                None => kinds.push(row),
            }
        }
        kinds.sort_by(|a, b| b.total_us.total_cmp(&a.total_us));
        Ok(Self {
            event: "estimate",
            time: Time::now(),
            module: module.title,
            architecture: config.architecture.clone(),
            schedule: schedule.name.clone(),
            batch,
            latency_us: total.total_us,
            frames_per_second: 1e6 * batch as f64 / total.total_us,
            kinds,
            total,
            second: None,
            hardware: module,
        })
    }

    /// With the second runs of a cascade of which it estimates the first.
    fn with_second(self, cascade: &Cascade, then: &Self) -> Self {
        let mean_latency_us = self.latency_us + cascade.second_runs * then.latency_us;
        let second = Second {
            schedule: then.schedule.clone(),
            latency_us: then.latency_us,
            second_run_rate: cascade.second_runs,
            dataset: cascade.dataset.clone(),
            mean_latency_us,
            mean_frames_per_second: 1e6 * self.batch as f64 / mean_latency_us,
        };
        Self {
            second: Some(second),
            ..self
        }
    }
}

/// Estimates the schedule or cascade that `args` name, with `batch` images.
pub(super) fn estimate(
    args: &ModelArgs,
    batch: usize,
    module: ModuleName,
) -> Result<Estimate, Failure> {
    let pack = model::open(&args.model)?;
    let choice = model::choice(&pack, args.schedule.as_deref())?;
    let estimate = |schedule| Estimate::new(&pack, schedule, batch, module.module());
    let first = estimate(&pack.schedules()[choice.schedule])?;
    match choice.cascade.map(|index| &pack.cascades()[index]) {
        None => Ok(first),
        Some(cascade) => {
            let then = estimate(model::second(&pack, cascade)?)?;
            Ok(first.with_second(cascade, &then))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::module::LAUNCH_US;
    use super::*;
    use mergevit_runtime::testing;

    #[test]
    fn rows_sum_up_and_no_total_beats_its_floor() {
        let config = testing::model(64, 8, 2, 3, 10);
        let pack = testing::pack(&config, &[0, 8], 1);
        for name in [ModuleName::OrinNanoSuper, ModuleName::AgxOrin] {
            for (schedule, batch) in pack.schedules().iter().zip([1, 8]) {
                let estimate = Estimate::new(&pack, schedule, batch, name.module()).unwrap();
                let plan = Plan::new(&config, schedule, batch).unwrap();
                assert_eq!(estimate.total.macs, plan.cost().macs);
                assert!(estimate.total.tensor_macs >= estimate.total.macs);
                for row in estimate.kinds.iter().chain([&estimate.total]) {
                    let launches = LAUNCH_US * row.launches as f64;
                    assert!(row.total_us >= row.floor_us() + launches - 1e-9, "{row:?}");
                }
                let sum: f64 = estimate.kinds.iter().map(|row| row.total_us).sum();
                assert!((sum - estimate.latency_us).abs() < 1e-6);
            }
        }
    }
}
