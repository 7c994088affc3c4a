//! The command line.

use super::environment;
use super::measure::Budget;
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Where records are kept.
const RECORDS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/records");

/// Checks every operation on every backend against the scalar reference, bit for bit, then times it.
#[derive(Clone, Debug, Parser)]
#[command(bin_name = "cargo bench -p mergevit-kernels --")]
#[command(after_help = "Relative paths start at the folder `kernels`.")]
pub(crate) struct Options {
    /// Measure only cases with TEXT in their operation and shape, e.g. `fc1` or `41x768`
    #[arg(
        long,
        value_name = "TEXT",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) filter: String,
    /// Measure only backends with NAME in their name, e.g. `avx2` or `cuda`
    #[arg(
        long,
        value_name = "NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) backend: String,
    /// Threads [default: one a core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    threads: Option<u16>,
    /// Seconds for each operation, shape and backend
    #[arg(long, value_name = "S", default_value = "0.5", value_parser = seconds)]
    seconds: f64,
    /// Take a tenth of the time, and a single burst of slow backends
    #[arg(long)]
    quick: bool,
    /// Write the record to a file in DIR
    #[arg(long, value_name = "DIR", default_value = RECORDS, hide_default_value = true)]
    pub(crate) record: PathBuf,
    /// Write no record
    #[arg(long)]
    no_record: bool,
    /// Measure nothing; print what changed from one record to another
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"])]
    pub(crate) compare: Vec<PathBuf>,
    /// What `cargo bench` passes, unlike `cargo test`
    #[arg(long, hide = true)]
    bench: bool,
    /// Only check that everything runs, on the smallest model
    #[arg(long)]
    test: bool,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "not a number")?;
    match (0.001..=3600.0).contains(&seconds) {
        true => Ok(seconds),
        false => Err("expected 0.001 to 3600".into()),
    }
}

impl Options {
    /// Whether to check only that everything runs.
    pub(crate) fn only_test(&self) -> bool {
        self.test || !self.bench
    }

    pub(crate) fn records(&self) -> bool {
        !self.no_record && !self.only_test()
    }

    pub(crate) fn threads(&self) -> usize {
        self.threads.map_or_else(environment::cores, usize::from)
    }

    pub(crate) fn budget(&self) -> Budget {
        let seconds = match (self.only_test(), self.quick) {
            (true, _) => 0.0,
            (false, true) => self.seconds / 10.0,
            (false, false) => self.seconds,
        };
        Budget {
            time: Duration::from_secs_f64(seconds),
            min_bursts: if self.quick || self.only_test() { 1 } else { 3 },
        }
    }
}
