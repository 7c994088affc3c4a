//! What a cascade costs: each of its schedules alone, and both at the rate of second runs that the pack was measured
//! with, because random images, which are what is timed here, are not what a camera shows.

use super::latency::{Limit, latencies};
use super::pixels::Pixels;
use crate::failure::Failure;
use crate::model;
use crate::output::{self, Escaped};
use mergevit_runtime::words::Count;
use mergevit_runtime::{Cascade, Engine, Plan};
use serde::Serialize;
use std::fmt;

/// A cascade, and one batch of images through it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct CascadeReport {
    threshold: f32,
    first: Stage,
    then: Stage,
    /// Fraction of the images timed here that ran twice.
    second_run_rate: f64,
    /// What `pack` found on photographs.
    pack: Expected,
}

/// A schedule alone.
#[derive(Clone, Debug, Serialize)]
struct Stage {
    schedule: String,
    /// Of a batch.
    gmac: f64,
    /// Of a batch.
    latency_us_p50: f64,
}

/// What was measured of a cascade on images of its model's kind, and what it should cost there.
#[derive(Clone, Debug, Serialize)]
struct Expected {
    dataset: String,
    images: u64,
    agreement: f64,
    second_run_rate: f64,
    /// Of a batch, on average.
    gmac: f64,
    /// Of a batch, on average.
    latency_us: f64,
}

impl Stage {
    fn measure(
        engine: &mut Engine,
        schedule: &str,
        pixels: &Pixels,
        limit: Limit,
    ) -> Result<Self, Failure> {
        model::set_schedule(engine, schedule)?;
        latencies(engine, pixels, Limit::Iterations(super::WARM_UP))?;
        let latency_us_p50 = latencies(engine, pixels, limit)?.quantile_us(0.5);
        Ok(Self {
            schedule: schedule.into(),
            gmac: gmac(engine.plan()),
            latency_us_p50,
        })
    }
}

impl CascadeReport {
    /// Times the schedules of the cascade that the engine runs, each until the limit. The engine then runs the cascade
    /// again.
    pub(super) fn measure(
        engine: &mut Engine,
        cascade: &Cascade,
        pixels: &Pixels,
        limit: Limit,
    ) -> Result<Self, Failure> {
        let first = Stage::measure(engine, &cascade.first, pixels, limit)?;
        let then = Stage::measure(engine, &cascade.then, pixels, limit)?;
        model::set_schedule(engine, &cascade.name)?;
        let second_runs = second_runs(engine, pixels)?;
        let rate = cascade.second_runs;
        Ok(Self {
            threshold: cascade.threshold,
            second_run_rate: output::ratio(second_runs as f64, pixels.batch() as f64),
            pack: Expected {
                dataset: cascade.dataset.clone(),
                images: cascade.images,
                agreement: cascade.agreement,
                second_run_rate: rate,
                gmac: first.gmac + rate * then.gmac,
                latency_us: first.latency_us_p50 + rate * then.latency_us_p50,
            },
            first,
            then,
        })
    }
}

/// Images of a batch that run twice.
fn second_runs(engine: &mut Engine, pixels: &Pixels) -> Result<usize, Failure> {
    let output = engine.classify_pixels(pixels.all());
    let output = output.map_err(|error| Failure::work(&error))?;
    Ok(output.second_runs())
}

/// Work of a batch of images: under a cascade with the second runs that these images ask for.
pub(super) fn work(engine: &mut Engine, pixels: &Pixels) -> Result<f64, Failure> {
    let second_runs = match engine.cascade() {
        Some(_) => second_runs(engine, pixels)?,
        None => 0,
    };
    let first = gmac(engine.plan());
    let Some(cascade) = engine.cascade().filter(|_| second_runs > 0) else {
        return Ok(first);
    };
    let pack = engine.pack();
    let plan = Plan::new(pack.config(), model::second(pack, cascade)?, second_runs);
    Ok(first + gmac(&plan.map_err(|error| Failure::work(&error))?))
}

fn gmac(plan: &Plan) -> f64 {
    plan.cost().macs as f64 / 1e9
}

/// Lines of a report.
impl fmt::Display for CascadeReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, then, pack) = (&self.first, &self.then, &self.pack);
        let time = output::microseconds;
        writeln!(
            f,
            "cascade     {}, then {} where the margin is below {}",
            first.schedule, then.schedule, self.threshold
        )?;
        writeln!(
            f,
            "            p50 {} + {}, {:.3} + {:.3} GMAC per batch",
            time(first.latency_us_p50),
            time(then.latency_us_p50),
            first.gmac,
            then.gmac
        )?;
        writeln!(
            f,
            "            {} of these random images ran twice",
            output::percent(self.second_run_rate, 1)
        )?;
        writeln!(
            f,
            "            on {} of {}: {} ran twice, {} and {:.3} GMAC per batch on average, {} as under {}",
            Count(pack.images, "image"),
            Escaped(&pack.dataset),
            output::percent(pack.second_run_rate, 1),
            time(pack.latency_us),
            pack.gmac,
            output::percent(pack.agreement, 2),
            then.schedule
        )
    }
}
