//! A pack's report as text.

use super::report::{CascadeReport, Report, ScheduleReport, SectionReport};
use crate::output::{self, Escaped, Table};
use mergevit_runtime::Provenance;
use mergevit_runtime::words::Count;
use std::fmt::Write;

/// The report, with the table of sections if that is asked for: a model has hundreds.
pub(super) fn text(report: &Report<'_>, with_sections: bool) -> String {
    let mut text = String::new();
    for (name, value) in summary(report) {
        let _ = writeln!(text, "{name:<16} {value}");
    }
    let tables: String = [
        schedules(&report.schedules),
        cascades(&report.cascades),
        merging(&report.schedules),
        confidence(&report.schedules),
    ]
    .iter()
    .filter(|table| !table.is_empty())
    .map(|table| format!("\n{table}"))
    .collect();
    let sections = match with_sections {
        true => sections(&report.sections).to_string(),
        false => format!(
            "{} sections; --sections lists them\n",
            report.sections.len()
        ),
    };
    text + &format!("{tables}\n{sections}")
}

/// Name and value of each line above the tables.
fn summary(report: &Report<'_>) -> Vec<(&'static str, String)> {
    let bytes = output::bytes(report.file_bytes as u64);
    let mut lines = vec![
        ("file", report.file.to_string()),
        ("bytes", format!("{} ({bytes})", report.file_bytes)),
        ("hash", report.hash.clone()),
        ("format", format!("version {}", report.format_version)),
    ];
    lines.extend(super::facts::lines(report.model, report.parameters));
    lines.push(("normalization", normalization(report.provenance)));
    let activations = format!("{} quantized", report.quantized_activations);
    lines.push(("activations", activations));
    lines.extend(provenance(report.provenance));
    lines
}

/// Settings that [`normalization`] shows.
const COLOURS: [&str; 2] = ["mean", "std"];

/// Mean and standard deviation of the colours, of pixels in 0 to 1.
fn normalization(provenance: &Provenance) -> String {
    let [mean, std] = COLOURS.map(|name| provenance.settings.get(name));
    let values = match (mean, std) {
        (Some(mean), Some(std)) => format!("mean {}, deviation {}", Escaped(mean), Escaped(std)),
        _ => "not recorded".into(),
    };
    format!("{values}; folded into the patch embedding")
}

/// Where the pack comes from.
fn provenance(provenance: &Provenance) -> impl Iterator<Item = (&'static str, String)> {
    let Provenance {
        checkpoint,
        checkpoint_hash,
        calibration_set,
        calibration_images,
        ..
    } = provenance;
    let lines = [
        (
            "checkpoint",
            format!("{} ({})", Escaped(checkpoint), Escaped(checkpoint_hash)),
        ),
        (
            "calibration",
            format!(
                "{}, {}",
                Escaped(calibration_set),
                Count(*calibration_images, "image")
            ),
        ),
        ("tool", Escaped(&provenance.tool).to_string()),
    ];
    let settings = provenance.settings.iter();
    let settings = settings
        .filter(|(key, _)| !COLOURS.contains(&key.as_str()))
        .map(|(key, value)| ("setting", format!("{} = {}", Escaped(key), Escaped(value))));
    lines.into_iter().chain(settings)
}

fn schedules(schedules: &[ScheduleReport<'_>]) -> Table {
    let mut table = Table::new([
        "schedule",
        "tokens",
        "GMAC",
        "arena",
        "top-1",
        "top-5",
        "agreement",
        "images",
        "data set",
    ]);
    for report in schedules {
        let ends = [report.tokens.first(), report.tokens.last()];
        let mut cells = vec![
            report.schedule.name.clone(),
            output::arrows(&ends.map(|tokens| tokens.copied().unwrap_or_default())),
            format!("{:.3}", report.gmac),
            output::bytes(report.arena_bytes as u64),
        ];
        match &report.schedule.accuracy {
            Some(accuracy) => cells.extend([
                output::percent(accuracy.top1, 2),
                output::percent(accuracy.top5, 2),
                output::percent(accuracy.agreement, 2),
                accuracy.images.to_string(),
                Escaped(&accuracy.dataset).to_string(),
            ]),
            None => cells.push("not measured".into()),
        }
        table.push(cells);
    }
    table
}

/// What cascades cost and keep, on average.
fn cascades(cascades: &[CascadeReport<'_>]) -> Table {
    let mut table = Table::new([
        "cascade",
        "first",
        "then",
        "if margin below",
        "second runs",
        "GMAC",
        "agreement",
        "wanted",
        "images",
        "data set",
    ]);
    for CascadeReport { cascade, gmac } in cascades {
        table.push([
            cascade.name.clone(),
            cascade.first.clone(),
            cascade.then.clone(),
            cascade.threshold.to_string(),
            output::percent(cascade.second_runs, 1),
            format!("{gmac:.3}"),
            output::percent(cascade.agreement, 2),
            output::percent(cascade.wanted_agreement, 2),
            cascade.images.to_string(),
            Escaped(&cascade.dataset).to_string(),
        ]);
    }
    table
}

/// What merging alone costs, where that was measured.
fn merging(schedules: &[ScheduleReport<'_>]) -> Table {
    let mut table = Table::new(["merging alone", "agreement", "SNR", "images", "data set"]);
    for schedule in schedules.iter().map(|report| report.schedule) {
        let Some(effect) = &schedule.merging else {
            continue;
        };
        let agreement = effect.agreement.map(|share| output::percent(share, 2));
        let ratio = effect.signal_to_noise_db.map(|db| format!("{db:.1} dB"));
        table.push([
            schedule.name.clone(),
            agreement.unwrap_or("-".into()),
            ratio.unwrap_or("equal".into()),
            effect.images.to_string(),
            Escaped(&effect.dataset).to_string(),
        ]);
    }
    table
}

/// How scores become probabilities, where that was fitted.
fn confidence(schedules: &[ScheduleReport<'_>]) -> Table {
    let mut table = Table::new([
        "confidence",
        "temperature",
        "calibration error",
        "without",
        "images",
        "data set",
    ]);
    for schedule in schedules.iter().map(|report| report.schedule) {
        let Some(confidence) = &schedule.confidence else {
            continue;
        };
        table.push([
            schedule.name.clone(),
            format!("{:.3}", confidence.temperature),
            output::percent(confidence.ece, 2),
            output::percent(confidence.ece_before, 2),
            confidence.images.to_string(),
            Escaped(&confidence.dataset).to_string(),
        ]);
    }
    table
}

fn sections(sections: &[SectionReport]) -> Table {
    let mut table = Table::new([
        "section", "layer", "type", "shape", "offset", "bytes", "xxh3-64",
    ]);
    for section in sections {
        table.push([
            section.kind.clone(),
            section.layer.map_or("-".into(), |layer| layer.to_string()),
            section.dtype.clone(),
            format!("{}x{}", section.rows, section.columns),
            section.offset.to_string(),
            section.length_bytes.to_string(),
            section.checksum.clone(),
        ]);
    }
    table
}
