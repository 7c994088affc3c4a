//! Where the time goes: each operation of the plan, and each kind of operation.

mod row;
mod timing;

use super::latency::Limit;
use super::pixels::Pixels;
use crate::failure::Failure;
use crate::output::{self, Table};
use mergevit_runtime::Engine;
use row::{Row, by_kind};
use serde::Serialize;
use std::fmt;

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

const NUMBERS: [&str; 7] = [
    "time",
    "share",
    "MMAC",
    "GMAC/s",
    "peak",
    "weights",
    "activations",
];

impl Profile {
    fn numbers(&self, row: &Row) -> [String; 7] {
        let total = self.kinds.last().map_or(0.0, |total| total.time_us);
        let multiplies = |text: String| if row.macs > 0 { text } else { "-".into() };
        let percent = |percent: f64| format!("{percent:.1} %");
        [
            output::microseconds(row.time_us),
            percent(100.0 * output::ratio(row.time_us, total)),
            multiplies(format!("{:.1}", row.macs as f64 / 1e6)),
            multiplies(format!("{:.0}", row.macs_per_second() / 1e9)),
            row.percent_of_peak.map_or("-".into(), percent),
            output::bytes(row.weight_bytes),
            output::bytes(row.activation_bytes),
        ]
    }

    fn table(&self, headings: [&str; 2], rows: &[Row], second: impl Fn(&Row) -> String) -> Table {
        let mut table = Table::new(headings.into_iter().chain(NUMBERS));
        for row in rows {
            let names = [row.name.to_owned(), second(row)];
            table.push(names.into_iter().chain(self.numbers(row)));
        }
        table
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layer = |row: &Row| row.layer.map_or("-".into(), |layer| layer.to_string());
        let count = |row: &Row| row.operations.to_string();
        let operations = self.table(["operation", "layer"], &self.operations, layer);
        let kinds = self.table(["operations", "count"], &self.kinds, count);
        write!(
            f,
            "{operations}\n{kinds}({} runs: {})\n",
            self.runs,
            self.method.describe()
        )
    }
}
