//! Compares the schedules on all embedded frames.

use super::classify::classify;
use super::samples::Sample;
use crate::failure::Failure;
use crate::output::{self, Table, Time};
use crate::ranking::Ranked;
use crate::{model, telemetry};
use mergevit_runtime::Engine;
use mergevit_runtime::words::Count;
use serde::Serialize;

/// One schedule on the embedded frames.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Evaluation {
    pub(super) event: &'static str,
    pub(super) time: Time,
    pub(super) schedule: String,
    /// Tokens per image: those that enter each layer, then those that leave the last.
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

/// Measurements of one schedule: a class and a time per frame.
#[derive(Clone, Debug, Default)]
struct Run {
    tokens: Vec<u16>,
    classes: Vec<usize>,
    times: Vec<f64>,
}

/// Runs all schedules of the pack, taking turns on each frame, so that whatever else the machine does
/// affects all of them alike.
pub(super) fn evaluate(
    engine: &mut Engine,
    samples: &[Sample],
) -> Result<Vec<Evaluation>, Failure> {
    let schedules = engine.pack().schedules().to_vec();
    let mut runs = vec![Run::default(); schedules.len()];
    for &sample in samples {
        for (schedule, run) in schedules.iter().zip(&mut runs) {
            model::set_schedule(engine, &schedule.name)?;
            let mut top = [Ranked::default()];
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
    let unmerged = schedules
        .iter()
        .position(mergevit_runtime::Schedule::is_unmerged)
        .unwrap_or(0);
    let baseline = runs[unmerged].clone();
    let results = schedules.iter().zip(runs);
    Ok(results
        .map(|(schedule, run)| evaluation(&schedule.name, run, &baseline, samples))
        .collect())
}

fn evaluation(schedule: &str, run: Run, baseline: &Run, samples: &[Sample]) -> Evaluation {
    let frames = samples.len();
    let fraction = |count: usize| output::ratio(count as f64, frames as f64);
    let right = run.classes.iter().zip(samples);
    let same = run.classes.iter().zip(&baseline.classes);
    let median = |run: &Run| telemetry::quantile(&run.times, 0.5).unwrap_or(0.0);
    let latency_us_p50 = median(&run);
    Evaluation {
        event: "schedule",
        time: Time::now(),
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

/// The schedules side by side.
pub(super) fn summary(engine: &Engine, results: &[Evaluation]) -> String {
    let mut table = Table::new([
        "schedule",
        "merged",
        "tokens left",
        "accuracy",
        "agreement",
        "median",
        "frames/s",
        "speed",
    ]);
    for result in results {
        let first = result.tokens.first().copied().unwrap_or(0);
        let last = result.tokens.last().copied().unwrap_or(0);
        table.push([
            result.schedule.clone(),
            (first - last).to_string(),
            format!("{last} of {first}"),
            output::percent(result.top1, 1),
            output::percent(result.agreement, 1),
            output::microseconds(result.latency_us_p50),
            format!("{:.0}", result.frames_per_second),
            format!("{:.2} x", result.speedup),
        ]);
    }
    let frames = results.first().map_or(0, |result| result.frames);
    format!(
        "{table}\n{}, one at a time, {}; accuracy against the labels, agreement and \
         speed against no merging.\n",
        Count(frames as u64, "frame"),
        model::place(engine)
    )
}
