//! Where the time goes: each operation of the plan, and each kind of operation.

mod row;
mod table;
mod timing;

use super::latency::Limit;
use super::pixels::Pixels;
use crate::failure::Failure;
use mergevit_runtime::Engine;
use row::{Row, by_kind};
use serde::Serialize;

/// A profile of one plan.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Profile {
    runs: usize,
    method: Method,
    kinds: Vec<Row>,
    operations: Vec<Row>,
}

/// What was timed.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    /// Operations on the processor, in the engine's order.
    Operations,
    /// Launches on a device, each repeated back to back.
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
) -> Result<Profile, Failure> {
    let (runs, operations, method) = match timing::launches(engine, pixels)? {
        Some(rows) => (timing::REPEATS as usize, rows, Method::Launches),
        None => {
            let (runs, rows) = timing::operations(engine, pixels, limit)?;
            (runs, rows, Method::Operations)
        }
    };
    Ok(Profile {
        runs,
        method,
        kinds: by_kind(&operations)
            .into_iter()
            .map(|row| row.rate(peak))
            .collect(),
        operations: operations.into_iter().map(|row| row.rate(peak)).collect(),
    })
}
