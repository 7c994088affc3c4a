//! What changed from one record to another.

use super::record::{Measurement, Record};
use std::collections::BTreeMap;
use std::fmt;

/// One measurement that both records have.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    operation: String,
    shape: String,
    backend: String,
    before_ns: f64,
    after_ns: f64,
    /// Whether the medians are further apart than either run's own spread.
    changed: bool,
}

impl Row {
    /// Time after over time before: below 1 is faster.
    fn ratio(&self) -> f64 {
        self.after_ns / self.before_ns
    }
}

/// Two records side by side.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Comparison {
    /// By ratio, what became fastest first.
    rows: Vec<Row>,
    /// Measurements that only one of the records has.
    unmatched: usize,
    /// Differences other than the code's that may explain the ratios.
    warnings: Vec<String>,
}

/// What two measurements of the same thing have in common.
type Key<'a> = (&'a str, &'a str, &'a str, usize);

fn key(measurement: &Measurement) -> Key<'_> {
    (
        &measurement.operation,
        &measurement.shape,
        &measurement.backend,
        measurement.threads,
    )
}

/// From the fastest burst to the 90th percentile, in nanoseconds.
fn spread(measurement: &Measurement) -> f64 {
    measurement.p90_ns - measurement.min_ns
}

impl Comparison {
    pub(crate) fn new(before: &Record, after: &Record) -> Self {
        let old: BTreeMap<_, _> = before.measurements.iter().map(|m| (key(m), m)).collect();
        let mut rows: Vec<Row> = after
            .measurements
            .iter()
            .filter_map(|new| Some(row(old.get(&key(new))?, new)))
            .collect();
        rows.sort_by(|a, b| a.ratio().total_cmp(&b.ratio()));
        let measurements = before.measurements.len() + after.measurements.len();
        Self {
            unmatched: measurements - 2 * rows.len(),
            warnings: warnings(before, after),
            rows,
        }
    }
}

fn row(old: &Measurement, new: &Measurement) -> Row {
    let distance = (new.median_ns - old.median_ns).abs();
    Row {
        operation: new.operation.clone(),
        shape: new.shape.clone(),
        backend: new.backend.clone(),
        before_ns: old.median_ns,
        after_ns: new.median_ns,
        changed: distance > spread(old) && distance > spread(new),
    }
}

fn warnings(before: &Record, after: &Record) -> Vec<String> {
    let mut warnings = Vec::new();
    if before.machine != after.machine {
        warnings.push("the records are of different machines".into());
    }
    if before.rustc != after.rustc {
        warnings.push("the records are of different compilers".into());
    }
    for (which, record) in [("first", before), ("second", after)] {
        if record.profile != "bench" {
            warnings.push(format!(
                "the {which} record is of a {} build",
                record.profile
            ));
        }
    }
    warnings
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for warning in &self.warnings {
            writeln!(f, "note: {warning}")?;
        }
        writeln!(
            f,
            "{:16} {:24} {:16} {:>12} {:>12} {:>6}",
            "operation", "shape", "backend", "before us", "after us", "ratio"
        )?;
        for row in &self.rows {
            let verdict = match (row.changed, row.ratio() < 1.0) {
                (false, _) => "",
                (true, true) => "  faster",
                (true, false) => "  slower",
            };
            writeln!(
                f,
                "{:16} {:24} {:16} {:>12.2} {:>12.2} {:>6.3}{verdict}",
                row.operation,
                row.shape,
                row.backend,
                row.before_ns / 1e3,
                row.after_ns / 1e3,
                row.ratio(),
            )?;
        }
        let changed = self.rows.iter().filter(|row| row.changed).count();
        writeln!(
            f,
            "{changed} of {} changed by more than both runs' spread; {} measurements are in one record only",
            self.rows.len(),
            self.unmatched
        )
    }
}
