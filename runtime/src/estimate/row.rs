//! How long one operation takes on a module.

use super::launch::LaunchTime;
use super::module::Module;
use super::range::Range;
use crate::inspect::{Cost, Op, PlannedLaunch};
use serde::Serialize;

/// Share of the shorter of arithmetic and memory traffic that is not hidden behind the longer: none, or an
/// assumption, fitted to nothing.
const EXPOSED: Range = Range::new(0.0, 0.15);

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
    /// Bytes that go into and out of shared memory.
    pub shared_bytes: u64,
    /// Bytes of weights.
    pub weight_bytes: u64,
    /// Read from and written to memory: weights, and activations that do not fit into the smallest L2 cache that a module
    /// may have.
    pub memory_bytes: u64,
    /// Microseconds that the multiplications take.
    pub compute_us: f64,
    /// Microseconds that the instructions take.
    pub issue_us: f64,
    /// Microseconds that the traffic through shared memory takes.
    pub shared_us: f64,
    /// Microseconds that the memory traffic takes.
    pub memory_us: Range,
    /// Microseconds that all of it takes, one beside the other, on the busiest SM, with what nothing hides and the gaps
    /// between launches.
    pub total_us: Range,
}

impl Row {
    /// The launches of one step, or one of them.
    pub fn new(launches: &[PlannedLaunch], module: &Module) -> Self {
        let ops: Vec<Op> = launches
            .iter()
            .flat_map(|planned| planned.ops.clone())
            .collect();
        let names: Vec<_> = ops.iter().map(Op::name).collect();
        let cost: Cost = ops.iter().map(Op::cost).sum();
        let activations = activation_bytes(&ops);
        // With the L2 cache that is assumed, what of weights and activations comes from memory.
        let memory_bytes = |l2_bytes: u64| {
            let activations = if activations > l2_bytes {
                activations
            } else {
                0
            };
            cost.weight_bytes + activations
        };
        let memory_us = Range::new(
            1e6 * memory_bytes(module.l2_bytes.1) as f64 / module.memory_rate().1,
            1e6 * memory_bytes(module.l2_bytes.0) as f64 / module.memory_rate().0,
        );
        let mut row = Self {
            name: names.join(" + "),
            operations: 1,
            launches: launches.len(),
            macs: cost.macs,
            weight_bytes: cost.weight_bytes,
            memory_bytes: memory_bytes(module.l2_bytes.0),
            memory_us,
            ..Self::default()
        };
        let mut busy_us = Range::default();
        for PlannedLaunch { launch, .. } in launches {
            let time = LaunchTime::new(launch, module);
            row.tensor_macs += launch.work.tensor_macs;
            row.instructions += launch.work.instructions;
            row.shared_bytes += launch.work.shared_bytes;
            row.compute_us += time.compute_us;
            row.issue_us += time.issue_us;
            row.shared_us += time.shared_us;
            busy_us += time.busy_us;
        }
        let hidden =
            |busy: f64, memory: f64, exposed: f64| busy.max(memory) + exposed * busy.min(memory);
        row.total_us = Range::new(
            hidden(busy_us.low, memory_us.low, EXPOSED.low),
            hidden(busy_us.high, memory_us.high, EXPOSED.high),
        ) + module.launch_us() * launches.len() as f64;
        row
    }

    pub(super) fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.launches += other.launches;
        self.macs += other.macs;
        self.tensor_macs += other.tensor_macs;
        self.instructions += other.instructions;
        self.shared_bytes += other.shared_bytes;
        self.weight_bytes += other.weight_bytes;
        self.memory_bytes += other.memory_bytes;
        self.compute_us += other.compute_us;
        self.issue_us += other.issue_us;
        self.shared_us += other.shared_us;
        self.memory_us += other.memory_us;
        self.total_us += other.total_us;
    }

    /// The least time that multiplications and memory traffic need.
    pub fn floor_us(&self) -> f64 {
        self.compute_us.max(self.memory_us.low)
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
