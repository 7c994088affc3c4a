//! `mergevit bench --estimate`: an [estimate](mergevit_runtime::estimate) of a plan's latency on a Jetson module, as a range.

mod table;

use crate::args::ModelArgs;
use crate::failure::Failure;
use crate::model;
use crate::output::Time;
use mergevit_runtime::estimate::{self, HOST_US, Module, Range, Row};
use mergevit_runtime::{Cascade, Pack, Plan, Schedule};
use serde::Serialize;

/// Modules as the command line names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ModuleName {
    /// 8 SMs at 1.02 GHz, 102.4 GB/s
    OrinNanoSuper,
    /// 8 SMs at 0.918 GHz, 102.4 GB/s
    OrinNx,
    /// 16 SMs at 1.3 GHz, 204.8 GB/s
    AgxOrin,
}

impl ModuleName {
    const fn module(self) -> &'static Module {
        match self {
            Self::OrinNanoSuper => &Module::ORIN_NANO_SUPER,
            Self::OrinNx => &Module::ORIN_NX,
            Self::AgxOrin => &Module::AGX_ORIN,
        }
    }
}

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
    /// The processor's part of the latency.
    host_us: Range,
    latency_us: Range,
    frames_per_second: Range,
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
    latency_us: Range,
    /// Fraction of images that `pack` saw run twice, and where.
    second_run_rate: f64,
    dataset: String,
    /// Of a batch, both runs, on average at that rate.
    mean_latency_us: Range,
    mean_frames_per_second: Range,
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
        let estimate = estimate::Estimate::new(pack, &plan, module);
        let latency_us = estimate.latency_us();
        Ok(Self {
            event: "estimate",
            time: Time::now(),
            module: module.title,
            architecture: config.architecture.clone(),
            schedule: schedule.name.clone(),
            batch,
            host_us: HOST_US,
            latency_us,
            frames_per_second: latency_us.per_second(batch),
            kinds: estimate.kinds,
            total: estimate.total,
            second: None,
            hardware: module,
        })
    }

    /// With the second runs of a cascade of which it estimates the first.
    fn with_second(self, cascade: &Cascade, then: &Self) -> Self {
        let mean_latency_us = self.latency_us + then.latency_us * cascade.second_runs;
        let second = Second {
            schedule: then.schedule.clone(),
            latency_us: then.latency_us,
            second_run_rate: cascade.second_runs,
            dataset: cascade.dataset.clone(),
            mean_latency_us,
            mean_frames_per_second: mean_latency_us.per_second(self.batch),
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
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn modules_are_named_as_the_runtime_names_them() {
        let spelled = ModuleName::value_variants().iter().map(|name| {
            let value = name.to_possible_value().expect("none is hidden");
            value.get_name().to_owned()
        });
        let own: Vec<_> = Module::ALL.map(|module| module.name.to_owned()).into();
        assert_eq!(spelled.collect::<Vec<_>>(), own);
    }
}
