//! A profile as text.

use super::Profile;
use super::row::Row;
use crate::output::{self, Table};
use std::fmt;

const NUMBERS: [&str; 9] = [
    "time",
    "in place",
    "estimated",
    "share",
    "MMAC",
    "GMAC/s",
    "peak",
    "weights",
    "activations",
];

impl Profile {
    fn numbers(&self, row: &Row) -> [String; 9] {
        let total = self.kinds.last().map_or(0.0, |total| total.time_us);
        let multiplies = |text: String| if row.macs > 0 { text } else { "-".into() };
        let percent = |percent: f64| format!("{percent:.1} %");
        [
            output::microseconds(row.time_us),
            row.in_place_us.map_or("-".into(), output::microseconds),
            row.estimate_us.map_or("-".into(), output::range),
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
        )?;
        let (Some(network), Some(launch)) = (self.network_us, self.launch_us) else {
            return Ok(());
        };
        writeln!(
            f,
            "on the device alone: the network {}, a launch that does nothing {}; \"in place\" is what a launch adds to \
             those before it, its gap included",
            output::microseconds(network),
            output::microseconds(launch)
        )
    }
}
