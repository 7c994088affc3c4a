//! `mergevit bench --estimate`: what a plan should take on a Jetson that is not at hand.
//!
//! For each launch the least time that its multiplications, its instructions and its memory traffic can take
//! on the module, by the kernels' own counts; the longest of the three, with the blocks as evenly on the SMs
//! as whole blocks allow, and a gap between launches. An estimate, not a measurement: caches that miss,
//! latency that nothing hides and clocks that fall are not in it.

mod module;

pub(super) use module::ModuleName;

use crate::args::ModelArgs;
use crate::failure::Failure;
use crate::{model, output};
use mergevit_kernels::cuda::Launch;
use mergevit_runtime::plan::Cost;
use mergevit_runtime::{Op, Pack, Plan, RunError, Schedule, launches};
use module::{L2_BYTES, LAUNCH_US, Module};
use serde::Serialize;

/// One operation, or the sum of several.
#[derive(Clone, Debug, Default, Serialize)]
struct Row {
    name: String,
    operations: usize,
    launches: usize,
    /// Multiply-accumulates that the model needs.
    macs: u64,
    /// Multiply-accumulates that Tensor Cores execute, those on padding included.
    tensor_macs: u64,
    instructions: u64,
    weight_bytes: u64,
    /// Read from and written to memory: weights, and activations that do not fit the L2 cache.
    memory_bytes: u64,
    compute_us: f64,
    issue_us: f64,
    memory_us: f64,
    total_us: f64,
}

impl Row {
    fn new(group: &[Op], launches: &[Launch], module: &Module) -> Self {
        let names: Vec<_> = group.iter().map(Op::name).collect();
        let cost: Cost = group.iter().map(Op::cost).sum();
        let activations = match activation_bytes(group) {
            bytes if bytes > L2_BYTES => bytes,
            _ => 0,
        };
        let memory_bytes = cost.weight_bytes + activations;
        let mut row = Self {
            name: names.join(" + "),
            operations: 1,
            launches: launches.len(),
            macs: cost.macs,
            weight_bytes: cost.weight_bytes,
            memory_bytes,
            memory_us: 1e6 * memory_bytes as f64 / module.memory_rate(),
            ..Self::default()
        };
        let mut busy_us = 0.0;
        for launch in launches {
            let compute_us = 1e6 * launch.work.tensor_macs as f64 / module.mac_rate();
            let issue_us = 1e6 * launch.work.instructions as f64 / module.issue_rate();
            row.tensor_macs += launch.work.tensor_macs;
            row.instructions += launch.work.instructions;
            row.compute_us += compute_us;
            row.issue_us += issue_us;
            busy_us += compute_us.max(issue_us) * imbalance(launch, module);
        }
        row.total_us = busy_us.max(row.memory_us) + LAUNCH_US * launches.len() as f64;
        row
    }

    fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.launches += other.launches;
        self.macs += other.macs;
        self.tensor_macs += other.tensor_macs;
        self.instructions += other.instructions;
        self.weight_bytes += other.weight_bytes;
        self.memory_bytes += other.memory_bytes;
        self.compute_us += other.compute_us;
        self.issue_us += other.issue_us;
        self.memory_us += other.memory_us;
        self.total_us += other.total_us;
    }

    /// The time that the busiest unit needs at least.
    fn floor_us(&self) -> f64 {
        self.compute_us.max(self.memory_us)
    }
}

/// What a group reads and writes of activations. What one of its operations writes and the next reads stays
/// in registers: that is what fusing them saves.
fn activation_bytes(group: &[Op]) -> u64 {
    let mut written = Vec::new();
    let mut bytes = 0;
    for (span, access) in group.iter().flat_map(Op::spans) {
        let len = span.len as u64;
        if access.reads() && !written.contains(&span) {
            bytes += len;
        }
        if access.writes() {
            bytes += len;
            written.push(span);
        }
    }
    bytes
}

/// Blocks of the busiest SM over the mean.
fn imbalance(launch: &Launch, module: &Module) -> f64 {
    let blocks = launch.grid.iter().product::<u32>();
    let busiest = blocks.div_ceil(module.multiprocessors);
    f64::from(busiest * module.multiprocessors) / f64::from(blocks)
}

/// A whole plan on a module.
#[derive(Debug, Serialize)]
pub(super) struct Estimate {
    estimate: bool,
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
        let mut kinds: Vec<Row> = Vec::new();
        let mut total = Row {
            name: "total".into(),
            ..Row::default()
        };
        for (group, launches) in launches(pack, &plan, module.target()) {
            let row = Row::new(group, &launches, module);
            total.add(&row);
            match kinds.iter_mut().find(|kind| kind.name == row.name) {
                Some(kind) => kind.add(&row),
                None => kinds.push(row),
            }
        }
        kinds.sort_by(|a, b| b.total_us.total_cmp(&a.total_us));
        Ok(Self {
            estimate: true,
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

const HEADS: [&str; 11] = [
    "operations",
    "launches",
    "MMAC",
    "padding",
    "compute",
    "issue",
    "memory",
    "kB",
    "total",
    "share",
    "of floor",
];

impl Estimate {
    fn cells(&self, row: &Row) -> Vec<String> {
        let percent = |part: f64, whole: f64| match whole > 0.0 && part > 0.0 {
            true => format!("{:.0} %", 100.0 * part / whole),
            false => "-".into(),
        };
        let padding = row.tensor_macs.saturating_sub(row.macs);
        vec![
            row.name.clone(),
            row.launches.to_string(),
            format!("{:.1}", row.macs as f64 / 1e6),
            percent(padding as f64, row.macs as f64),
            output::microseconds(row.compute_us),
            output::microseconds(row.issue_us),
            output::microseconds(row.memory_us),
            format!("{:.0}", row.memory_bytes as f64 / 1e3),
            output::microseconds(row.total_us),
            percent(row.total_us, self.total.total_us),
            percent(row.floor_us(), row.total_us),
        ]
    }
}

impl std::fmt::Display for Estimate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut cells = vec![HEADS.map(String::from).to_vec()];
        cells.extend(
            self.kinds
                .iter()
                .chain([&self.total])
                .map(|row| self.cells(row)),
        );
        let module = self.hardware;
        write!(
            f,
            "ESTIMATE, not a measurement: {} on {}, schedule {}, batch {}\n\
             {:.2} T multiply-accumulates/s, {:.0} GB/s of memory, {LAUNCH_US} us a launch (assumed)\n\n\
             {}\nestimated latency {}, {:.0} frames a second\n",
            self.architecture,
            self.module,
            self.schedule,
            self.batch,
            module.mac_rate() / 1e12,
            module.memory_rate() / 1e9,
            output::table(&cells),
            output::microseconds(self.latency_us),
            self.frames_per_second,
        )
    }
}

fn unknown(name: &str, schedules: &[Schedule]) -> RunError {
    let known: Vec<_> = schedules.iter().map(|s| s.name.as_str()).collect();
    RunError::UnknownSchedule {
        name: name.into(),
        known: known.join(", "),
    }
}

/// Estimates the schedule that `args` name, with `batch` images.
pub(super) fn estimate(
    args: &ModelArgs,
    batch: usize,
    module: ModuleName,
) -> Result<Estimate, Failure> {
    let pack = Pack::open(&args.model).map_err(|error| model::failure(&error.into()))?;
    let schedules = pack.schedules();
    let schedule = match &args.schedule {
        None => &schedules[0],
        Some(name) => schedules
            .iter()
            .find(|schedule| schedule.name == *name)
            .ok_or_else(|| Failure::work(&unknown(name, schedules)))?,
    };
    Estimate::new(&pack, schedule, batch, module.module())
}

#[cfg(test)]
mod tests {
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
