//! What an evaluation found, as data.

use crate::evaluate::{ClassTally, Evaluation, LayerNoise, Tally, standard_error};
use jiff::Timestamp;
use mergevit_runtime::words::Count;
use serde::Serialize;

/// Accuracy of one class.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassReport {
    /// The class's name, or its index if the pack has no names.
    pub label: String,
    /// Images with this label.
    pub images: u64,
    /// Fraction of them that were classified correctly; none without images.
    pub top1: Option<f64>,
    /// The same in full precision without merging.
    pub top1_fp32: Option<f64>,
}

/// Accuracy of one schedule. Fractions, 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScheduleReport {
    /// Its name.
    pub name: String,
    /// r of each layer.
    pub merge: Vec<u16>,
    /// Fraction of the labelled images whose best class is correct; none without labels.
    pub top1: Option<f64>,
    /// Its [standard error](standard_error).
    pub top1_standard_error: Option<f64>,
    /// Fraction of them whose best five classes include the correct one.
    pub top5: Option<f64>,
    /// Its standard error.
    pub top5_standard_error: Option<f64>,
    /// Fraction on which full precision without merging chooses the same class; none without a checkpoint.
    pub agreement: Option<f64>,
    /// Its standard error.
    pub agreement_standard_error: Option<f64>,
    /// Mean cosine of the embeddings with those of full precision without merging; none without a checkpoint, or if the
    /// model gives none.
    pub cosine: Option<f64>,
    /// The smallest of these cosines.
    pub cosine_least: Option<f64>,
    /// Billions of multiply-accumulates per image.
    pub gmac: f64,
    /// One per class.
    pub classes: Vec<ClassReport>,
}

/// Everything an evaluation found. Written as JSON, the fields are the keys; `calibrate/README.md` lists them.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Name and version of this program.
    pub tool: String,
    /// When the evaluation ended, in UTC: `2026-11-24T21:17:05Z` (RFC 3339).
    pub date: String,
    /// Path of the pack; none for one in memory.
    pub pack: Option<String>,
    /// [Hash of its file](mergevit_runtime::Pack::hash).
    pub pack_hash: String,
    /// Hash of the checkpoint that the pack says it was made from.
    pub checkpoint_hash: String,
    /// Architecture of the pack.
    pub model: String,
    /// Name of the set.
    pub dataset: String,
    /// Images classified.
    pub images: u64,
    /// Images that could not be read and are left out of everything here.
    pub skipped: u64,
    /// Images classified that have a label.
    pub labelled: u64,
    /// Backend that ran the pack.
    pub backend: String,
    /// Full precision's `top1` on the same images without merging; none without a checkpoint.
    pub top1_fp32: Option<f64>,
    /// Its standard error.
    pub top1_fp32_standard_error: Option<f64>,
    /// Its `top5`.
    pub top5_fp32: Option<f64>,
    /// Its standard error.
    pub top5_fp32_standard_error: Option<f64>,
    /// One per schedule.
    pub schedules: Vec<ScheduleReport>,
    /// Noise of the residual stream, place by place, without merging.
    pub noise: Vec<LayerNoise>,
}

impl Report {
    /// Collects what `evaluation` counted; `skipped` images of the set could not be read.
    pub fn new(
        evaluation: &Evaluation<'_>,
        dataset: &str,
        skipped: usize,
        noise: Vec<LayerNoise>,
    ) -> Self {
        let pack = evaluation.engine().pack();
        let full = evaluation.full_precision();
        let tally = evaluation.schedules().first().map(|(_, tally)| tally);
        let labelled = tally.map_or(0, Tally::labelled);
        let error = |fraction: Option<f64>| fraction.map(|p| standard_error(p, labelled));
        let (top1_fp32, top5_fp32) = (full.and_then(Tally::top1), full.and_then(Tally::top5));
        let schedules = evaluation.schedules().iter();
        Self {
            tool: TOOL.into(),
            date: now(),
            pack: pack.path().map(|path| path.display().to_string()),
            pack_hash: pack.hash(),
            checkpoint_hash: pack.provenance().checkpoint_hash.clone(),
            model: pack.config().architecture.clone(),
            dataset: dataset.into(),
            images: tally.map_or(0, Tally::images),
            skipped: skipped as u64,
            labelled,
            backend: evaluation.engine().backend().into(),
            top1_fp32,
            top1_fp32_standard_error: error(top1_fp32),
            top5_fp32,
            top5_fp32_standard_error: error(top5_fp32),
            schedules: schedules
                .map(|(schedule, tally)| ScheduleReport {
                    name: schedule.name.clone(),
                    merge: schedule.merge.clone(),
                    top1: tally.top1(),
                    top1_standard_error: error(tally.top1()),
                    top5: tally.top5(),
                    top5_standard_error: error(tally.top5()),
                    agreement: tally.agreement(),
                    agreement_standard_error: tally
                        .agreement()
                        .map(|p| standard_error(p, tally.compared())),
                    cosine: tally.cosines().mean(),
                    cosine_least: tally.cosines().least(),
                    gmac: evaluation.gmac(schedule),
                    classes: classes(tally, full, &pack.config().labels),
                })
                .collect(),
            noise,
        }
    }

    /// How many images were measured, in words.
    pub(super) fn count(&self) -> String {
        let images = Count(self.images, "image");
        match self.skipped {
            0 => images.to_string(),
            n => format!("{images} ({n} more could not be read)"),
        }
    }
}

/// This program.
const TOOL: &str = concat!("mergevit-calibrate ", env!("CARGO_PKG_VERSION"));

/// The time in UTC, to the second.
fn now() -> String {
    let now = Timestamp::now();
    // A time without its fraction is in range if the time is.
    Timestamp::from_second(now.as_second())
        .unwrap_or(now)
        .to_string()
}

/// Accuracy class by class.
fn classes(tally: &Tally, full: Option<&Tally>, labels: &[String]) -> Vec<ClassReport> {
    let fraction = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
    let class = |(class, own): (usize, &ClassTally)| ClassReport {
        label: labels
            .get(class)
            .cloned()
            .unwrap_or_else(|| class.to_string()),
        images: own.images,
        top1: fraction(own.top1, own.images),
        top1_fp32: full.and_then(|full| fraction(full.classes()[class].top1, own.images)),
    };
    tally.classes().iter().enumerate().map(class).collect()
}
