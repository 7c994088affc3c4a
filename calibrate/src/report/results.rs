//! What an evaluation found, as data.

use crate::evaluate::{Evaluation, LayerNoise};
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
    /// Fraction whose best class is correct; none without labels.
    pub top1: Option<f64>,
    /// Fraction whose best five classes include the correct one; none without labels.
    pub top5: Option<f64>,
    /// Fraction on which full precision without merging chooses the same class; none without a checkpoint.
    pub agreement: Option<f64>,
    /// Billions of multiply-accumulates per image.
    pub gmac: f64,
    /// One per class.
    pub classes: Vec<ClassReport>,
}

/// Everything an evaluation found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Architecture of the pack.
    pub model: String,
    /// Name of the set.
    pub dataset: String,
    /// Images classified.
    pub images: u64,
    /// Images that could not be read and are left out of everything here.
    pub skipped: u64,
    /// Backend that ran the pack.
    pub backend: String,
    /// Full precision's `top1` on the same images without merging; none without a checkpoint.
    pub top1_fp32: Option<f64>,
    /// Its `top5`.
    pub top5_fp32: Option<f64>,
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
        let config = evaluation.engine().pack().config();
        let full = evaluation.full_precision();
        let fraction = |part: u64, whole: u64| (whole > 0).then(|| part as f64 / whole as f64);
        let label = |class: usize| {
            let name = config.labels.get(class).cloned();
            name.unwrap_or_else(|| class.to_string())
        };
        let schedules = evaluation.schedules().iter().map(|(schedule, tally)| {
            let classes = tally
                .classes()
                .iter()
                .enumerate()
                .map(|(class, own)| ClassReport {
                    label: label(class),
                    images: own.images,
                    top1: fraction(own.top1, own.images),
                    top1_fp32: full
                        .and_then(|full| fraction(full.classes()[class].top1, own.images)),
                });
            ScheduleReport {
                name: schedule.name.clone(),
                merge: schedule.merge.clone(),
                top1: tally.top1(),
                top5: tally.top5(),
                agreement: tally.agreement(),
                gmac: evaluation.gmac(schedule),
                classes: classes.collect(),
            }
        });
        Self {
            model: config.architecture.clone(),
            dataset: dataset.into(),
            images: evaluation
                .schedules()
                .first()
                .map_or(0, |(_, tally)| tally.images()),
            skipped: skipped as u64,
            backend: evaluation.engine().backend().into(),
            top1_fp32: full.and_then(|full| full.top1()),
            top5_fp32: full.and_then(|full| full.top5()),
            schedules: schedules.collect(),
            noise,
        }
    }

    /// How many images were measured, in words.
    pub(super) fn count(&self) -> String {
        match self.skipped {
            0 => format!("{} images", self.images),
            n => format!("{} images ({n} more could not be read)", self.images),
        }
    }
}
