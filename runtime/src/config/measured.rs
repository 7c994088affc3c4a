//! What was measured of a schedule, and on what.

use super::{ConfigError, check, check_fractions, check_text};
use serde::{Deserialize, Serialize};

/// Accuracy measured on a labelled set. Fractions, 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Accuracy {
    /// Name of the set.
    pub dataset: String,
    /// Images measured.
    pub images: u64,
    /// Fraction whose first class is right.
    pub top1: f64,
    /// Fraction whose first five classes hold the right one.
    pub top5: f64,
    /// Fraction with the same first class as the FP32 checkpoint without merging.
    pub agreement: f64,
    /// The FP32 checkpoint's `top1` on the same images, without merging.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top1_fp32: Option<f64>,
}

impl Accuracy {
    pub(super) fn validate(&self, field: impl Fn(&str) -> String) -> Result<(), ConfigError> {
        check_text(|| field("dataset"), &self.dataset)?;
        check_fractions(
            field,
            &[
                ("top1", self.top1),
                ("top5", self.top5),
                ("agreement", self.agreement),
                ("top1_fp32", self.top1_fp32.unwrap_or(0.0)),
            ],
        )
    }
}

/// What merging alone costs: full precision under the schedule against full precision without merging, on images
/// that need no labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MergingEffect {
    /// Name of the set.
    pub dataset: String,
    /// Images measured.
    pub images: u64,
    /// Fraction with the same first class; none where the model gives embeddings.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// `10 log10(sum of squares without merging / sum of squares of the difference)` of the outputs, in dB; none where
    /// they are equal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal_to_noise_db: Option<f64>,
}

impl MergingEffect {
    pub(super) fn validate(&self, field: impl Fn(&str) -> String) -> Result<(), ConfigError> {
        check_text(|| field("dataset"), &self.dataset)?;
        check_fractions(&field, &[("agreement", self.agreement.unwrap_or(0.0))])?;
        let db = self.signal_to_noise_db.unwrap_or(0.0);
        check(db.is_finite(), &field("signal_to_noise_db"), &db, || {
            "a finite number".into()
        })
    }
}

/// How scores become probabilities that mean what they say (Guo et al., arXiv 1706.04599).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Confidence {
    /// Scores are divided by it before they become probabilities.
    pub temperature: f32,
    /// Name of the set that it was fitted on.
    pub dataset: String,
    /// Images that the errors were measured on, none of which the temperature was fitted on.
    pub images: u64,
    /// Expected calibration error of the first class with a temperature of 1: the mean distance of confidence and
    /// accuracy over 15 bins of equal width, weighted by their images. A fraction.
    pub ece_before: f64,
    /// The same with this temperature.
    pub ece: f64,
}

impl Confidence {
    pub(super) fn validate(&self, field: impl Fn(&str) -> String) -> Result<(), ConfigError> {
        let usable = self.temperature > 0.0 && self.temperature.is_finite();
        check(usable, &field("temperature"), &self.temperature, || {
            "finite and above 0".into()
        })?;
        check_text(|| field("dataset"), &self.dataset)?;
        check_fractions(field, &[("ece_before", self.ece_before), ("ece", self.ece)])
    }
}
