//! Tables of what cascades do, and of what confidence is worth.

use super::results::{CascadeReport, Report, ScheduleReport};
use super::table::{Table, decibels, measured, percent};

/// Each cascade: what it keeps, and at which cost; no rows without cascades.
pub(super) fn cascades(report: &Report) -> Table {
    let row = |own: &CascadeReport| {
        vec![
            own.name.clone(),
            format!("{}, then {}", own.first, own.then),
            measured(own.top1, own.top1_standard_error),
            measured(own.agreement, own.agreement_standard_error),
            measured(own.agreement_then, own.agreement_then_standard_error),
            decibels(own.signal_to_noise_db),
            percent(own.second_runs),
            format!("{:.3}", own.gmac),
        ]
    };
    let header = [
        "cascade",
        "schedules",
        "top-1 %",
        "agreement with FP32 %",
        "with the second %",
        "SNR, dB",
        "second runs %",
        "mean GMAC",
    ];
    Table {
        header: header.map(String::from).into(),
        rows: report.cascades.iter().map(row).collect(),
    }
}

/// Expected calibration error of each schedule; no rows without labels.
pub(super) fn confidence(report: &Report) -> Table {
    let row = |own: &ScheduleReport| {
        let temperature = own
            .temperature
            .map_or_else(|| "-".into(), |t| format!("{t:.3}"));
        Some(vec![
            own.name.clone(),
            temperature,
            percent(Some(own.ece?)),
            percent(own.ece_uncalibrated),
            percent(own.ece_by_chance),
        ])
    };
    let header = [
        "schedule",
        "temperature",
        "calibration error %",
        "without temperature %",
        "by chance alone %",
    ];
    Table {
        header: header.map(String::from).into(),
        rows: report.schedules.iter().filter_map(row).collect(),
    }
}
