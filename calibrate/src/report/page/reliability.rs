//! Whether confidence means what it says.

use super::super::interval::interval;
use super::super::markup::escape;
use super::super::plot::{Axis, Plot, Shape};
use super::super::results::{Report, ScheduleReport};
use super::parts::{Section, percent};

const SIZE: (f64, f64) = (400.0, 330.0);

/// So many schedules have a plot.
const PLOTS: usize = 6;

pub(super) fn section(report: &Report) -> Section {
    let known = report
        .schedules
        .iter()
        .filter(|own| !own.reliability.is_empty());
    let known: Vec<&ScheduleReport> = known.take(PLOTS).collect();
    let mut body = String::new();
    if !known.is_empty() {
        body += "<p>Of the answers that a schedule is 80 % sure of, 80 % should be right: then the marks lie on the \
                 diagonal. Below it, answers are surer than they should be. Bars show the share of images at each \
                 confidence.</p>\n<div class=\"plots\">\n";
        for (index, schedule) in known.into_iter().enumerate() {
            body += &format!(
                "<figure>{}<figcaption>{}</figcaption></figure>\n",
                plot(index, schedule),
                caption(schedule)
            );
        }
        body += "</div>\n";
    }
    Section {
        id: "reliability",
        title: "Whether confidence means what it says",
        body,
    }
}

fn caption(schedule: &ScheduleReport) -> String {
    let mut text = escape(&schedule.name);
    if schedule.ece.is_some() {
        text += &format!(": expected calibration error {} %", percent(schedule.ece));
    }
    if let (Some(before), Some(temperature)) = (schedule.ece_uncalibrated, schedule.temperature) {
        text += &format!(
            ", {:.2} % without its temperature of {temperature:.3}",
            100.0 * before
        );
    }
    if let Some(chance) = schedule.ece_by_chance {
        text += &format!("; {:.2} % would be chance", 100.0 * chance);
    }
    text
}

fn plot(index: usize, schedule: &ScheduleReport) -> String {
    let ticks = || {
        (0..=5)
            .map(|i| (20.0 * f64::from(i), (20 * i).to_string()))
            .collect()
    };
    let x = Axis::named("confidence, %", (0.0, 100.0), ticks());
    let y = Axis::linear("right, %", (0.0, 100.0), 5);
    let mut plot = Plot::new(SIZE, x, y);
    let total: u64 = schedule.reliability.iter().map(|bin| bin.images).sum();
    let mut described = Vec::new();
    for bin in schedule.reliability.iter().filter(|bin| bin.images > 0) {
        let share = 100.0 * bin.images as f64 / total as f64;
        let title = format!("{share:.1} % of the images");
        plot.bar((100.0 * bin.from, 100.0 * bin.to), share, "area n", &title);
    }
    plot.line(&[(0.0, 0.0), (100.0, 100.0)], "n dashed");
    for bin in &schedule.reliability {
        let (Some(confidence), Some(accuracy)) = (bin.confidence, bin.accuracy) else {
            continue;
        };
        let (low, high) = interval(accuracy, bin.images);
        plot.interval(100.0 * confidence, (100.0 * low, 100.0 * high), "a");
        let title = format!(
            "confidence {:.1} %, right {:.1} %, {} images",
            100.0 * confidence,
            100.0 * accuracy,
            bin.images
        );
        plot.mark(
            (100.0 * confidence, 100.0 * accuracy),
            Shape::Dot,
            "a",
            &title,
        );
        described.push(title);
    }
    let title = format!("Reliability of {}", schedule.name);
    plot.svg(
        &format!("reliability-{index}"),
        &title,
        &described.join("; "),
    )
}
