//! What an evaluation found, for people: one self-contained page.

use super::Report;
use crate::evaluate::Place;
use std::fmt::Write;

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60em;margin:2em auto;padding:0 1em}\
table{border-collapse:collapse;margin:1em 0}th,td{padding:.25em .8em;border-bottom:1px solid #ccc;\
text-align:right}th:first-child,td:first-child{text-align:left}";

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            c => escaped.push(c),
        }
    }
    escaped
}

fn percent(fraction: Option<f64>) -> String {
    fraction.map_or_else(|| "-".into(), |x| format!("{:.2} %", 100.0 * x))
}

fn row(page: &mut String, tag: &str, cells: impl IntoIterator<Item = String>) {
    page.push_str("<tr>");
    for cell in cells {
        // Writing to a string cannot fail.
        let _ = write!(page, "<{tag}>{}</{tag}>", escape(&cell));
    }
    page.push_str("</tr>\n");
}

/// A page of tables: schedules, noise, classes.
pub fn html(report: &Report) -> String {
    let title = format!("{} on {}", escape(&report.model), escape(&report.dataset));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>{title}</title>\n\
         <style>{STYLE}</style>\n<h1>{title}</h1>\n<p>{} images, backend {}, FP32 without merging: \
         top-1 {}, top-5 {}.</p>\n",
        report.images,
        escape(&report.backend),
        percent(report.top1_fp32),
        percent(report.top5_fp32),
    );
    schedules(&mut page, report);
    noise(&mut page, report);
    classes(&mut page, report);
    page.push_str("</html>\n");
    page
}

fn schedules(page: &mut String, report: &Report) {
    page.push_str("<h2>Schedules</h2>\n<table>\n");
    let header = [
        "schedule",
        "merged tokens",
        "top-1",
        "top-5",
        "agreement",
        "GMAC",
    ];
    row(page, "th", header.map(String::from));
    for schedule in &report.schedules {
        let merged: usize = schedule.merge.iter().map(|&r| usize::from(r)).sum();
        let cells = [
            schedule.name.clone(),
            merged.to_string(),
            percent(schedule.top1),
            percent(schedule.top5),
            percent(schedule.agreement),
            format!("{:.3}", schedule.gmac),
        ];
        row(page, "td", cells);
    }
    page.push_str("</table>\n");
}

fn noise(page: &mut String, report: &Report) {
    if report.noise.is_empty() {
        return;
    }
    page.push_str("<h2>Residual stream, INT8 against FP32</h2>\n<table>\n");
    row(page, "th", ["after", "signal to noise"].map(String::from));
    for noise in &report.noise {
        let part = match noise.after {
            Place::Embedding => "embedding",
            Place::Attention => "attention",
            Place::Mlp => "MLP",
        };
        let place = noise
            .layer
            .map_or_else(|| part.into(), |layer| format!("layer {layer}, {part}"));
        let ratio = noise.signal_to_noise_db;
        row(
            page,
            "td",
            [
                place,
                ratio.map_or_else(|| "-".into(), |db| format!("{db:.1} dB")),
            ],
        );
    }
    page.push_str("</table>\n");
}

fn classes(page: &mut String, report: &Report) {
    let Some(first) = report.schedules.first() else {
        return;
    };
    page.push_str("<h2>Classes, top-1</h2>\n<table>\n");
    let names = report
        .schedules
        .iter()
        .map(|schedule| schedule.name.clone());
    let fixed = ["class", "images", "FP32"].map(String::from);
    row(page, "th", fixed.into_iter().chain(names));
    for (class, own) in first.classes.iter().enumerate() {
        let fixed = [
            own.label.clone(),
            own.images.to_string(),
            percent(own.top1_fp32),
        ];
        let each = report
            .schedules
            .iter()
            .map(|s| percent(s.classes[class].top1));
        row(page, "td", fixed.into_iter().chain(each));
    }
    page.push_str("</table>\n");
}
