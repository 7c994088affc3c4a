//! `mergevit bench --estimate`: a roofline [estimate](mergevit_runtime::estimate) of a plan's latency on a Jetson module.

mod table;

use crate::args::ModelArgs;
use crate::failure::Failure;
use crate::model;
use crate::output::Time;
use mergevit_runtime::estimate::{self, Module, Row};
use mergevit_runtime::{Pack, Plan, Schedule};
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
    latency_us: f64,
    frames_per_second: f64,
    #[serde(skip)]
    hardware: &'static Module,
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
        let estimate::Estimate { kinds, total } = estimate::Estimate::new(pack, &plan, module);
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
            hardware: module,
        })
    }
}

/// Estimates the schedule that `args` name, with `batch` images.
pub(super) fn estimate(
    args: &ModelArgs,
    batch: usize,
    module: ModuleName,
) -> Result<Estimate, Failure> {
    let pack = model::open(&args.model)?;
    let schedule = match &args.schedule {
        None => &pack.schedules()[0],
        Some(name) => model::schedule(&pack, name)?,
    };
    Estimate::new(&pack, schedule, batch, module.module())
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
