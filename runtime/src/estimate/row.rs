//! The least time that one operation can take on a module.

use super::module::{L2_BYTES, LAUNCH_US, Module};
use crate::inspect::{Cost, Op, PlannedLaunch};
use mergevit_kernels::cuda::Launch;
use serde::Serialize;

/// One operation, or the sum of several.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Row {
    /// The operations of a step, joined by ` + `.
    pub name: String,
    /// Steps.
    pub operations: usize,
    /// Launches of kernels.
    pub launches: usize,
    /// Multiply-accumulates that the model needs.
    pub macs: u64,
    /// Multiply-accumulates that Tensor Cores execute, those on padding included.
    pub tensor_macs: u64,
    /// Instructions that warps issue.
    pub instructions: u64,
    /// Bytes of weights.
    pub weight_bytes: u64,
    /// Read from and written to memory: weights, and activations that do not fit into the L2 cache.
    pub memory_bytes: u64,
    /// Microseconds that the multiplications take.
    pub compute_us: f64,
    /// Microseconds that the instructions take.
    pub issue_us: f64,
    /// Microseconds that the memory traffic takes.
    pub memory_us: f64,
    /// Microseconds that all of it takes, one beside the other, with the gaps between launches.
    pub total_us: f64,
}

impl Row {
    /// The launches of one step.
    pub(super) fn new(launches: &[PlannedLaunch], module: &Module) -> Self {
        let ops: Vec<Op> = launches
            .iter()
            .flat_map(|planned| planned.ops.clone())
            .collect();
        let names: Vec<_> = ops.iter().map(Op::name).collect();
        let cost: Cost = ops.iter().map(Op::cost).sum();
        let activations = match activation_bytes(&ops) {
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
        for PlannedLaunch { launch, .. } in launches {
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

    pub(super) fn add(&mut self, other: &Self) {
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

    /// The least time that multiplications and memory traffic need.
    pub fn floor_us(&self) -> f64 {
        self.compute_us.max(self.memory_us)
    }
}

/// Bytes of activations that a step reads and writes. What one of its operations writes and the next reads
/// stays in registers: fusing them saves exactly that.
fn activation_bytes(ops: &[Op]) -> u64 {
    let mut written = Vec::new();
    let mut bytes = 0;
    for (span, access) in ops.iter().flat_map(Op::spans) {
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

/// Blocks of the busiest SM relative to the mean.
fn imbalance(launch: &Launch, module: &Module) -> f64 {
    let blocks = launch.grid.iter().product::<u32>();
    let busiest = blocks.div_ceil(module.multiprocessors);
    f64::from(busiest * module.multiprocessors) / f64::from(blocks)
}
