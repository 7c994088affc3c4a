//! Which class was taken for which.

use super::super::markup::escape;
use super::super::results::{ConfusedPair, Confusion, Report, ScheduleReport};
use super::parts::{Section, percent, table};
use std::fmt::Write;

/// So many of the most frequent confusions are shown; the data has more.
const PAIRS: usize = 10;

pub(super) fn section(report: &Report) -> Section {
    let mut body = String::new();
    let known = report
        .schedules
        .iter()
        .filter_map(|own| Some((own, own.confusion.as_ref()?)));
    for (index, (schedule, confusion)) in known.enumerate() {
        let content = of_schedule(schedule, confusion);
        // The first is open; the others are there for who wants them.
        match index {
            0 => body += &content,
            _ => {
                let name = escape(&schedule.name);
                let _ = write!(
                    body,
                    "<details><summary>The same under {name}</summary>\n{content}</details>\n"
                );
            }
        }
    }
    if !body.is_empty() {
        body += &classes(report);
    }
    Section {
        id: "confusion",
        title: "Which class is taken for which",
        body,
    }
}

fn of_schedule(schedule: &ScheduleReport, confusion: &Confusion) -> String {
    let name = escape(&schedule.name);
    let mut out = String::from("<div class=\"beside\">\n");
    if !confusion.table.is_empty() {
        let matrix = matrix(schedule, confusion);
        let _ = write!(
            out,
            "<div>\n<p class=\"note\">Labels down, answers of {name} across: how many images.</p>\n{matrix}</div>\n"
        );
    }
    let pairs = pairs(confusion);
    let _ = match pairs.is_empty() {
        true => writeln!(out, "<p>No labelled image was taken for another class.</p>"),
        false => write!(
            out,
            "<div>\n<p class=\"note\">The most frequent confusions of {name}.</p>\n{}</div>\n",
            table(&["", "images", "of the label", "in FP32"], &pairs)
        ),
    };
    out + "</div>\n"
}

/// Rows of the most frequent confusions.
fn pairs(confusion: &Confusion) -> Vec<Vec<String>> {
    let row = |pair: &ConfusedPair| {
        let fp32 = pair.images_fp32.map(|images| images.to_string());
        let (label, answer) = (escape(&pair.label), escape(&pair.answer));
        vec![
            format!("{label} <span class=\"note\">taken for</span> {answer}"),
            pair.images.to_string(),
            pair.of.to_string(),
            fp32.unwrap_or_else(|| "–".into()),
        ]
    };
    confusion.pairs.iter().take(PAIRS).map(row).collect()
}

fn matrix(schedule: &ScheduleReport, confusion: &Confusion) -> String {
    let names: Vec<String> = schedule
        .classes
        .iter()
        .map(|class| escape(&class.label))
        .collect();
    let mut out =
        String::from("<div class=\"wide\"><table class=\"matrix\">\n<thead><tr><th></th>");
    for name in &names {
        let _ = write!(out, "<th scope=\"col\"><span>{name}</span></th>");
    }
    out += "</tr></thead>\n<tbody>\n";
    for (label, (name, row)) in names.iter().zip(&confusion.table).enumerate() {
        let _ = write!(out, "<tr><th scope=\"row\">{name}</th>");
        let images: u64 = row.iter().sum();
        for (answer, &count) in row.iter().enumerate() {
            let class = match (count, answer == label) {
                (0, _) => "none",
                (_, true) => "right",
                (_, false) => "wrong",
            };
            let share = count as f64 / images.max(1) as f64;
            let _ = write!(
                out,
                "<td class=\"{class}\" style=\"--share:{share:.3}\">{count}</td>"
            );
        }
        out += "</tr>\n";
    }
    out += "</tbody></table></div>\n";
    out
}

/// Accuracy class by class.
fn classes(report: &Report) -> String {
    let Some(first) = report.schedules.first() else {
        return String::new();
    };
    let has_fp32 = report.top1_fp32.is_some();
    let names = report.schedules.iter().map(|own| escape(&own.name) + ", %");
    let names: Vec<String> = names.collect();
    let mut head = vec!["", "images"];
    head.extend(has_fp32.then_some("FP32, %"));
    head.extend(names.iter().map(String::as_str));
    let row = |(index, class): (usize, &super::super::results::ClassReport)| {
        let mut row = vec![escape(&class.label), class.images.to_string()];
        row.extend(has_fp32.then(|| percent(class.top1_fp32)));
        row.extend(
            report
                .schedules
                .iter()
                .map(|own| percent(own.classes[index].top1)),
        );
        row
    };
    let rows: Vec<_> = first.classes.iter().enumerate().map(row).collect();
    format!(
        "<details><summary>Accuracy class by class</summary>\n{}</details>\n",
        table(&head, &rows)
    )
}
