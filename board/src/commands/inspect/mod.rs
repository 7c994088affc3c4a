//! `mergevit inspect`: what a pack holds.

use crate::failure::Failure;
use crate::{model, output};
use mergevit_runtime::plan::Cost;
use mergevit_runtime::{LoadError, ModelConfig, Pack, Plan, Provenance, Schedule, Section};
use serde::Serialize;
use std::fmt::Write;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pack written by `mergevit-calibrate pack`
    #[arg(value_name = "M.mvit")]
    pack: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Report<'a> {
    file: String,
    file_bytes: usize,
    format_version: u32,
    model: &'a ModelConfig,
    parameters: usize,
    schedules: Vec<ScheduleReport<'a>>,
    provenance: &'a Provenance,
    quantized_activations: usize,
    sections: Vec<SectionReport>,
}

#[derive(Serialize)]
struct ScheduleReport<'a> {
    #[serde(flatten)]
    schedule: &'a Schedule,
    /// Tokens an image that enter each layer, then those that leave the last.
    tokens: Vec<u16>,
    gmac: f64,
    arena_bytes: usize,
}

#[derive(Serialize)]
struct SectionReport {
    kind: String,
    layer: Option<usize>,
    dtype: String,
    rows: usize,
    columns: usize,
    offset: usize,
    length_bytes: usize,
    /// XXH3-64, hexadecimal.
    checksum: String,
}

impl From<&Section> for SectionReport {
    fn from(section: &Section) -> Self {
        Self {
            kind: section.kind.to_string(),
            layer: section.layer,
            dtype: format!("{:?}", section.dtype).to_lowercase(),
            rows: section.rows,
            columns: section.columns,
            offset: section.offset,
            length_bytes: section.length,
            checksum: format!("{:016x}", section.checksum),
        }
    }
}

pub(crate) fn execute(args: &Args) -> Result<(), Failure> {
    let pack = Pack::open(&args.pack).map_err(|error| model::failure(&LoadError::Pack(error)))?;
    let report = Report {
        file: args.pack.display().to_string(),
        file_bytes: pack.len(),
        format_version: mergevit_runtime::pack::VERSION,
        model: pack.config(),
        parameters: parameters(&pack),
        schedules: schedules(&pack)?,
        provenance: pack.provenance(),
        quantized_activations: pack.quantization().len(),
        sections: pack.sections().map(SectionReport::from).collect(),
    };
    if args.json {
        output::print_json(&report)
    } else {
        output::print(&text(&report))
    }
}

/// Elements of the weight matrices.
fn parameters(pack: &Pack) -> usize {
    let matrices = pack.sections().filter(|section| section.rows > 1);
    matrices.map(|section| section.rows * section.columns).sum()
}

fn schedules(pack: &Pack) -> Result<Vec<ScheduleReport<'_>>, Failure> {
    let schedules = pack.schedules().iter();
    schedules
        .map(|schedule| {
            let plan =
                Plan::new(pack.config(), schedule, 1).map_err(|error| Failure::work(&error))?;
            let Cost { macs, .. } = plan.cost();
            Ok(ScheduleReport {
                schedule,
                tokens: plan.tokens().to_vec(),
                gmac: macs as f64 / 1e9,
                arena_bytes: plan.arena_len(),
            })
        })
        .collect()
}

fn text(report: &Report<'_>) -> String {
    let mut text = String::new();
    for (name, value) in summary(report) {
        let _ = writeln!(text, "{name:<16} {value}");
    }
    text.push('\n');
    text.push_str(&output::table(&schedule_rows(&report.schedules)));
    text.push('\n');
    text.push_str(&output::table(&section_rows(&report.sections)));
    text
}

fn summary(report: &Report<'_>) -> Vec<(&'static str, String)> {
    let Report {
        model, provenance, ..
    } = report;
    let resize = match model.preprocessing.resize {
        mergevit_runtime::ResizeMode::ShortestSide(side) => format!("shortest side to {side}"),
        mergevit_runtime::ResizeMode::Exact { width, height } => format!("{width}x{height}"),
    };
    let token = if model.class_token { "with" } else { "no" };
    let lines = [
        ("file", report.file.clone()),
        (
            "bytes",
            format!(
                "{} ({})",
                report.file_bytes,
                output::bytes(report.file_bytes as u64)
            ),
        ),
        ("format", format!("version {}", report.format_version)),
        ("architecture", model.architecture.clone()),
        (
            "shape",
            format!(
                "{} layers, width {}, {} heads, MLP {}, {} parameters",
                model.depth, model.width, model.heads, model.mlp_width, report.parameters
            ),
        ),
        (
            "input",
            format!(
                "{size} x {size} pixels, patches of {}, {token} class token, pooling {:?}",
                model.patch_size,
                model.pooling,
                size = model.image_size
            ),
        ),
        (
            "preprocessing",
            format!(
                "{resize}, {:?}, then a centre crop to {size} x {size}",
                model.preprocessing.interpolation,
                size = model.image_size
            ),
        ),
        (
            "classes",
            format!("{}, {} labels", model.classes, model.labels.len()),
        ),
        (
            "activations",
            format!("{} quantized", report.quantized_activations),
        ),
        (
            "checkpoint",
            format!("{} ({})", provenance.checkpoint, provenance.checkpoint_hash),
        ),
        (
            "calibration",
            format!(
                "{}, {} images",
                provenance.calibration_set, provenance.calibration_images
            ),
        ),
        ("tool", provenance.tool.clone()),
    ];
    let settings = provenance.settings.iter();
    let settings = settings.map(|(key, value)| ("setting", format!("{key} = {value}")));
    lines.into_iter().chain(settings).collect()
}

fn schedule_rows(schedules: &[ScheduleReport<'_>]) -> Vec<Vec<String>> {
    let heads = [
        "schedule",
        "tokens",
        "GMAC",
        "arena",
        "top-1",
        "top-5",
        "agreement",
        "images",
        "data set",
    ];
    let row = |report: &ScheduleReport<'_>| {
        let tokens = |at: Option<&u16>| at.map_or(String::new(), ToString::to_string);
        let mut cells = vec![
            report.schedule.name.clone(),
            format!(
                "{}→{}",
                tokens(report.tokens.first()),
                tokens(report.tokens.last())
            ),
            format!("{:.3}", report.gmac),
            output::bytes(report.arena_bytes as u64),
        ];
        let percent = |fraction: f64| format!("{:.2} %", 100.0 * fraction);
        match &report.schedule.accuracy {
            Some(accuracy) => cells.extend([
                percent(accuracy.top1),
                percent(accuracy.top5),
                percent(accuracy.agreement),
                accuracy.images.to_string(),
                accuracy.dataset.clone(),
            ]),
            None => cells.push("not measured".into()),
        }
        cells
    };
    let rows = schedules.iter().map(row);
    std::iter::once(heads.map(String::from).to_vec())
        .chain(rows)
        .collect()
}

fn section_rows(sections: &[SectionReport]) -> Vec<Vec<String>> {
    let heads = [
        "section", "layer", "type", "shape", "offset", "bytes", "xxh3-64",
    ];
    let row = |section: &SectionReport| {
        vec![
            section.kind.clone(),
            section.layer.map_or("-".into(), |layer| layer.to_string()),
            section.dtype.clone(),
            format!("{}x{}", section.rows, section.columns),
            section.offset.to_string(),
            section.length_bytes.to_string(),
            section.checksum.clone(),
        ]
    };
    let rows = sections.iter().map(row);
    std::iter::once(heads.map(String::from).to_vec())
        .chain(rows)
        .collect()
}
