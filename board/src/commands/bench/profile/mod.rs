//! Where the time goes: each operation of the plan, and each kind of operation.

mod row;
mod table;
mod timing;

use super::latency::Limit;
use super::pixels::Pixels;
use crate::failure::Failure;
use mergevit_runtime::Engine;
use mergevit_runtime::estimate::Module;
use row::{Row, by_kind};
use serde::Serialize;

/// A profile of one plan.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Profile {
    runs: usize,
    method: Method,
    /// Of a device: all launches of the network, without the processor's part.
    #[serde(skip_serializing_if = "Option::is_none")]
    network_us: Option<f64>,
    /// Of a device: a launch of as many that do nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    launch_us: Option<f64>,
    kinds: Vec<Row>,
    operations: Vec<Row>,
}

/// What was timed.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    /// Operations on the processor, in the engine's order.
    Operations,
    /// Launches on a device, each repeated back to back, and each in its place.
    Launches,
}

impl Method {
    const fn describe(self) -> &'static str {
        match self {
            Self::Operations => {
                "medians; profiled runs wait at each operation, so the total exceeds the latency"
            }
            Self::Launches => {
                "means of each launch repeated back to back, which finds more of its data in cache than in a real run"
            }
        }
    }
}

/// Times every launch on a device, or every operation on the processor until the limit.
pub(super) fn profile(
    engine: &mut Engine,
    pixels: &Pixels,
    limit: Limit,
    peak: Option<f64>,
    module: Option<&Module>,
) -> Result<Profile, Failure> {
    let (runs, whole, operations, method) = match timing::launches(engine, pixels, module)? {
        Some((whole, rows)) => {
            let runs = timing::REPEATS as usize;
            (runs, Some(whole), rows, Method::Launches)
        }
        None => {
            let (runs, rows) = timing::operations(engine, pixels, limit)?;
            (runs, None, rows, Method::Operations)
        }
    };
    Ok(Profile {
        runs,
        method,
        network_us: whole.map(|whole| whole.network_us),
        launch_us: whole.map(|whole| whole.launch_us),
        kinds: by_kind(&operations)
            .into_iter()
            .map(|row| row.rate(peak))
            .collect(),
        operations: operations.into_iter().map(|row| row.rate(peak)).collect(),
    })
}
