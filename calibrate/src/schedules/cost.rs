//! What a schedule costs, relative to none.

use super::latency::LatencyModel;
use mergevit_runtime::estimate::{Estimate, Module, Range};
use mergevit_runtime::{Pack, Plan, Schedule};

/// What is counted.
#[derive(Clone, Debug)]
pub enum Unit {
    /// Multiply-accumulates.
    Multiplications,
    /// Latency of single images, estimated for a Jetson module.
    Estimated(&'static Module),
    /// Latency of single images on this machine.
    Measured(LatencyModel),
}

/// Counts the cost of schedules of one pack.
#[derive(Clone, Debug)]
pub struct Cost<'a> {
    pack: &'a Pack,
    unit: Unit,
    unmerged: f64,
}

impl<'a> Cost<'a> {
    /// Counts in `unit`.
    pub fn new(pack: &'a Pack, unit: Unit) -> Self {
        let mut cost = Self {
            pack,
            unit,
            unmerged: 1.0,
        };
        let unmerged = Schedule::constant(0, pack.config().depth);
        cost.unmerged = cost.of(&unmerged).middle();
        cost
    }

    /// The model's pack.
    pub fn pack(&self) -> &'a Pack {
        self.pack
    }

    /// The cost of one image as a share of that without merging, by the middle of what is estimated. Infinite for a schedule that the model cannot run.
    pub fn share(&self, schedule: &Schedule) -> f64 {
        self.of(schedule).middle() / self.unmerged
    }

    /// Latency of one image in microseconds, where latency is what is counted.
    pub fn latency_us(&self, schedule: &Schedule) -> Option<Range> {
        match self.unit {
            Unit::Multiplications => None,
            Unit::Estimated(_) | Unit::Measured(_) => Some(self.of(schedule)),
        }
    }

    /// Multiply-accumulates, or microseconds.
    fn of(&self, schedule: &Schedule) -> Range {
        let exactly = |cost| Range::new(cost, cost);
        let Ok(plan) = Plan::new(self.pack.config(), schedule, 1) else {
            return exactly(f64::INFINITY);
        };
        match &self.unit {
            Unit::Multiplications => exactly(plan.cost().macs as f64),
            Unit::Estimated(module) => Estimate::new(self.pack, &plan, module).latency_us(),
            Unit::Measured(model) => exactly(model.latency_us(plan.tokens())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_runtime::testing;

    #[test]
    fn shares_are_of_no_merging_and_fall_with_r() {
        let config = testing::model(64, 8, 2, 6, 10);
        let pack = testing::pack(&config, &[0], 1);
        let cost = Cost::new(&pack, Unit::Multiplications);
        let share = |r| cost.share(&Schedule::constant(r, config.depth));
        assert_eq!(share(0), 1.0);
        assert!(share(8) < share(4) && share(4) < 1.0);
        assert_eq!(cost.share(&Schedule::constant(0, 1)), f64::INFINITY);
        assert_eq!(cost.latency_us(&Schedule::constant(0, config.depth)), None);
    }

    #[test]
    fn an_estimate_is_that_of_the_module() {
        let config = testing::model(64, 8, 2, 6, 10);
        let pack = testing::pack(&config, &[0], 1);
        let cost = Cost::new(&pack, Unit::Estimated(&Module::AGX_ORIN));
        let schedule = Schedule::constant(0, config.depth);
        let plan = Plan::new(&config, &schedule, 1).unwrap();
        let expected = Estimate::new(&pack, &plan, &Module::AGX_ORIN).latency_us();
        assert_eq!(cost.latency_us(&schedule), Some(expected));
        assert_eq!(cost.share(&schedule), 1.0);
    }
}
