//! Every schedule on every embedded frame.

use super::samples::{SIDE, Sample};
use crate::failure::Failure;
use crate::model::is_unmerged;
use crate::{output, telemetry};
use mergevit_kernels::frame::{Frame, PixelFormat};
use mergevit_runtime::{Engine, Top};
use serde::Serialize;
use std::time::Instant;

/// One schedule on the embedded frames.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Result {
    pub(super) event: &'static str,
    pub(super) schedule: String,
    /// Tokens an image that enter each layer, then those that leave the last.
    pub(super) tokens: Vec<u16>,
    pub(super) frames: usize,
    /// Fraction whose first class is right.
    pub(super) top1: f64,
    /// Fraction with the same first class as without merging.
    pub(super) agreement: f64,
    pub(super) latency_us_p50: f64,
    pub(super) frames_per_second: f64,
    /// How many times faster than without merging.
    pub(super) speedup: f64,
}

/// Classifies a frame: preprocessing and inference. Fills `top`; returns the time in microseconds.
pub(super) fn classify(
    engine: &mut Engine,
    sample: Sample,
    top: &mut [Top],
) -> std::result::Result<f64, Failure> {
    let frame = Frame::packed(PixelFormat::Grey, SIDE, SIDE, sample.pixels)
        .map_err(|error| Failure::work(&error))?;
    let begin = Instant::now();
    let output = engine
        .classify(&[frame])
        .map_err(|error| Failure::work(&error))?;
    let time = begin.elapsed();
    output.top(0, top);
    Ok(time.as_secs_f64() * 1e6)
}

/// Measurements of one schedule: a class and a time per frame.
#[derive(Clone, Debug, Default)]
struct Run {
    tokens: Vec<u16>,
    classes: Vec<usize>,
    times: Vec<f64>,
}

/// Runs all schedules of the pack, taking turns on each frame, so that whatever else the machine does
/// meets all of them alike.
pub(super) fn evaluate(
    engine: &mut Engine,
    samples: &[Sample],
) -> std::result::Result<Vec<Result>, Failure> {
    let schedules = engine.pack().schedules().to_vec();
    let mut runs = vec![Run::default(); schedules.len()];
    for &sample in samples {
        for (schedule, run) in schedules.iter().zip(&mut runs) {
            crate::model::set_schedule(engine, &schedule.name)?;
            let mut top = [Top::default()];
            run.times.push(classify(engine, sample, &mut top)?);
            run.classes.push(top[0].class);
            if run.tokens.is_empty() {
                run.tokens = engine.plan().tokens().to_vec();
            }
        }
    }
    for run in &mut runs {
        run.times.sort_by(f64::total_cmp);
    }
    let unmerged = schedules.iter().position(is_unmerged).unwrap_or(0);
    let baseline = runs[unmerged].clone();
    let results = schedules.iter().zip(runs);
    Ok(results
        .map(|(schedule, run)| result(&schedule.name, run, &baseline, samples))
        .collect())
}

fn result(schedule: &str, run: Run, baseline: &Run, samples: &[Sample]) -> Result {
    let frames = samples.len();
    let fraction = |count: usize| output::ratio(count as f64, frames as f64);
    let right = run.classes.iter().zip(samples);
    let same = run.classes.iter().zip(&baseline.classes);
    let median = |run: &Run| telemetry::quantile(&run.times, 0.5).unwrap_or(0.0);
    let latency_us_p50 = median(&run);
    Result {
        event: "schedule",
        schedule: schedule.into(),
        frames,
        top1: fraction(
            right
                .filter(|(found, sample)| **found == sample.class)
                .count(),
        ),
        agreement: fraction(same.filter(|(found, expected)| found == expected).count()),
        latency_us_p50,
        frames_per_second: output::ratio(1e6, latency_us_p50),
        speedup: output::ratio(median(baseline), latency_us_p50),
        tokens: run.tokens,
    }
}
