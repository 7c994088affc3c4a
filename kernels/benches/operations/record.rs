//! A record: what one run measured, as a JSON file. `benches/README.md` describes the fields.

use super::on_gpu;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};
use thiserror::Error;

/// Version of the fields. Any change of a name, unit or meaning gets another.
pub(crate) const SCHEMA: u32 = 1;

/// What every measurement's results are beside the scalar reference's: a difference ends the run.
pub(crate) const CHECK: &str = "bit-exact";

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Record {
    pub(crate) schema: u32,
    /// UTC, e.g. `2026-11-24T18:30:05Z`.
    pub(crate) date: String,
    pub(crate) commit: Option<String>,
    pub(crate) rustc: Option<String>,
    /// `bench` (optimized) or `dev` (with checks).
    pub(crate) profile: String,
    pub(crate) machine: Machine,
    /// Threads that backends were given.
    pub(crate) threads: usize,
    /// Seconds given to each measurement.
    pub(crate) seconds: f64,
    /// Most multiply-accumulates a second of each backend, where that was measured.
    pub(crate) peaks: BTreeMap<String, f64>,
    pub(crate) measurements: Vec<Measurement>,
}

/// Where a run was made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) architecture: String,
    /// Logical processors.
    pub(crate) cores: usize,
    /// Backends that the processor can run, best first.
    pub(crate) instruction_sets: Vec<String>,
    /// The GPU that was measured.
    pub(crate) device: Option<String>,
}

/// One operation at one shape on one backend.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Measurement {
    pub(crate) operation: String,
    pub(crate) shape: String,
    pub(crate) backend: String,
    pub(crate) threads: usize,
    pub(crate) macs: u64,
    pub(crate) bytes: u64,
    pub(crate) bursts: usize,
    pub(crate) median_ns: f64,
    pub(crate) min_ns: f64,
    pub(crate) p90_ns: f64,
    /// Share of the backend's peak that the median reaches.
    pub(crate) peak_share: Option<f64>,
    pub(crate) check: String,
}

/// Why a file is not a record.
#[derive(Debug, Error)]
pub(crate) enum RecordError {
    #[error("{path}: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error("{path}: not a record: {error}")]
    Json {
        path: PathBuf,
        error: serde_json::Error,
    },
    #[error("{path}: schema {found}, expected {SCHEMA}")]
    Schema { path: PathBuf, found: u32 },
}

/// What is read before anything else.
#[derive(Deserialize)]
struct Version {
    schema: u32,
}

impl Record {
    /// Reads a record.
    ///
    /// # Errors
    /// [`RecordError`]: no such file, not JSON, another schema, or other fields.
    pub(crate) fn read(path: &Path) -> Result<Self, RecordError> {
        let text = fs::read_to_string(path).map_err(|error| file_error(path, error))?;
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, RecordError> {
        let json_error = |error| RecordError::Json {
            path: path.into(),
            error,
        };
        let Version { schema } = serde_json::from_str(text).map_err(json_error)?;
        if schema != SCHEMA {
            return Err(RecordError::Schema {
                path: path.into(),
                found: schema,
            });
        }
        serde_json::from_str(text).map_err(json_error)
    }

    /// Writes the record to a new file in `directory`, which is made if needed.
    ///
    /// # Errors
    /// [`RecordError`] if it cannot be written.
    pub(crate) fn write(&self, directory: &Path) -> Result<PathBuf, RecordError> {
        fs::create_dir_all(directory).map_err(|error| file_error(directory, error))?;
        let path = self.new_path(directory);
        fs::write(&path, self.json()).map_err(|error| file_error(&path, error))?;
        Ok(path)
    }

    fn json(&self) -> String {
        let json = serde_json::to_string_pretty(self);
        json.expect("numbers and strings have a JSON form") + "\n"
    }

    /// `DATE-BACKEND.json`, or with a number if there is one of the same minute.
    fn new_path(&self, directory: &Path) -> PathBuf {
        let minute = self.date.get(..16).unwrap_or(&self.date).replace(':', "");
        let stem = format!("{minute}-{}", self.best_backend());
        let first = directory.join(format!("{stem}.json"));
        let later = (2..).map(|n| directory.join(format!("{stem}-{n}.json")));
        let mut paths = std::iter::once(first).chain(later);
        paths
            .find(|path| !path.exists())
            .expect("numbers do not end")
    }

    /// The GPU's if it was measured, else the first: backends are in order, best first.
    fn best_backend(&self) -> &str {
        let mut backends = self.measurements.iter().map(|m| m.backend.as_str());
        let first = backends.next().unwrap_or("none");
        let best = backends.find(|&name| name == on_gpu::NAME).unwrap_or(first);
        best.trim_start_matches("cpu/")
    }
}

fn file_error(path: &Path, error: io::Error) -> RecordError {
    RecordError::File {
        path: path.into(),
        error,
    }
}
