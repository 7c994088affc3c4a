//! One run: which cases meet which backends, a printed line for each measurement, and the record.

use super::frames::{self, Judge, OnVectorUnit, Preprocess};
use super::measure::Timing;
use super::on_gpu::{FramesOnGpu, OperationsOnGpu};
use super::operation::{AnyOperation, OnProcessor};
use super::options::Options;
use super::record::{CHECK, Measurement, Record, SCHEMA};
use super::suite::{Backend, Measured, Suite, SuiteError, Work};
use super::{cases, environment, on_gpu, suite};
use mergevit_kernels::cuda::Device;
use mergevit_kernels::cuda::driver::{self, Driver, OpenError, OpenOptions};
use std::collections::BTreeMap;
use thiserror::Error;

/// Why a run gives no record.
#[derive(Debug, Error)]
pub(crate) enum RunError {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Suite(#[from] SuiteError),
    #[error("--filter and --backend select nothing")]
    Nothing,
}

/// Measures everything that the options select.
///
/// # Errors
/// [`RunError`]: results that differ from the reference's, a device that failed, or nothing to measure.
pub(crate) fn run(options: &Options) -> Result<Record, RunError> {
    let mut run = Run {
        options,
        peaks: BTreeMap::new(),
        measurements: Vec::new(),
    };
    let gpu = gpu(options);
    let name = gpu.as_ref().map(|gpu| gpu.name().to_owned());
    run.suite(operations(options, gpu))?;
    // Opened again, so that the operations' memory is free.
    let gpu = name
        .is_some()
        .then(|| driver::open(0, &OpenOptions::default()))
        .transpose()?;
    run.suite(preprocessing(gpu))?;
    if run.measurements.is_empty() {
        return Err(RunError::Nothing);
    }
    Ok(run.record(name))
}

/// The first GPU, if the options select it and it opens.
fn gpu(options: &Options) -> Option<Driver> {
    if !on_gpu::NAME.contains(&options.backend) {
        return None;
    }
    let opened = driver::open(0, &OpenOptions::default());
    opened
        .inspect_err(|error| println!("{} is not measured: {error}", on_gpu::NAME))
        .ok()
}

fn operations(options: &Options, gpu: Option<Driver>) -> Suite<AnyOperation> {
    let processor = OnProcessor::all(options.threads(), &cases::CAPACITY);
    let mut backends: Vec<Box<dyn Backend<AnyOperation>>> = Vec::new();
    backends.extend(processor.map(|backend| Box::new(backend) as Box<_>));
    if let Some(gpu) = gpu {
        backends.push(Box::new(OperationsOnGpu::new(Box::new(gpu))));
    }
    backends.push(Box::new(OnProcessor::reference()));
    Suite {
        cases: match options.only_test() {
            true => cases::tiny(),
            false => cases::all(),
        },
        judge: Box::new(OnProcessor::reference()),
        backends,
    }
}

fn preprocessing(gpu: Option<Driver>) -> Suite<Preprocess> {
    let mut backends: Vec<Box<dyn Backend<Preprocess>>> = Vec::new();
    backends.extend(OnVectorUnit::all().map(|backend| Box::new(backend) as Box<_>));
    if let Some(gpu) = gpu {
        backends.push(Box::new(FramesOnGpu::new(Box::new(gpu))));
    }
    backends.push(Box::new(Judge));
    Suite {
        cases: frames::cases(),
        judge: Box::new(Judge),
        backends,
    }
}

struct Run<'a> {
    options: &'a Options,
    peaks: BTreeMap<String, f64>,
    measurements: Vec<Measurement>,
}

impl Run<'_> {
    /// Measures what the options select of a suite.
    fn suite<O: Measured + ?Sized>(&mut self, suite: Suite<O>) -> Result<(), SuiteError> {
        let Suite {
            mut cases,
            mut judge,
            mut backends,
        } = suite;
        let Options {
            filter, backend, ..
        } = self.options;
        backends.retain(|known| known.name().contains(backend));
        cases.retain(|case| format!("{} {}", case.operation, case.shape).contains(filter));
        if cases.is_empty() || backends.is_empty() {
            return Ok(());
        }
        self.note_peaks(&backends);
        println!("\n{}", heading());
        let budget = self.options.budget();
        for case in &cases {
            let (work, timings) = suite::measure(case, &mut *judge, &mut backends, &budget)?;
            for (backend, timing) in backends.iter().zip(&timings) {
                let name = (case.operation, &case.shape[..]);
                let measurement = measurement(name, work, &**backend, timing);
                println!("{}", line(&measurement));
                self.measurements.push(measurement);
            }
        }
        Ok(())
    }

    fn note_peaks<O: ?Sized>(&mut self, backends: &[Box<dyn Backend<O>>]) {
        for backend in backends {
            if let Some(peak) = backend.peak() {
                println!("{}: at most {:.1} GMAC/s", backend.name(), peak / 1e9);
                self.peaks.insert(backend.name().into(), peak.round());
            }
        }
    }

    fn record(self, device: Option<String>) -> Record {
        let profile = match cfg!(debug_assertions) {
            true => "dev",
            false => "bench",
        };
        Record {
            schema: SCHEMA,
            date: environment::now(),
            commit: environment::commit(),
            rustc: environment::rustc(),
            profile: profile.into(),
            machine: environment::machine(device),
            threads: self.options.threads(),
            seconds: self.options.budget().time.as_secs_f64(),
            peaks: self.peaks,
            measurements: self.measurements,
        }
    }
}

fn measurement<O: ?Sized>(
    (operation, shape): (&str, &str),
    work: Work,
    backend: &dyn Backend<O>,
    timing: &Timing,
) -> Measurement {
    // A tenth of a nanosecond and of a per mille are more than the clock tells.
    let round = |value: f64, digits: f64| (value * digits).round() / digits;
    let rate = work.macs as f64 / timing.median_ns * 1e9;
    let share = backend
        .peak()
        .filter(|_| work.macs > 0)
        .map(|peak| rate / peak);
    Measurement {
        operation: operation.into(),
        shape: shape.into(),
        backend: backend.name().into(),
        threads: backend.threads(),
        macs: work.macs,
        bytes: work.bytes,
        bursts: timing.bursts,
        median_ns: round(timing.median_ns, 10.0),
        min_ns: round(timing.min_ns, 10.0),
        p90_ns: round(timing.p90_ns, 10.0),
        peak_share: share.map(|share| round(share, 1e4)),
        check: CHECK.into(),
    }
}

fn heading() -> String {
    format!(
        "{:16} {:24} {:16} {:>11} {:>11} {:>11} {:>14} {:>8}",
        "operation", "shape", "backend", "median us", "min us", "p90 us", "rate", "of peak"
    )
}

/// A measurement as a line below the heading.
fn line(measurement: &Measurement) -> String {
    let Measurement {
        operation,
        shape,
        backend,
        median_ns,
        ..
    } = measurement;
    let rate = match measurement.macs {
        0 => format!("{:.2} GB/s", measurement.bytes as f64 / median_ns),
        macs => format!("{:.1} GMAC/s", macs as f64 / median_ns),
    };
    let share = measurement
        .peak_share
        .map(|share| format!("{:.1} %", 100.0 * share));
    format!(
        "{operation:16} {shape:24} {backend:16} {:>11.2} {:>11.2} {:>11.2} {rate:>14} {:>8}",
        median_ns / 1e3,
        measurement.min_ns / 1e3,
        measurement.p90_ns / 1e3,
        share.unwrap_or_default()
    )
}
