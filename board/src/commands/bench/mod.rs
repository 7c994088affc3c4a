//! `mergevit bench`: is a backend correct, and how fast is it?

mod cascade;
mod check;
mod estimate;
mod latency;
mod pixels;
mod preprocessing;
mod profile;
mod report;
mod serve;

use crate::args::{self, ModelArgs};
use crate::failure::Failure;
use crate::telemetry::memory;
use crate::{model, output, start};
use cascade::CascadeReport;
use check::Check;
use estimate::ModuleName;
use latency::Limit;
use mergevit_kernels::cpu;
use mergevit_kernels::cuda::driver;
use mergevit_kernels::ops::MAX_BATCH;
use mergevit_runtime::Engine;
use mergevit_runtime::estimate::Module;
use pixels::Pixels;
use preprocessing::FRAME;
use report::{Measured, Report};
use serde::Serialize;
use std::fmt::Display;
use std::time::Duration;

#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n\
                        \x20 mergevit bench -m model.mvit --schedule r8 --profile\n\
                        \x20 mergevit bench -m model.mvit --batch 8 --seconds 10 --json\n\
                        \x20 mergevit bench -m model.mvit --estimate orin-nano-super")]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// Images per batch
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = args::within(1..=MAX_BATCH, "images"))]
    batch: usize,
    /// Time N runs [default: as many as --seconds allows]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    iterations: Option<u32>,
    /// Time runs for S seconds
    #[arg(long, default_value = "3", value_name = "S", value_parser = seconds, conflicts_with = "iterations")]
    seconds: Duration,
    /// Do not compare with the reference first
    #[arg(long)]
    no_check: bool,
    /// Also show the time, arithmetic and memory traffic of each operation
    #[arg(long)]
    profile: bool,
    /// Read counts from standard input, one per line; answer each with that many latencies in microseconds
    #[arg(long, conflicts_with_all = ["profile", "iterations", "json"])]
    serve: bool,
    /// Measure nothing; estimate the latency on a Jetson module instead
    #[arg(long, value_name = "MODULE", conflicts_with_all = ["profile", "iterations", "seconds", "serve", "backend", "threads"])]
    estimate: Option<ModuleName>,
    /// Print one JSON object per line: the start, then the results
    #[arg(long)]
    json: bool,
}

fn seconds(text: &str) -> Result<Duration, String> {
    args::within(0.01..=86400.0, "seconds")(text).map(Duration::from_secs_f64)
}

/// Runs before anything is measured: caches fill, threads start, clocks rise.
const WARM_UP: u32 = 3;

pub(crate) fn execute(args: &Args) -> Result<(), Failure> {
    if let Some(module) = args.estimate {
        let estimate = estimate::estimate(&args.model, args.batch, module)?;
        return print(&estimate, args.json);
    }
    let mut engine = model::load(&args.model, args.batch, FRAME)?;
    let cascade = engine.cascade().cloned();
    if let (Some(cascade), true) = (&cascade, args.profile) {
        return Err(Failure::Usage(format!(
            "--profile: of one schedule, and {} is a cascade of {} and {}",
            cascade.name, cascade.first, cascade.then
        )));
    }
    start::announce("bench", &engine, None, args.json)?;
    let pixels = Pixels::random(engine.pack().config().image_bytes(), args.batch);
    latency::latencies(&mut engine, &pixels, Limit::Iterations(WARM_UP))?;
    // Before the check, which loads a second engine.
    let resident = memory::resident().unwrap_or_default();
    let check = match args.no_check {
        true => Check::NotAsked,
        false => check::check(&args.model, &mut engine, &pixels)?,
    };
    if args.serve {
        output::note(&format!("check: {check}"));
        return serve::serve(&mut engine, &pixels);
    }

    let limit = match args.iterations {
        Some(iterations) => Limit::Iterations(iterations),
        None => Limit::Time(args.seconds),
    };
    let preprocess = preprocessing::preprocessing(&mut engine)?;
    latency::latencies(&mut engine, &pixels, Limit::Iterations(WARM_UP))?;
    let latencies = latency::latencies(&mut engine, &pixels, limit)?;
    let gmac = cascade::work(&mut engine, &pixels)?;
    let cascade = match &cascade {
        Some(cascade) => Some(CascadeReport::measure(
            &mut engine,
            cascade,
            &pixels,
            limit,
        )?),
        None => None,
    };
    let peak = peak(&engine);
    let profile = match args.profile {
        true => {
            let module = module(&engine, args.model.backend.multiprocessors);
            let module = module.as_ref();
            Some(profile::profile(&mut engine, &pixels, limit, peak, module)?)
        }
        false => None,
    };
    model::check(&args.model, &engine)?;
    let measured = Measured {
        check,
        latencies,
        gmac,
        cascade,
        preprocess,
        peak,
        resident,
        profile,
    };
    let report = Report::new(&engine, measured);
    print(&report, args.json)
}

/// What the estimate knows of the engine's device, of which `multiprocessors` are used; `None` for the processor and for
/// devices that it does not know.
fn module(engine: &Engine, multiprocessors: Option<u32>) -> Option<Module> {
    let number = engine.backend().strip_prefix("cuda")?;
    let ordinal = number
        .strip_prefix(':')
        .map_or(Some(0), |number| number.parse().ok())?;
    let driver = driver::probe().ok()?;
    let mut device = driver.usable(ordinal).ok()?.clone();
    device.multiprocessors = multiprocessors.unwrap_or(device.multiprocessors);
    Module::of(&device)
}

/// Prints a report as text or as JSON.
fn print(report: &(impl Display + Serialize), json: bool) -> Result<(), Failure> {
    match json {
        true => output::print_json(report),
        false => output::print(&report.to_string()),
    }
}

/// Peak multiply-accumulates per second of the engine's instruction set on the engine's threads; `None` for a
/// backend without such a measure.
fn peak(engine: &Engine) -> Option<f64> {
    let name = engine.backend();
    let implementation = cpu::implementations().iter().find(|i| i.name == name)?;
    implementation.measure_peak(engine.threads())
}
