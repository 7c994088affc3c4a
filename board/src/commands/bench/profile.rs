//! Where the time goes: each operation of the plan, and each kind of operation.

use super::measure::{Limit, Pixels, nanoseconds};
use crate::failure::Failure;
use crate::output;
use crate::telemetry::quantile;
use mergevit_kernels::cuda::Launch;
use mergevit_runtime::plan::Cost;
use mergevit_runtime::{ArenaView, Engine, Op, RunError};
use serde::Serialize;
use std::time::{Duration, Instant};

/// Time and work of one operation, or of all operations of a kind.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Row {
    name: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    layer: Option<usize>,
    operations: usize,
    /// Sum of each operation's time.
    time_us: f64,
    macs: u64,
    weight_bytes: u64,
    activation_bytes: u64,
    /// Of what the instruction set reaches; `None` without multiplications or without a peak.
    percent_of_peak: Option<f64>,
}

/// What was timed.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum Method {
    /// Operations on the processor, as the engine went through them.
    Operations,
    /// Launches on a device, each several times in a row.
    Launches,
}

impl Method {
    const fn describe(self) -> &'static str {
        match self {
            Self::Operations => {
                "medians; profiled runs wait at each operation, so the total exceeds the latency"
            }
            Self::Launches => {
                "means of each launch in a row, which finds its data nearer than between others"
            }
        }
    }
}

/// A profile of one plan.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Profile {
    runs: usize,
    method: Method,
    kinds: Vec<Row>,
    operations: Vec<Row>,
}

impl Row {
    fn new(name: &'static str, layer: Option<usize>, time_us: f64, cost: Cost) -> Self {
        Self {
            name,
            layer,
            operations: 1,
            time_us,
            macs: cost.macs,
            weight_bytes: cost.weight_bytes,
            activation_bytes: cost.activation_bytes(),
            percent_of_peak: None,
        }
    }

    fn add(&mut self, other: &Self) {
        self.operations += other.operations;
        self.time_us += other.time_us;
        self.macs += other.macs;
        self.weight_bytes += other.weight_bytes;
        self.activation_bytes += other.activation_bytes;
    }

    fn macs_per_second(&self) -> f64 {
        output::ratio(self.macs as f64, self.time_us / 1e6)
    }

    fn rate(mut self, peak: Option<f64>) -> Self {
        let peak = peak.filter(|_| self.macs > 0);
        self.percent_of_peak = peak.map(|peak| 100.0 * self.macs_per_second() / peak);
        self
    }
}

/// Runs of each launch on a device: enough for the clocks to rise, and for the timer's resolution.
const REPEATS: u32 = 50;

/// Times every launch, or else every operation until the limit.
pub(super) fn profile(
    engine: &mut Engine,
    pixels: &Pixels,
    limit: Limit,
    peak: Option<f64>,
) -> Result<Profile, Failure> {
    let (runs, operations, method) = match launches(engine, pixels)? {
        Some(rows) => (REPEATS as usize, rows, Method::Launches),
        None => {
            let (runs, rows) = operations(engine, pixels, limit)?;
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

/// Times every launch on a device, each named after the last operation that it computes, or, if it computes
/// none of the plan's, after its kernel.
fn launches(engine: &mut Engine, pixels: &Pixels) -> Result<Option<Vec<Row>>, Failure> {
    let failure = |error: RunError| Failure::work(&error);
    // The arena then holds what real runs leave there.
    engine.classify_pixels(pixels.all()).map_err(failure)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut timer = |ops: &[Op], launch: &Launch, time: Duration| {
        let cost = ops.iter().map(Op::cost).sum();
        let last = ops.last().map(|op| (op.name(), op.layer));
        let (name, layer) = last.unwrap_or((launch.kernel.name, None));
        rows.push(Row::new(name, layer, time.as_secs_f64() * 1e6, cost));
    };
    let any = engine.time_launches(REPEATS, &mut timer).map_err(failure)?;
    Ok(any.then_some(rows))
}

/// Times every operation on the processor until the limit.
fn operations(
    engine: &mut Engine,
    pixels: &Pixels,
    limit: Limit,
) -> Result<(usize, Vec<Row>), Failure> {
    let count = engine.plan().ops().len();
    let mut times = vec![Vec::new(); count];
    let mut runs = 0;
    let start = Instant::now();
    while !limit.reached(runs, start.elapsed()) {
        let mut times = times.iter_mut();
        let mut begin = Instant::now();
        let mut observer = |_: &Op, _: &ArenaView<'_>| {
            let end = Instant::now();
            if let Some(times) = times.next() {
                times.push(nanoseconds(end - begin));
            }
            begin = Instant::now();
        };
        engine
            .observe(pixels.all(), &mut observer)
            .map_err(|error| Failure::work(&error))?;
        runs += 1;
    }
    let ops = engine.plan().ops().iter();
    let rows = ops
        .zip(&mut times)
        .map(|(op, times)| {
            times.sort_unstable();
            let time_us = quantile(times, 0.5).unwrap_or(0) as f64 / 1e3;
            Row::new(op.name(), op.layer, time_us, op.cost())
        })
        .collect();
    Ok((runs, rows))
}

/// Sums over operations of the same name, the slowest first, and the sum over all.
fn by_kind(operations: &[Row]) -> Vec<Row> {
    let mut kinds: Vec<Row> = Vec::new();
    let mut total = Row::new("total", None, 0.0, Cost::default());
    total.operations = 0;
    for row in operations {
        total.add(row);
        match kinds.iter_mut().find(|kind| kind.name == row.name) {
            Some(kind) => kind.add(row),
            None => kinds.push(Row {
                layer: None,
                ..row.clone()
            }),
        }
    }
    kinds.sort_by(|a, b| b.time_us.total_cmp(&a.time_us));
    kinds.push(total);
    kinds
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
    fn cells(&self, row: &Row) -> Vec<String> {
        let total = self.kinds.last().map_or(0.0, |total| total.time_us);
        let multiplies = |text: String| if row.macs > 0 { text } else { "-".into() };
        let percent = |percent: f64| format!("{percent:.1} %");
        vec![
            output::microseconds(row.time_us),
            percent(100.0 * output::ratio(row.time_us, total)),
            multiplies(format!("{:.1}", row.macs as f64 / 1e6)),
            multiplies(format!("{:.0}", row.macs_per_second() / 1e9)),
            row.percent_of_peak.map_or("-".into(), percent),
            output::bytes(row.weight_bytes),
            output::bytes(row.activation_bytes),
        ]
    }

    fn rows(&self, heads: [&str; 2], rows: &[Row], second: impl Fn(&Row) -> String) -> String {
        let heads = heads.into_iter().chain(NUMBERS).map(String::from);
        let mut cells = vec![heads.collect::<Vec<_>>()];
        for row in rows {
            let mut line = vec![row.name.to_owned(), second(row)];
            line.extend(self.cells(row));
            cells.push(line);
        }
        output::table(&cells)
    }
}

impl std::fmt::Display for Profile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let layer = |row: &Row| row.layer.map_or("-".into(), |layer| layer.to_string());
        let count = |row: &Row| row.operations.to_string();
        let operations = self.rows(["operation", "layer"], &self.operations, layer);
        let kinds = self.rows(["operations", "number"], &self.kinds, count);
        write!(
            f,
            "{operations}\n{kinds}({} runs: {})\n",
            self.runs,
            self.method.describe()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_sum_up_and_sort() {
        let cost = |macs| Cost {
            macs,
            weight_bytes: 1,
            read_bytes: 2,
            written_bytes: 3,
        };
        let rows = [
            Row::new("norm1", Some(0), 5.0, cost(0)),
            Row::new("fc1", Some(0), 10.0, cost(1_000)),
            Row::new("fc1", Some(1), 30.0, cost(3_000)),
        ];
        let kinds = by_kind(&rows);
        let names: Vec<_> = kinds.iter().map(|row| (row.name, row.operations)).collect();
        assert_eq!(names, [("fc1", 2), ("norm1", 1), ("total", 3)]);
        assert_eq!((kinds[0].time_us, kinds[0].macs), (40.0, 4_000));
        assert_eq!((kinds[2].weight_bytes, kinds[2].activation_bytes), (3, 15));
        let percent = kinds[0].clone().rate(Some(1e9)).percent_of_peak;
        assert!(percent.is_some_and(|percent| (percent - 10.0).abs() < 1e-9));
        assert_eq!(kinds[1].clone().rate(Some(1e9)).percent_of_peak, None);
    }
}
