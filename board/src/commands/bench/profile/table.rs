//! A profile as text.

use super::Profile;
use super::row::Row;
use crate::output::{self, Table};
use std::fmt;

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
