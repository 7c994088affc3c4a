//! Launches with what they are for.

use crate::plan::{Op, StepOps};
use mergevit_kernels::cuda::Launch;

/// A launch, and the operations of the plan that it computes.
#[derive(Clone, Debug)]
pub struct PlannedLaunch {
    /// In the plan's order; none if the launch only brings results to the host. Merging is two launches: the first
    /// counts as the merge, the second as the layer norm.
    pub ops: StepOps,
    /// The launch.
    pub launch: Launch,
}

impl PlannedLaunch {
    pub(super) fn new<const N: usize>(ops: [Op; N], launch: Launch) -> Self {
        Self {
            ops: ops.into_iter().collect(),
            launch,
        }
    }
}
