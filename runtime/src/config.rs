//! What a pack says about its model, beside the weights: the JSON metadata section.

use mergevit_kernels::frame::{Geometry, Resize};
use mergevit_kernels::ops::{HEAD_WIDTH, MAX_INNER, MAX_TOKENS, MAX_WIDTH, ROW_ALIGN};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use thiserror::Error;

use crate::limits::{
    MAX_CLASSES, MAX_LAYERS, MAX_PATCH_SIZE, MAX_QUANTIZATIONS, MAX_SCALES, MAX_SCHEDULES, MAX_TEXT,
};

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

/// The name of a class: text that shows something.
pub(crate) fn check_label(field: impl FnOnce() -> String, label: &str) -> Result<(), ConfigError> {
    if label.trim().is_empty() {
        return refuse(field(), &format!("{label:?}"), "a name");
    }
    check_text(field, label)
}

/// How the tokens of an image become the classifier's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The class token.
    ClassToken,
    /// The mean over all other tokens, each weighted by the patches it stands for.
    Mean,
}

/// Resampling filter, antialiased, as Pillow computes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Triangle filter.
    Bilinear,
    /// Keys' cubic, a = -0.5.
    Bicubic,
}

impl From<Interpolation> for mergevit_kernels::frame::Interpolation {
    fn from(interpolation: Interpolation) -> Self {
        match interpolation {
            Interpolation::Bilinear => Self::Bilinear,
            Interpolation::Bicubic => Self::Bicubic,
        }
    }
}

/// The size to which a frame is resized before the centre crop to the model's image size. In pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ResizeMode {
    /// The shorter side becomes this long, the aspect ratio stays.
    ShortestSide(usize),
    /// Both sides are given, the aspect ratio is lost.
    Exact {
        /// Pixels a row.
        width: usize,
        /// Rows.
        height: usize,
    },
}

/// From a frame to the network's pixels, as the checkpoint was evaluated with. The crop is
/// [`ModelConfig::image_size`]; mean and standard deviation are folded into the patch embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Size before the crop.
    pub resize: ResizeMode,
    /// Filter of the resize.
    pub interpolation: Interpolation,
}

/// Architecture, labels and preprocessing of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Name of the architecture, for people: `vit_base_patch16_224`.
    pub architecture: String,
    /// Side of the square input in pixels; a multiple of `patch_size`.
    pub image_size: usize,
    /// Side of the square patch in pixels.
    pub patch_size: usize,
    /// Channels of a token, C: 64 times `heads`.
    pub width: usize,
    /// Layers.
    pub depth: usize,
    /// Attention heads of 64 channels, H.
    pub heads: usize,
    /// Channels inside the MLP, F: a multiple of 64.
    pub mlp_width: usize,
    /// Classes.
    pub classes: usize,
    /// Whether token 0 is a class token.
    pub class_token: bool,
    /// What the classifier sees.
    pub pooling: Pooling,
    /// Added to the variance in every layer norm.
    pub epsilon: f32,
    /// Class names: one a class, or none at all.
    pub labels: Vec<String>,
    /// From frame to pixels.
    pub preprocessing: Preprocessing,
}

impl ModelConfig {
    /// Patches an image.
    pub const fn patches(&self) -> usize {
        let side = self.image_size / self.patch_size;
        side * side
    }

    /// Tokens an image before any merging.
    pub const fn tokens(&self) -> usize {
        self.patches() + self.class_token as usize
    }

    /// Bytes of one patch: `3 p^2` rounded up to a multiple of 64.
    pub const fn patch_row(&self) -> usize {
        (3 * self.patch_size * self.patch_size).next_multiple_of(ROW_ALIGN)
    }

    /// Bytes of one image at model resolution, (S, S, 3).
    pub const fn image_bytes(&self) -> usize {
        3 * self.image_size * self.image_size
    }

    /// Checks every field against the limits and against each other.
    ///
    /// # Errors
    /// The first field that is not what it must be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_shape()?;
        check_text(|| "model.architecture".into(), &self.architecture)?;
        let labels = self.labels.len();
        check(
            labels == 0 || labels == self.classes,
            "model.labels",
            &labels,
            || format!("0 or {} names", self.classes),
        )?;
        for (index, label) in self.labels.iter().enumerate() {
            check_label(|| format!("model.labels[{index}]"), label)?;
        }
        self.geometry().map(drop)
    }

    /// The numbers alone: what planning rests on. Does not allocate unless it fails.
    pub(crate) fn validate_shape(&self) -> Result<(), ConfigError> {
        in_range("model.patch_size", self.patch_size, 1, MAX_PATCH_SIZE)?;
        check(
            self.image_size >= 1 && self.image_size.is_multiple_of(self.patch_size),
            "model.image_size",
            &self.image_size,
            || format!("a multiple of the patch size {}", self.patch_size),
        )?;
        // The largest grid is 32 x 32; stated on the side so that nothing overflows.
        let side = self.image_size / self.patch_size;
        let max_side = (MAX_TOKENS - 1).isqrt();
        check(
            side <= max_side,
            "model.image_size",
            &self.image_size,
            || {
                format!(
                    "at most {} ({MAX_TOKENS} tokens)",
                    max_side * self.patch_size
                )
            },
        )?;
        in_range("model.heads", self.heads, 1, MAX_WIDTH / HEAD_WIDTH)?;
        let width = self.heads * HEAD_WIDTH;
        check(self.width == width, "model.width", &self.width, || {
            format!("{width}, {HEAD_WIDTH} for each of {} heads", self.heads)
        })?;
        in_range("model.depth", self.depth, 1, MAX_LAYERS)?;
        in_range("model.mlp_width", self.mlp_width, 1, MAX_INNER)?;
        check(
            self.mlp_width.is_multiple_of(ROW_ALIGN),
            "model.mlp_width",
            &self.mlp_width,
            || format!("a multiple of {ROW_ALIGN}"),
        )?;
        in_range("model.classes", self.classes, 1, MAX_CLASSES)?;
        check(
            self.class_token || self.pooling == Pooling::Mean,
            "model.pooling",
            &"class_token",
            || "mean, since the model has no class token".into(),
        )?;
        check(
            self.epsilon > 0.0 && self.epsilon <= 1.0,
            "model.epsilon",
            &self.epsilon,
            || "above 0, at most 1".into(),
        )
    }

    /// The preprocessing as the kernels take it.
    pub(crate) fn geometry(&self) -> Result<Geometry, ConfigError> {
        let resize = match self.preprocessing.resize {
            ResizeMode::ShortestSide(side) => Resize::ShortestSide(side),
            ResizeMode::Exact { width, height } => Resize::Exact { width, height },
        };
        let crop = (self.image_size, self.image_size);
        Geometry::new(resize, crop, self.preprocessing.interpolation.into()).or_else(|error| {
            refuse(
                "model.preprocessing",
                &format!("{} of {} pixels", error.field, error.found),
                format!("1 to {} pixels", mergevit_kernels::frame::MAX_SIDE),
            )
        })
    }
}

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

/// How many tokens each layer merges.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Unique name of letters, digits, `.`, `_` and `-`: `r8`.
    pub name: String,
    /// r of each layer. A layer merges fewer where fewer can be merged
    /// ([`Merge::limit`](mergevit_kernels::ops::Merge::limit)).
    pub merge: Vec<u16>,
    /// Measured accuracy, if any was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
}

impl Schedule {
    /// The same r in each of `depth` layers, named `r{r}`, with no accuracy.
    pub fn constant(r: u16, depth: usize) -> Self {
        Self {
            name: format!("r{r}"),
            merge: vec![r; depth],
            accuracy: None,
        }
    }

    fn validate(&self, index: usize, depth: usize) -> Result<(), ConfigError> {
        let field = |name: &str| format!("schedules[{index}].{name}");
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if self.name.is_empty() || self.name.len() > MAX_TEXT || !self.name.chars().all(plain) {
            return refuse(
                field("name"),
                &format!("{:?}", self.name),
                format!("1 to {MAX_TEXT} letters, digits, '.', '_' or '-'"),
            );
        }
        if self.merge.len() != depth {
            return refuse(
                field("merge"),
                &format!("{} layers", self.merge.len()),
                format!("{depth} layers"),
            );
        }
        let Some(accuracy) = &self.accuracy else {
            return Ok(());
        };
        check_text(|| field("accuracy.dataset"), &accuracy.dataset)?;
        let fractions = [
            ("accuracy.top1", accuracy.top1),
            ("accuracy.top5", accuracy.top5),
            ("accuracy.agreement", accuracy.agreement),
            ("accuracy.top1_fp32", accuracy.top1_fp32.unwrap_or(0.0)),
        ];
        match fractions.iter().find(|(_, x)| !(0.0..=1.0).contains(x)) {
            Some((name, x)) => refuse(field(name), &x, "a fraction from 0 to 1"),
            None => Ok(()),
        }
    }
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
    pub(crate) provenance: Provenance,
    #[serde(default)]
    pub(crate) quantization: Vec<ActivationQuantization>,
}

impl Metadata {
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        self.model.validate()?;
        in_range("schedules", self.schedules.len(), 1, MAX_SCHEDULES)?;
        for (index, schedule) in self.schedules.iter().enumerate() {
            schedule.validate(index, self.model.depth)?;
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
