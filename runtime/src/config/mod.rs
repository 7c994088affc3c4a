//! What a pack says about its model, beside the weights: the JSON metadata section.

mod cascade;
mod classifier;
mod measured;
mod model;
mod preprocessing;
mod schedule;

pub use cascade::Cascade;
pub use classifier::EmbeddingClassifier;
pub use measured::{Accuracy, Confidence, MergingEffect};
pub use model::{
    ActivationName, AttentionPooling, Mlp, ModelConfig, Normalization, OutputKind, Pooling,
    RotaryKind, ScoreKind,
};
pub use preprocessing::{Interpolation, Preprocessing, ResizeMode};
pub use schedule::{Ranking, Schedule};

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

use crate::limits::{MAX_CASCADES, MAX_QUANTIZATIONS, MAX_SCALES, MAX_SCHEDULES, MAX_TEXT};

/// A field of the configuration that is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{field}: {found}, expected {expected}")]
pub struct ConfigError {
    /// Path of the field, as in the JSON metadata: `model.width`, `schedules[1].merge`.
    pub field: String,
    /// What it holds.
    pub found: String,
    /// What it must be.
    pub expected: String,
}

fn refuse<T>(
    field: impl Into<String>,
    found: &dyn ToString,
    expected: impl Into<String>,
) -> Result<T, ConfigError> {
    Err(ConfigError {
        field: field.into(),
        found: found.to_string(),
        expected: expected.into(),
    })
}

fn check(
    holds: bool,
    field: &str,
    found: &dyn ToString,
    expected: impl FnOnce() -> String,
) -> Result<(), ConfigError> {
    if holds {
        Ok(())
    } else {
        refuse(field, found, expected())
    }
}

fn in_range(field: &str, value: usize, min: usize, max: usize) -> Result<(), ConfigError> {
    check((min..=max).contains(&value), field, &value, || {
        format!("{min} to {max}")
    })
}

/// Text that goes to terminals and reports: bounded, and without control characters.
fn check_text(field: impl FnOnce() -> String, text: &str) -> Result<(), ConfigError> {
    if text.len() > MAX_TEXT {
        let found = format!("{} bytes", text.len());
        refuse(field(), &found, format!("at most {MAX_TEXT} bytes"))
    } else if text.chars().any(char::is_control) {
        refuse(field(), &format!("{text:?}"), "no control characters")
    } else {
        Ok(())
    }
}

/// A name that is said on a command line.
fn check_name(field: impl FnOnce() -> String, name: &str) -> Result<(), ConfigError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > MAX_TEXT || !name.chars().all(plain) {
        return refuse(
            field(),
            &format!("{name:?}"),
            format!("1 to {MAX_TEXT} letters, digits, '.', '_' or '-'"),
        );
    }
    Ok(())
}

/// Fractions, each with its field.
fn check_fractions(
    path: impl Fn(&str) -> String,
    fractions: &[(&str, f64)],
) -> Result<(), ConfigError> {
    let is_none = |(_, x): &&(&str, f64)| !(0.0..=1.0).contains(x);
    match fractions.iter().find(is_none) {
        Some((name, x)) => refuse(path(name), x, "a fraction from 0 to 1"),
        None => Ok(()),
    }
}

/// The name of a class: text that shows something.
pub(crate) fn check_label(field: impl FnOnce() -> String, label: &str) -> Result<(), ConfigError> {
    if label.trim().is_empty() {
        return refuse(field(), &format!("{label:?}"), "a name");
    }
    check_text(field, label)
}

/// Where a pack came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// Name of the source checkpoint.
    pub checkpoint: String,
    /// Hash of its weights, with the hash's name: `xxh3-64:0123456789abcdef`.
    pub checkpoint_hash: String,
    /// Name of the calibration set.
    pub calibration_set: String,
    /// Images of it that were used.
    pub calibration_images: u64,
    /// Name and version of the program that wrote the pack.
    pub tool: String,
    /// Its settings: observers, smoothing, whatever else reproduces the pack.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, String>,
}

impl Provenance {
    fn validate(&self) -> Result<(), ConfigError> {
        check_text(|| "provenance.checkpoint".into(), &self.checkpoint)?;
        check_text(
            || "provenance.checkpoint_hash".into(),
            &self.checkpoint_hash,
        )?;
        check_text(
            || "provenance.calibration_set".into(),
            &self.calibration_set,
        )?;
        check_text(|| "provenance.tool".into(), &self.tool)?;
        for (key, value) in &self.settings {
            check_text(|| "provenance.settings".into(), key)?;
            check_text(|| format!("provenance.settings.{key}"), value)?;
        }
        Ok(())
    }
}

/// Quantization of one activation. Informative: the engine uses the folded scales of the tensors.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivationQuantization {
    /// Layer, if it belongs to one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<usize>,
    /// Name of the activation: `norm1`, `query`, `context`, `gelu`, ...
    pub activation: String,
    /// Real value of one step: one for all channels, or one a head.
    pub scales: Vec<f32>,
    /// The integer that stands for zero.
    #[serde(default)]
    pub zero_point: i32,
}

/// The metadata section as it is written.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Metadata {
    pub(crate) model: ModelConfig,
    pub(crate) schedules: Vec<Schedule>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) cascades: Vec<Cascade>,
    pub(crate) provenance: Provenance,
    #[serde(default)]
    pub(crate) quantization: Vec<ActivationQuantization>,
}

impl Metadata {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        self.model.validate()?;
        in_range("schedules", self.schedules.len(), 1, MAX_SCHEDULES)?;
        for (index, schedule) in self.schedules.iter().enumerate() {
            schedule.validate(index, &self.model)?;
            if self.schedules[..index]
                .iter()
                .any(|s| s.name == schedule.name)
            {
                return refuse(
                    format!("schedules[{index}].name"),
                    &format!("{:?} again", schedule.name),
                    "a name not used before",
                );
            }
        }
        in_range("cascades", self.cascades.len(), 0, MAX_CASCADES)?;
        for index in 0..self.cascades.len() {
            cascade::validate(&self.cascades, index, &self.schedules, &self.model)?;
        }
        self.provenance.validate()?;
        in_range(
            "quantization",
            self.quantization.len(),
            0,
            MAX_QUANTIZATIONS,
        )?;
        for (index, entry) in self.quantization.iter().enumerate() {
            let field = |name: &str| format!("quantization[{index}].{name}");
            check_text(|| field("activation"), &entry.activation)?;
            in_range(&field("scales"), entry.scales.len(), 1, MAX_SCALES)?;
            let bad = entry.scales.iter().find(|s| !(s.is_finite() && **s > 0.0));
            if let Some(scale) = bad {
                return refuse(field("scales"), &scale, "finite and above 0");
            }
        }
        Ok(())
    }
}
