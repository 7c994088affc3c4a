//! The tables of a report as text.

use super::results::{Report, ScheduleReport};
use crate::evaluate::{LayerNoise, Place};

/// Text, row by row. The first column names the row; numbers follow.
pub(crate) struct Table {
    pub(crate) header: Vec<String>,
    /// Each as long as the header.
    pub(crate) rows: Vec<Vec<String>>,
}

/// A fraction in percent, without the sign.
pub(super) fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "-".into(), |x| format!("{:.2}", 100.0 * x))
}

/// A signal-to-noise ratio, without the unit.
pub(super) fn decibels(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".into(), |db| format!("{db:.1}"))
}

/// A fraction in percent with its standard error: `87.02 ± 0.34`.
pub(super) fn measured(fraction: Option<f64>, error: Option<f64>) -> String {
    match (fraction, error) {
        (Some(_), Some(error)) => format!("{} ± {:.2}", percent(fraction), 100.0 * error),
        _ => percent(fraction),
    }
}

/// How near embeddings are to those of full precision; no rows unless the model gives embeddings.
pub(super) fn embeddings(report: &Report) -> Table {
    let cosine = |cosine: f64| format!("{cosine:.5}");
    let row = |schedule: &ScheduleReport| {
        let mean = cosine(schedule.cosine?);
        let least = cosine(schedule.cosine_least?);
        let gmac = format!("{:.3}", schedule.gmac);
        Some(vec![schedule.name.clone(), mean, least, gmac])
    };
    let header = ["schedule", "cosine with FP32", "least", "GMAC"];
    Table {
        header: header.map(String::from).into(),
        rows: report.schedules.iter().filter_map(row).collect(),
    }
}

/// Accuracy and cost: full precision if there is a checkpoint, then each schedule; no rows of a model that only embeds.
pub(super) fn accuracy(report: &Report) -> Table {
    let header = [
        "schedule",
        "merged tokens",
        "top-1 %",
        "top-5 %",
        "agreement %",
        "SNR, dB",
        "GMAC",
    ];
    let full = report.top1_fp32.map(|top1| {
        vec![
            "FP32".into(),
            "0".into(),
            measured(Some(top1), report.top1_fp32_standard_error),
            measured(report.top5_fp32, report.top5_fp32_standard_error),
            "-".into(),
            "-".into(),
            "-".into(),
        ]
    });
    let classifying = report.schedules.iter().filter(|s| !s.classes.is_empty());
    let schedules = classifying.map(|schedule| {
        vec![
            schedule.name.clone(),
            schedule.merged.to_string(),
            measured(schedule.top1, schedule.top1_standard_error),
            measured(schedule.top5, schedule.top5_standard_error),
            measured(schedule.agreement, schedule.agreement_standard_error),
            decibels(schedule.signal_to_noise_db),
            format!("{:.3}", schedule.gmac),
        ]
    });
    Table {
        header: header.map(String::from).into(),
        rows: full.into_iter().chain(schedules).collect(),
    }
}

/// Noise of the residual stream, place by place; no rows if it was not measured.
pub(super) fn noise(report: &Report) -> Table {
    let place = |noise: &LayerNoise| {
        let part = match noise.after {
            Place::Embedding => "embedding",
            Place::Attention => "attention",
            Place::Mlp => "MLP",
        };
        noise
            .layer
            .map_or_else(|| part.into(), |layer| format!("layer {layer}, {part}"))
    };
    let ratio = |noise: &LayerNoise| {
        noise
            .signal_to_noise_db
            .map_or_else(|| "equal".into(), |db| format!("{db:.1}"))
    };
    let rows = report.noise.iter();
    Table {
        header: ["after", "signal to noise, dB"].map(String::from).into(),
        rows: rows.map(|noise| vec![place(noise), ratio(noise)]).collect(),
    }
}
