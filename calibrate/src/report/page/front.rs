//! What can be had at which cost.

use super::super::interval::interval;
use super::super::markup::escape;
use super::super::plot::{Axis, Plot, Shape};
use super::super::results::{FrontPoint, Report};
use super::parts::{Section, decibels, percent, table, with_interval};
use mergevit_runtime::estimate::Range;

const SIZE: (f64, f64) = (820.0, 400.0);

/// Points that are no pack's are listed up to so many.
const LISTED: usize = 40;

/// What is plotted over the cost.
#[derive(Clone, Copy, PartialEq)]
enum Quality {
    Agreement,
    Noise,
}

impl Quality {
    fn of(self, point: &FrontPoint) -> Option<f64> {
        match self {
            Self::Agreement => point.agreement.map(|p| 100.0 * p),
            Self::Noise => point.signal_to_noise_db,
        }
    }
}

pub(super) fn section(report: &Report) -> Section {
    let mut body = String::new();
    let points = &report.front;
    let quality = match points.iter().any(|point| point.agreement.is_some()) {
        true => Quality::Agreement,
        false => Quality::Noise,
    };
    let known: Vec<&FrontPoint> = points.iter().filter(|p| quality.of(p).is_some()).collect();
    if let (Some(basis), true) = (&report.front_basis, known.len() > 1) {
        body = format!(
            "<p>Each mark is a schedule: what it costs, and how often it answers as {} does, on {} images of {}.</p>\n",
            escape(&basis.reference),
            basis.images,
            escape(&basis.dataset)
        );
        body += "<figure>";
        body += &plot(report, &known, quality);
        body += "</figure>\n";
        body += &key(report, &known);
        body += &list(report, &known);
    }
    Section {
        id: "front",
        title: "What can be had at which cost",
        body,
    }
}

/// Whether costs are times.
fn has_latency(points: &[&FrontPoint]) -> bool {
    points.iter().all(|point| point.latency_us.is_some())
}

fn cost(point: &FrontPoint, in_time: bool) -> f64 {
    match (in_time, point.latency_us) {
        (true, Some(latency)) => latency.middle() / 1e3,
        _ => point.gmac,
    }
}

fn plot(report: &Report, points: &[&FrontPoint], quality: Quality) -> String {
    let in_time = has_latency(points);
    let at = |point: &FrontPoint| (cost(point, in_time), quality.of(point).unwrap_or(0.0));
    let images = report.front_basis.as_ref().map_or(0, |basis| basis.images);
    let range = |point: &FrontPoint| match (quality, point.agreement) {
        (Quality::Agreement, Some(p)) if images > 0 => {
            let (low, high) = interval(p, images);
            (100.0 * low, 100.0 * high)
        }
        _ => (at(point).1, at(point).1),
    };
    let span = |values: &mut dyn Iterator<Item = f64>| {
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
            (low.min(x), high.max(x))
        })
    };
    let costs = span(&mut points.iter().map(|point| at(point).0));
    let values = span(
        &mut points
            .iter()
            .flat_map(|point| <[f64; 2]>::from(range(point))),
    );
    let target = report
        .front_basis
        .as_ref()
        .and_then(|basis| basis.target.as_deref());
    let x = match (in_time, target) {
        (true, Some(target)) => format!("milliseconds an image, {target}"),
        (true, None) => "milliseconds an image".into(),
        (false, _) => "GMAC an image".into(),
    };
    let y = match quality {
        Quality::Agreement => Axis::linear("agreement, %", values, 6).ending(100.0),
        Quality::Noise => Axis::linear("signal to noise, dB", values, 6),
    };
    let mut plot = Plot::new(SIZE, Axis::linear(x, costs, 7), y);
    plot.line(
        &best(points.iter().map(|point| at(point)).collect()),
        "n faint",
    );
    let look = |point: &FrontPoint| match (is_cascade(report, point), point.chosen) {
        (true, _) => (Shape::Diamond, "b"),
        (false, true) => (Shape::Dot, "a"),
        (false, false) => (Shape::Ring, "n"),
    };
    // What is in the pack is drawn last, above the rest, and first named.
    let mut sorted = points.to_vec();
    sorted.sort_by_key(|point| point.chosen);
    for point in &sorted {
        let (shape, class) = look(point);
        if point.chosen {
            plot.interval(at(point).0, range(point), class);
        }
        plot.mark(at(point), shape, class, &describe(point));
    }
    for point in sorted.iter().rev().filter(|point| point.chosen) {
        plot.label(at(point), &point.name);
    }
    let chosen: Vec<String> = sorted
        .iter()
        .filter(|p| p.chosen)
        .map(|p| describe(p))
        .collect();
    plot.svg("front", "Agreement against cost", &chosen.join("; "))
}

/// Those of `points` (cost, quality) that no other beats in both, in the order of their cost.
fn best(mut points: Vec<(f64, f64)>) -> Vec<(f64, f64)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(b.1.total_cmp(&a.1)));
    let mut highest = f64::NEG_INFINITY;
    points.retain(|point| {
        let is_best = point.1 > highest;
        highest = highest.max(point.1);
        is_best
    });
    points
}

/// Both ends of a time in microseconds, or the one that is both.
fn milliseconds(time_us: Range) -> String {
    let (low, high) = (time_us.low / 1e3, time_us.high / 1e3);
    match low < high {
        true => format!("{low:.2} – {high:.2}"),
        false => format!("{low:.2}"),
    }
}

fn describe(point: &FrontPoint) -> String {
    let mut text = format!("{}: {:.3} GMAC", point.name, point.gmac);
    if let Some(latency) = point.latency_us {
        text += &format!(", {} ms", milliseconds(latency));
    }
    if point.agreement.is_some() {
        text += &format!(", agreement {} %", percent(point.agreement));
    }
    if point.signal_to_noise_db.is_some() {
        text += &format!(", {} dB", decibels(point.signal_to_noise_db));
    }
    text
}

fn list(report: &Report, points: &[&FrontPoint]) -> String {
    let images = report.front_basis.as_ref().map_or(0, |basis| basis.images);
    let row = |point: &&FrontPoint| {
        let latency = point.latency_us.map_or_else(|| "–".into(), milliseconds);
        vec![
            escape(&point.name),
            if point.chosen {
                "yes".into()
            } else {
                "no".into()
            },
            format!("{:.3}", point.gmac),
            latency,
            with_interval(point.agreement, images),
            decibels(point.signal_to_noise_db),
        ]
    };
    let mut sorted = points.to_vec();
    sorted.sort_by(|a, b| b.chosen.cmp(&a.chosen).then(b.gmac.total_cmp(&a.gmac)));
    let rows: Vec<_> = sorted.iter().take(LISTED).map(row).collect();
    let head = [
        "",
        "in the pack",
        "GMAC",
        "ms",
        "agreement, %",
        "signal to noise, dB",
    ];
    format!(
        "<details><summary>The points as a table</summary>\n{}</details>\n",
        table(&head, &rows)
    )
}

const IN_THE_PACK: &str = r#"<span class="a"><svg viewBox="0 0 14 14" aria-hidden="true"><circle class="mark" cx="7" cy="7" r="4.5"/></svg>schedule in the pack, with its 95 % interval</span>"#;
const CASCADE: &str = r#"<span class="b"><svg viewBox="0 0 14 14" aria-hidden="true"><path class="mark" d="M7 2l5 5-5 5-5-5z"/></svg>cascade, average cost</span>"#;
const TRIED: &str = r#"<span class="n"><svg viewBox="0 0 14 14" aria-hidden="true"><circle class="ring" cx="7" cy="7" r="3.8"/></svg>tried, not in the pack</span>"#;

/// What the marks mean, of those that there are.
fn key(report: &Report, points: &[&FrontPoint]) -> String {
    let has_cascades = points.iter().any(|point| is_cascade(report, point));
    let has_tried = points.iter().any(|point| !point.chosen);
    let cascade = if has_cascades { CASCADE } else { "" };
    let tried = if has_tried { TRIED } else { "" };
    format!("<p class=\"key\">{IN_THE_PACK}\n{cascade}\n{tried}</p>\n")
}

fn is_cascade(report: &Report, point: &FrontPoint) -> bool {
    report.cascades.iter().any(|own| own.name == point.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_points_cost_less_or_keep_more() {
        let points = vec![
            (3.0, 99.0),
            (1.0, 90.0),
            (2.0, 97.0),
            (2.5, 96.0),
            (1.0, 95.0),
        ];
        assert_eq!(best(points), [(1.0, 95.0), (2.0, 97.0), (3.0, 99.0)]);
    }
}
