//! An estimate as text.

use super::Estimate;
use crate::output::{self, Escaped, Table};
use mergevit_runtime::estimate::{Range, Row};
use std::fmt;

const HEADINGS: [&str; 12] = [
    "operations",
    "launches",
    "MMAC",
    "padding",
    "compute",
    "issue",
    "shared",
    "memory",
    "kB",
    "total",
    "share",
    "of floor",
];

/// Both ends of a rate.
fn rate(of: Range) -> String {
    format!("{:.0} – {:.0} frames per second", of.low, of.high)
}

impl Estimate {
    fn cells(&self, row: &Row) -> [String; 12] {
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
            output::microseconds(row.shared_us),
            output::range(row.memory_us),
            format!("{:.0}", row.memory_bytes as f64 / 1e3),
            output::range(row.total_us),
            percent(row.total_us.middle(), self.total.total_us.middle()),
            percent(row.floor_us(), row.total_us.middle()),
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
        let (least, most) = module.memory_rate();
        write!(
            f,
            "ESTIMATE, not a measurement: {} on {}, schedule {}, batch {}\n\
             {:.2} T multiply-accumulates/s, {:.0} – {:.0} GB/s of memory, {} per launch and {} of the processor (assumed)\n\n\
             {table}\nestimated latency {}, {}\n",
            self.architecture,
            self.module,
            self.schedule,
            self.batch,
            module.mac_rate() / 1e12,
            least / 1e9,
            most / 1e9,
            output::range(module.launch_us()),
            output::range(self.host_us),
            output::range(self.latency_us),
            rate(self.frames_per_second),
        )?;
        let Some(second) = &self.second else {
            return Ok(());
        };
        writeln!(
            f,
            "then {} in {} for {} of frames, as on {}: {} on average, {}",
            second.schedule,
            output::range(second.latency_us),
            output::percent(second.second_run_rate, 1),
            Escaped(&second.dataset),
            output::range(second.mean_latency_us),
            rate(second.mean_frames_per_second),
        )
    }
}
