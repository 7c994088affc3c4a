//! How long a plan takes on a Jetson module: a range, computed on any machine.
//!
//! The kernels count the multiplications, instructions and shared-memory traffic of each launch. Its time is the longest that
//! one of them needs on the module, with the blocks spread over the SMs as evenly as whole blocks allow, but no less than its
//! warps need one after another; a start that nothing hides; and a gap to the next launch. The operation's memory traffic
//! runs beside it. The processor's part comes on top, once. The low end assumes that all of it overlaps and machine code has
//! a quarter fewer instructions than PTX; the high end assumes neither. Bank conflicts beyond those counted, cache misses
//! within a launch and falling clocks are not modelled: this is an estimate, not a measurement.
//!
//! ```
//! use mergevit_runtime::estimate::{Estimate, Module};
//! use mergevit_runtime::{Pack, Plan};
//!
//! let pack = Pack::open("../board/assets/garments.mvit".as_ref())?;
//! let latency = |schedule| -> Result<f64, mergevit_runtime::PlanError> {
//!     let plan = Plan::new(pack.config(), schedule, 32)?;
//!     Ok(Estimate::new(&pack, &plan, &Module::ORIN_NANO_SUPER).latency_us().middle())
//! };
//! assert!(latency(&pack.schedules()[2])? < latency(&pack.schedules()[0])?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod launch;
mod module;
mod range;
mod row;

pub use module::{HOST_US, Module};
pub use range::Range;
pub use row::Row;

use crate::inspect;
use crate::pack::Pack;
use crate::plan::Plan;

/// A whole plan on a module.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// Operations of one name together, those that take longest first.
    pub kinds: Vec<Row>,
    /// All of them: the device's part of the latency.
    pub total: Row,
}

impl Estimate {
    /// Estimates `plan`, which is one of `pack`'s model.
    pub fn new(pack: &Pack, plan: &Plan, module: &Module) -> Self {
        let mut kinds: Vec<Row> = Vec::new();
        let mut total = Row {
            name: "total".into(),
            ..Row::default()
        };
        for launches in inspect::launches(pack, plan, module.target()) {
            let row = Row::new(&launches, module);
            total.add(&row);
            match kinds.iter_mut().find(|kind| kind.name == row.name) {
                Some(kind) => kind.add(&row),
                None => kinds.push(row),
            }
        }
        kinds.sort_by(|a, b| b.total_us.middle().total_cmp(&a.total_us.middle()));
        Self { kinds, total }
    }

    /// From pixels in memory to the answer, in microseconds: the device's part and the processor's.
    pub fn latency_us(&self) -> Range {
        self.total.total_us + HOST_US
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn rows_sum_up_and_no_total_beats_its_floor() {
        let config = testing::model(64, 8, 2, 3, 10);
        let pack = testing::pack(&config, &[0, 8], 1);
        for module in Module::ALL {
            for (schedule, batch) in pack.schedules().iter().zip([1, 8]) {
                let plan = Plan::new(&config, schedule, batch).unwrap();
                let estimate = Estimate::new(&pack, &plan, module);
                assert_eq!(estimate.total.macs, plan.cost().macs);
                assert!(estimate.total.tensor_macs >= estimate.total.macs);
                for row in estimate.kinds.iter().chain([&estimate.total]) {
                    let launches = module.launch_us().low * row.launches as f64;
                    let total = row.total_us;
                    assert!(total.low >= row.floor_us() + launches - 1e-9, "{row:?}");
                    assert!(total.low >= row.shared_us + launches, "{row:?}");
                    assert!(total.low < total.high, "{row:?}");
                }
                let mut sum = Range::default();
                estimate.kinds.iter().for_each(|row| sum += row.total_us);
                assert!((sum.low - estimate.total.total_us.low).abs() < 1e-6);
                assert!((sum.high - estimate.total.total_us.high).abs() < 1e-6);
                let latency = estimate.latency_us();
                assert!(latency.low > estimate.total.total_us.low);
                assert!(latency.high > latency.middle());
            }
        }
    }
}
