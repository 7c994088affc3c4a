//! What a pack holds, as data.

use crate::failure::Failure;
use crate::file_name::FileName;
use crate::output::Time;
use mergevit_runtime::plan::Cost;
use mergevit_runtime::{Cascade, ModelConfig, Pack, Plan, Provenance, Schedule, Section};
use serde::Serialize;
use std::path::Path;

#[derive(Serialize)]
pub(super) struct Report<'a> {
    event: &'static str,
    time: Time,
    #[serde(flatten)]
    pub(super) file: FileName,
    /// Of the whole file.
    pub(super) hash: String,
    pub(super) file_bytes: usize,
    pub(super) format_version: u32,
    pub(super) model: &'a ModelConfig,
    pub(super) parameters: usize,
    pub(super) schedules: Vec<ScheduleReport<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) cascades: Vec<CascadeReport<'a>>,
    pub(super) provenance: &'a Provenance,
    pub(super) quantized_activations: usize,
    pub(super) sections: Vec<SectionReport>,
}

#[derive(Serialize)]
pub(super) struct ScheduleReport<'a> {
    #[serde(flatten)]
    pub(super) schedule: &'a Schedule,
    /// Tokens per image: those that enter each layer, then those that leave the last.
    pub(super) tokens: Vec<u16>,
    pub(super) gmac: f64,
    pub(super) arena_bytes: usize,
}

#[derive(Serialize)]
pub(super) struct CascadeReport<'a> {
    #[serde(flatten)]
    pub(super) cascade: &'a Cascade,
    /// On average, at its rate of second runs.
    pub(super) gmac: f64,
}

#[derive(Serialize)]
pub(super) struct SectionReport {
    pub(super) kind: String,
    pub(super) layer: Option<usize>,
    pub(super) dtype: String,
    pub(super) rows: usize,
    pub(super) columns: usize,
    pub(super) offset: usize,
    pub(super) length_bytes: usize,
    /// XXH3-64, hexadecimal.
    pub(super) checksum: String,
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

impl<'a> Report<'a> {
    /// Reports on `pack`, which was read from `file`.
    pub(super) fn new(file: &Path, pack: &'a Pack) -> Result<Self, Failure> {
        let schedules = schedules(pack)?;
        Ok(Self {
            event: "pack",
            time: Time::now(),
            file: FileName::from(file),
            hash: pack.hash(),
            file_bytes: pack.len(),
            format_version: mergevit_runtime::pack::VERSION,
            model: pack.config(),
            parameters: parameters(pack),
            cascades: cascades(pack, &schedules),
            schedules,
            provenance: pack.provenance(),
            quantized_activations: pack.quantization().len(),
            sections: pack.sections().map(SectionReport::from).collect(),
        })
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

fn cascades<'a>(pack: &'a Pack, schedules: &[ScheduleReport<'_>]) -> Vec<CascadeReport<'a>> {
    let gmac = |name: &str| {
        let mut schedules = schedules.iter();
        let report = schedules.find(|report| report.schedule.name == name);
        report.map_or(0.0, |report| report.gmac)
    };
    let cascades = pack.cascades().iter();
    cascades
        .map(|cascade| CascadeReport {
            cascade,
            gmac: gmac(&cascade.first) + cascade.second_runs * gmac(&cascade.then),
        })
        .collect()
}
