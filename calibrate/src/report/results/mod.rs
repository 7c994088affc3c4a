//! What an evaluation found, as data: the page, the text and the JSON are made of it alone.

mod confusion;
mod front;
mod made;
mod reliability;
mod schedule;
mod worst;

pub use confusion::{ConfusedPair, Confusion, NAMED_PAIRS, TABLE_CLASSES};
pub use front::{FrontBasis, FrontPoint};
pub use made::{Made, ModelFacts};
pub use reliability::ReliabilityBin;
pub use schedule::{CascadeReport, ClassReport, ScheduleReport};
pub use worst::{Fault, ScoredClass, WorstImage};

use crate::diagnose::Diagnosis;
use crate::evaluate::{
    CascadeTally, ClassTally, Evaluation, LayerNoise, Tally, fraction, standard_error,
};
use jiff::Timestamp;
use mergevit_runtime::words::Count;
use mergevit_runtime::{Pack, Schedule};
use serde::Serialize;

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
    /// Sizes of the network.
    pub network: ModelFacts,
    /// One per schedule.
    pub schedules: Vec<ScheduleReport>,
    /// One per cascade.
    pub cascades: Vec<CascadeReport>,
    /// Schedules and cascades that can be had, with those that were tried and are not in the pack.
    pub front: Vec<FrontPoint>,
    /// What they were measured on; none without points.
    pub front_basis: Option<FrontBasis>,
    /// Noise of the residual stream, place by place, without merging.
    pub noise: Vec<LayerNoise>,
    /// Which rounding costs how much, if that was asked for.
    pub why: Option<Diagnosis>,
    /// Images with wrong answers, the surest first.
    pub worst: Vec<WorstImage>,
    /// How pack and report were made.
    pub made: Made,
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
        let schedules: Vec<_> = evaluation
            .schedules()
            .iter()
            .map(|(schedule, tally)| measured(evaluation, schedule, tally))
            .collect();
        let cascades: Vec<_> = evaluation
            .cascades()
            .iter()
            .map(|tally| cascade(evaluation, tally))
            .collect();
        let front = front(&schedules, &cascades);
        let images = tally.map_or(0, Tally::images);
        Self {
            images,
            skipped: skipped as u64,
            labelled,
            top1_fp32,
            top1_fp32_standard_error: error(top1_fp32),
            top5_fp32,
            top5_fp32_standard_error: error(top5_fp32),
            front_basis: (!front.is_empty()).then(|| FrontBasis {
                dataset: dataset.into(),
                images,
                reference: "FP32 without merging".into(),
                target: None,
            }),
            front,
            schedules,
            cascades,
            noise,
            ..Self::of_pack(pack, dataset, evaluation.engine().backend())
        }
    }

    /// Of `pack`, of which nothing was measured on the set `dataset` yet.
    pub fn of_pack(pack: &Pack, dataset: &str, backend: &str) -> Self {
        Self {
            tool: TOOL.into(),
            date: now(),
            pack: pack.path().map(|path| path.display().to_string()),
            pack_hash: pack.hash(),
            checkpoint_hash: pack.provenance().checkpoint_hash.clone(),
            model: pack.config().architecture.clone(),
            dataset: dataset.into(),
            images: 0,
            skipped: 0,
            labelled: 0,
            backend: backend.into(),
            top1_fp32: None,
            top1_fp32_standard_error: None,
            top5_fp32: None,
            top5_fp32_standard_error: None,
            network: ModelFacts::of(pack),
            schedules: Vec::new(),
            cascades: Vec::new(),
            front: Vec::new(),
            front_basis: None,
            noise: Vec::new(),
            why: None,
            worst: Vec::new(),
            made: Made {
                command: String::new(),
                provenance: pack.provenance().clone(),
            },
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

/// What `evaluation` counted in `tally`, under `schedule`.
fn measured(evaluation: &Evaluation<'_>, schedule: &Schedule, tally: &Tally) -> ScheduleReport {
    let full = evaluation.full_precision();
    let names = names(evaluation.engine().pack());
    let error = |fraction: Option<f64>| fraction.map(|p| standard_error(p, tally.labelled()));
    let (agreement, cost) = (tally.agreement(), evaluation.cost(schedule));
    ScheduleReport {
        name: schedule.name.clone(),
        merge: schedule.merge.clone(),
        merged: cost.merged,
        ranking: schedule.ranking,
        top1: tally.top1(),
        top1_standard_error: error(tally.top1()),
        top5: tally.top5(),
        top5_standard_error: error(tally.top5()),
        agreement,
        agreement_standard_error: agreement.map(|p| standard_error(p, tally.compared())),
        cosine: tally.cosines().mean(),
        cosine_least: tally.cosines().least(),
        signal_to_noise_db: tally.difference().signal_to_noise_db(),
        temperature: schedule
            .confidence
            .as_ref()
            .map(|own| own.temperature.into()),
        ece: tally.reliability().expected_error(),
        ece_uncalibrated: tally.uncalibrated().expected_error(),
        ece_by_chance: tally.reliability().error_by_chance(),
        reliability: ReliabilityBin::of(tally.reliability()),
        merging: schedule.merging.clone(),
        gmac: cost.gmac,
        classes: classes(tally, full, &names),
        confusion: (tally.labelled() > 0).then(|| {
            let fp32 = full.map(|full| full.answers().labelled());
            Confusion::count(&names, tally.answers().labelled(), fp32)
        }),
    }
}

/// What `evaluation` counted in `tally`.
fn cascade(evaluation: &Evaluation<'_>, tally: &CascadeTally) -> CascadeReport {
    let own = &tally.cascade;
    let error = |fraction: Option<f64>, images| fraction.map(|p| standard_error(p, images));
    CascadeReport {
        name: own.name.clone(),
        first: own.first.clone(),
        then: own.then.clone(),
        threshold: own.threshold.into(),
        wanted_agreement: own.wanted_agreement,
        agreement_then: tally.agreement_then(),
        agreement_then_standard_error: error(tally.agreement_then(), tally.images),
        second_runs: tally.second_run_rate(),
        top1: tally.accuracy(),
        top1_standard_error: error(tally.accuracy(), tally.labelled),
        agreement: tally.agreement(),
        agreement_standard_error: error(tally.agreement(), tally.compared),
        signal_to_noise_db: tally.difference.signal_to_noise_db(),
        gmac: evaluation.cascade_gmac(tally),
    }
}

/// Schedules and cascades as points of a front, if agreement or the noise of the outputs is known.
fn front(schedules: &[ScheduleReport], cascades: &[CascadeReport]) -> Vec<FrontPoint> {
    let schedule = |own: &ScheduleReport| FrontPoint {
        name: own.name.clone(),
        gmac: own.gmac,
        latency_us: None,
        agreement: own.agreement,
        agreement_standard_error: own.agreement_standard_error,
        signal_to_noise_db: own.signal_to_noise_db,
        chosen: true,
    };
    let cascade = |own: &CascadeReport| FrontPoint {
        name: own.name.clone(),
        gmac: own.gmac,
        latency_us: None,
        agreement: own.agreement,
        agreement_standard_error: own.agreement_standard_error,
        signal_to_noise_db: own.signal_to_noise_db,
        chosen: true,
    };
    let is_known =
        |point: &FrontPoint| point.agreement.is_some() || point.signal_to_noise_db.is_some();
    let points = schedules
        .iter()
        .map(schedule)
        .chain(cascades.iter().map(cascade));
    points.filter(is_known).collect()
}

/// The name of each class; its number where the pack has no names.
fn names(pack: &Pack) -> Vec<String> {
    let (model, classes) = (pack.config(), ModelFacts::of(pack).classes);
    let name = |class: usize| match model.labels.get(class) {
        Some(label) => label.clone(),
        None => class.to_string(),
    };
    (0..classes).map(name).collect()
}

/// Accuracy class by class.
fn classes(tally: &Tally, full: Option<&Tally>, names: &[String]) -> Vec<ClassReport> {
    let class = |(class, own): (usize, &ClassTally)| ClassReport {
        label: names[class].clone(),
        images: own.images,
        top1: fraction(own.top1, own.images),
        top1_fp32: full.and_then(|full| fraction(full.classes()[class].top1, own.images)),
    };
    tally.classes().iter().enumerate().map(class).collect()
}
