//! How long a plan takes on a Jetson module: a roofline estimate, made on any machine.
//!
//! The kernels count the multiplications and instructions of each launch. Its time is the longest that its
//! multiplications, its instructions or its memory traffic need on the module, with the blocks spread over the
//! SMs as evenly as whole blocks allow, plus a gap between launches. Cache misses, exposed latency and falling
//! clocks are not modelled, so this is an estimate, not a measurement.
//!
//! ```
//! use mergevit_runtime::estimate::{Estimate, Module};
//! use mergevit_runtime::{Pack, Plan};
//!
//! let pack = Pack::open("../board/assets/garments.mvit".as_ref())?;
//! let latency = |schedule| -> Result<f64, mergevit_runtime::PlanError> {
//!     let plan = Plan::new(pack.config(), schedule, 32)?;
//!     Ok(Estimate::new(&pack, &plan, &Module::ORIN_NANO_SUPER).total.total_us)
//! };
//! assert!(latency(&pack.schedules()[2])? < latency(&pack.schedules()[0])?);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod module;
mod row;

pub use module::{LAUNCH_US, Module};
pub use row::Row;

use crate::inspect;
use crate::pack::Pack;
use crate::plan::Plan;

/// A whole plan on a module.
#[derive(Clone, Debug)]
pub struct Estimate {
    /// Operations of one name together, those that take longest first.
    pub kinds: Vec<Row>,
    /// All of them; its `total_us` is the latency.
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
        kinds.sort_by(|a, b| b.total_us.total_cmp(&a.total_us));
        Self { kinds, total }
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
                    let launches = LAUNCH_US * row.launches as f64;
                    assert!(row.total_us >= row.floor_us() + launches - 1e-9, "{row:?}");
                }
                let sum: f64 = estimate.kinds.iter().map(|row| row.total_us).sum();
                assert!((sum - estimate.total.total_us).abs() < 1e-6);
            }
        }
    }
}
