//! The tables of a report, which text and page both show.

use super::results::Report;
use crate::evaluate::{LayerNoise, Place};

/// Text, row by row. The first column names the row; numbers follow.
pub(super) struct Table {
    pub(super) title: &'static str,
    pub(super) header: Vec<String>,
    /// Each as long as the header.
    pub(super) rows: Vec<Vec<String>>,
}

/// A fraction in percent, without the sign.
fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "-".into(), |x| format!("{:.2}", 100.0 * x))
}

/// Accuracy and cost: full precision if there is a checkpoint, then each schedule.
pub(super) fn accuracy(report: &Report) -> Table {
    let header = [
        "schedule",
        "merged tokens",
        "top-1 %",
        "top-5 %",
        "agreement %",
        "GMAC",
    ];
    let full = report.top1_fp32.map(|top1| {
        vec![
            "FP32".into(),
            "0".into(),
            percent(Some(top1)),
            percent(report.top5_fp32),
            "-".into(),
            "-".into(),
        ]
    });
    let schedules = report.schedules.iter().map(|schedule| {
        let merged: usize = schedule.merge.iter().map(|&r| usize::from(r)).sum();
        vec![
            schedule.name.clone(),
            merged.to_string(),
            percent(schedule.top1),
            percent(schedule.top5),
            percent(schedule.agreement),
            format!("{:.3}", schedule.gmac),
        ]
    });
    Table {
        title: "Accuracy",
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
        title: "Residual stream, INT8 against FP32",
        header: ["after", "signal to noise, dB"].map(String::from).into(),
        rows: rows.map(|noise| vec![place(noise), ratio(noise)]).collect(),
    }
}

/// Top-1 accuracy class by class: in full precision and under each schedule.
pub(super) fn classes(report: &Report) -> Table {
    let names = report.schedules.iter().map(|s| format!("{} %", s.name));
    let fixed = ["class", "images", "FP32 %"].map(String::from);
    let classes = report.schedules.first().map_or(&[][..], |s| &s.classes);
    let rows = classes.iter().enumerate().map(|(class, own)| {
        let fixed = [
            own.label.clone(),
            own.images.to_string(),
            percent(own.top1_fp32),
        ];
        let each = report.schedules.iter();
        let each = each.map(|s| percent(s.classes[class].top1));
        fixed.into_iter().chain(each).collect()
    });
    Table {
        title: "Classes, top-1",
        rows: rows.collect(),
        header: fixed.into_iter().chain(names).collect(),
    }
}
