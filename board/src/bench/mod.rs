//! `mergevit bench`: is a backend right, and how fast is it?

mod check;
mod estimate;
mod measure;
mod profile;
mod report;
mod serve;

use crate::cli::BenchArgs;
use crate::failure::Failure;
use crate::telemetry::memory;
use crate::{model, output};
pub(crate) use estimate::ModuleName;
use measure::{Limit, Pixels};
use mergevit_kernels::cpu;
use mergevit_runtime::Engine;
use report::Report;

/// Runs before anything is measured: caches fill, threads start, clocks rise.
const WARM_UP: u32 = 3;

pub(crate) fn run(args: &BenchArgs) -> Result<(), Failure> {
    if let Some(module) = args.estimate {
        return estimate::run(args, module);
    }
    let mut engine = model::load(&args.model, args.batch, measure::FRAME)?;
    let pixels = Pixels::random(engine.pack().config().image_bytes(), args.batch);
    measure::latencies(&mut engine, &pixels, Limit::Iterations(WARM_UP))?;
    // Before the check, which loads a second engine.
    let resident = memory::resident().unwrap_or_default();
    let check = check::check(args, &mut engine, &pixels)?;
    if args.serve {
        output::warn(&format!("check: {check}"));
        return serve::serve(&mut engine, &pixels);
    }

    let limit = match args.iterations {
        Some(iterations) => Limit::Iterations(iterations),
        None => Limit::Time(args.seconds),
    };
    let preprocess = measure::preprocessing(&mut engine)?;
    measure::latencies(&mut engine, &pixels, Limit::Iterations(WARM_UP))?;
    let latencies = measure::latencies(&mut engine, &pixels, limit)?;
    let peak = peak(&engine);
    let profile = match args.profile {
        true => Some(profile::profile(&mut engine, &pixels, limit, peak)?),
        false => None,
    };
    let report = Report::new(
        &engine, check, &latencies, preprocess, peak, resident, profile,
    );
    output::print(&report.to_string())?;
    if args.json {
        output::print_json(&report)?;
    }
    Ok(())
}

/// What the engine's instruction set reaches on the engine's threads, in multiply-accumulates a second;
/// `None` for a backend that has no such measure.
fn peak(engine: &Engine) -> Option<f64> {
    let name = engine.backend();
    let implementation = cpu::implementations().iter().find(|i| i.name == name)?;
    implementation.measure_peak(engine.threads())
}
