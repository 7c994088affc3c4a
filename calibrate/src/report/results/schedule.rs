//! What was measured of a schedule, of its classes, and of two schedules as one.

use super::{Confusion, ReliabilityBin};
use mergevit_runtime::{MergingEffect, Ranking};
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
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ScheduleReport {
    /// Its name.
    pub name: String,
    /// r of each layer.
    pub merge: Vec<u16>,
    /// Tokens that merging has removed where the network ends. Fewer than the sum of `merge` where the last layer is only
    /// asked for its pooled token.
    pub merged: u64,
    /// Which tokens merge first.
    pub ranking: Ranking,
    /// Fraction of the labelled images whose best class is correct; none without labels.
    pub top1: Option<f64>,
    /// Its [standard error](crate::evaluate::standard_error).
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
    /// `10 log10(sum of squares of FP32's outputs without merging / sum of squares of the difference)`, in dB; none
    /// without a checkpoint, or if they are equal.
    pub signal_to_noise_db: Option<f64>,
    /// What scores are divided by before they become probabilities; none if none was fitted.
    pub temperature: Option<f64>,
    /// Expected calibration error with that temperature, a fraction; none without labels.
    pub ece: Option<f64>,
    /// The same with a temperature of 1.
    pub ece_uncalibrated: Option<f64>,
    /// [What chance alone](crate::confidence::Reliability::error_by_chance) would leave of `ece` on so many images.
    pub ece_by_chance: Option<f64>,
    /// Confidence against accuracy, in bins of equal width, with the temperature; empty without labels.
    pub reliability: Vec<ReliabilityBin>,
    /// What merging alone costs, if the pack says so.
    pub merging: Option<MergingEffect>,
    /// Billions of multiply-accumulates per image.
    pub gmac: f64,
    /// One per class.
    pub classes: Vec<ClassReport>,
    /// Which class was taken for which; none without labels.
    pub confusion: Option<Confusion>,
}

/// What was measured of a [cascade](mergevit_runtime::Cascade). Fractions, 0 to 1.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct CascadeReport {
    /// Its name.
    pub name: String,
    /// Name of the schedule that runs first.
    pub first: String,
    /// Name of the schedule that decides what the first cannot.
    pub then: String,
    /// Smallest margin of scores with which the first decides.
    pub threshold: f64,
    /// Agreement with the second schedule for which the threshold was chosen.
    pub wanted_agreement: f64,
    /// Fraction of the images with the answer of the second schedule.
    pub agreement_then: Option<f64>,
    /// Its standard error.
    pub agreement_then_standard_error: Option<f64>,
    /// Fraction that ran again.
    pub second_runs: Option<f64>,
    /// Fraction of the labelled images whose best class is correct; none without labels.
    pub top1: Option<f64>,
    /// Its standard error.
    pub top1_standard_error: Option<f64>,
    /// Fraction on which full precision without merging chooses the same class; none without a checkpoint.
    pub agreement: Option<f64>,
    /// Its standard error.
    pub agreement_standard_error: Option<f64>,
    /// As of a schedule.
    pub signal_to_noise_db: Option<f64>,
    /// Billions of multiply-accumulates per image, with the share of those that ran again.
    pub gmac: f64,
}
