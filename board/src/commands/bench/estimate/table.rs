//! An estimate as text.

use super::Estimate;
use crate::output::{self, Escaped, Table};
use mergevit_runtime::estimate::{LAUNCH_US, Row};
use std::fmt;

const HEADINGS: [&str; 11] = [
    "operations",
    "launches",
    "MMAC",
    "padding",
    "compute",
    "issue",
    "memory",
    "kB",
    "total",
    "share",
    "of floor",
];

impl Estimate {
    fn cells(&self, row: &Row) -> [String; 11] {
        let percent = |part: f64, whole: f64| match whole > 0.0 && part > 0.0 {
            true => output::percent(part / whole, 0),
            false => "-".into(),
        };
        let padding = row.tensor_macs.saturating_sub(row.macs);
        [
            row.name.clone(),
            row.launches.to_string(),
            format!("{:.1}", row.macs as f64 / 1e6),
            percent(padding as f64, row.macs as f64),
            output::microseconds(row.compute_us),
            output::microseconds(row.issue_us),
            output::microseconds(row.memory_us),
            format!("{:.0}", row.memory_bytes as f64 / 1e3),
            output::microseconds(row.total_us),
            percent(row.total_us, self.total.total_us),
            percent(row.floor_us(), row.total_us),
        ]
    }
}

impl fmt::Display for Estimate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::new(HEADINGS);
        for row in self.kinds.iter().chain([&self.total]) {
            table.push(self.cells(row));
        }
        let module = self.hardware;
        write!(
            f,
            "ESTIMATE, not a measurement: {} on {}, schedule {}, batch {}\n\
             {:.2} T multiply-accumulates/s, {:.0} GB/s of memory, {LAUNCH_US} µs per launch (assumed)\n\n\
             {table}\nestimated latency {}, {:.0} frames per second\n",
            self.architecture,
            self.module,
            self.schedule,
            self.batch,
            module.mac_rate() / 1e12,
            module.memory_rate() / 1e9,
            output::microseconds(self.latency_us),
            self.frames_per_second,
        )?;
        let Some(second) = &self.second else {
            return Ok(());
        };
        writeln!(
            f,
            "then {} in {} for {} of frames, as on {}: {} on average, {:.0} frames per second",
            second.schedule,
            output::microseconds(second.latency_us),
            output::percent(second.second_run_rate, 1),
            Escaped(&second.dataset),
            output::microseconds(second.mean_latency_us),
            second.mean_frames_per_second,
        )
    }
}
