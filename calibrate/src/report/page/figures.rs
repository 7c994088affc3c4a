//! The few numbers that most readers came for.

use super::super::markup::escape;
use super::super::results::{Report, ScheduleReport};
use super::parts::{decibels, percent};
use std::fmt::Write;

/// Tiles of the first schedule's figures.
pub(super) fn tiles(report: &Report) -> String {
    let mut tiles: Vec<(String, &str, String)> = Vec::new();
    if let Some(schedule) = report.schedules.first() {
        of_schedule(report, schedule, &mut tiles);
    }
    let megabytes = report.network.bytes as f64 / 1e6;
    tiles.push((
        format!("{megabytes:.1}"),
        "MB",
        "the pack, on disk and in memory".into(),
    ));
    let mut out = String::from("<div class=\"tiles\">\n");
    for (value, unit, what) in tiles {
        // Writing to a string cannot fail.
        let _ = writeln!(
            out,
            "<div class=\"tile\"><b>{value} <small>{unit}</small></b><span>{}</span></div>",
            escape(&what)
        );
    }
    out.push_str("</div>\n");
    out
}

fn of_schedule(
    report: &Report,
    schedule: &ScheduleReport,
    tiles: &mut Vec<(String, &'static str, String)>,
) {
    let name = &schedule.name;
    if schedule.top1.is_some() {
        let what = match report.top1_fp32 {
            Some(_) => format!("top-1 of {name}; FP32 {} %", percent(report.top1_fp32)),
            None => format!("top-1 of {name}"),
        };
        tiles.push((percent(schedule.top1), "%", what));
    }
    if schedule.agreement.is_some() {
        let what = format!("decisions of {name} as FP32 makes them");
        tiles.push((percent(schedule.agreement), "%", what));
    }
    if let Some(cosine) = schedule.cosine {
        let what = format!("mean cosine of {name}'s embeddings with FP32's");
        tiles.push((format!("{cosine:.5}"), "", what));
    }
    if schedule.signal_to_noise_db.is_some() {
        let what = format!("signal to noise of {name}'s outputs");
        tiles.push((decibels(schedule.signal_to_noise_db), "dB", what));
    }
    let least = report
        .schedules
        .iter()
        .map(|own| own.gmac)
        .fold(f64::INFINITY, f64::min);
    let what = match least < schedule.gmac {
        true => format!("an image under {name}; down to {least:.2} by merging"),
        false => format!("an image under {name}"),
    };
    tiles.push((format!("{:.2}", schedule.gmac), "GMAC", what));
}
