//! timm's Vision Transformers, a row each.

use super::unknown;
use crate::checkpoint::anatomy::{Resampling, Rotary};
use crate::checkpoint::error::Defect;
use mergevit_runtime::{ActivationName, Normalization};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The table as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Of timm.
    #[allow(dead_code, reason = "it is there for people")]
    version: String,
    /// Deprecated names, and the architecture and tag that each stands for.
    aliases: BTreeMap<String, String>,
    architectures: BTreeMap<String, Row>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Row {
    /// The feature that the kernels do not run.
    Refused {
        refused: String,
    },
    Supported(Box<Architecture>),
}

/// What a name tells.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::checkpoint) struct Architecture {
    #[serde(default)]
    pub(in crate::checkpoint) class: Class,
    pub(in crate::checkpoint) width: usize,
    pub(in crate::checkpoint) heads: usize,
    #[serde(default = "epsilon")]
    pub(in crate::checkpoint) epsilon: f32,
    #[serde(default = "gelu")]
    pub(in crate::checkpoint) activation: ActivationName,
    #[serde(default = "layer")]
    pub(in crate::checkpoint) norm: Normalization,
    #[serde(default)]
    pub(in crate::checkpoint) mlp: MlpKind,
    /// Side of a patch, where the patches' weight does not tell it.
    #[serde(default)]
    pub(in crate::checkpoint) patch_size: Option<usize>,
    /// Side of the images that it is built for.
    pub(in crate::checkpoint) image_size: usize,
    #[serde(default = "yes")]
    pub(in crate::checkpoint) class_token: bool,
    #[serde(default)]
    pub(in crate::checkpoint) registers: usize,
    /// Whether there is a distillation token with a head of its own.
    #[serde(default)]
    pub(in crate::checkpoint) distilled: bool,
    /// Which norms there are outside the layers.
    #[serde(default = "norm_alone")]
    pub(in crate::checkpoint) norms: Vec<String>,
    /// Whether arguments chose other norms; then the tensors tell which.
    #[serde(skip)]
    pub(in crate::checkpoint) norms_by_arguments: bool,
    #[serde(default)]
    pub(in crate::checkpoint) pool: Pool,
    /// Whether the pooling reads the tokens before the patches too.
    #[serde(default)]
    pub(in crate::checkpoint) pool_prefix: bool,
    /// Of the attention pooling, where it is not that of the layers.
    #[serde(default)]
    pub(in crate::checkpoint) pool_heads: Option<usize>,
    #[serde(default)]
    pub(in crate::checkpoint) table: PositionRows,
    #[serde(default = "bicubic")]
    pub(in crate::checkpoint) resampling: Resampling,
    #[serde(default)]
    pub(in crate::checkpoint) rotary: Option<Rotary>,
    /// Of the weights that the name stands for.
    pub(in crate::checkpoint) pixels: Pixels,
    /// Of other published weights, by their tag; none where they are the same.
    #[serde(default)]
    tags: BTreeMap<String, Option<Pixels>>,
}

const fn epsilon() -> f32 {
    1e-6
}

const fn gelu() -> ActivationName {
    ActivationName::Gelu
}

const fn layer() -> Normalization {
    Normalization::Layer
}

const fn yes() -> bool {
    true
}

const fn bicubic() -> Resampling {
    Resampling::Bicubic
}

fn norm_alone() -> Vec<String> {
    vec!["norm".into()]
}

/// timm's class, which says what the arguments mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::checkpoint) enum Class {
    /// `VisionTransformer` and `VisionTransformerDistilled`.
    #[default]
    Vit,
    /// `Eva`.
    Eva,
    /// `NaFlexVit`, for square images of one size.
    Naflex,
}

/// How the MLP is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::checkpoint) enum MlpKind {
    #[default]
    Plain,
    /// `GluMlp` with the gate first.
    Packed,
    /// `SwiGLU`.
    Split,
}

/// `global_pool`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::checkpoint) enum Pool {
    #[default]
    Token,
    Avg,
    Map,
}

/// Which tokens have a row in the position table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(in crate::checkpoint) enum PositionRows {
    #[default]
    All,
    Patches,
    /// There is no table.
    None,
}

/// Colours, crop, filter and crop mode of published weights.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "WrittenPixels")]
pub(in crate::checkpoint) struct Pixels {
    pub(in crate::checkpoint) mean: [f32; 3],
    pub(in crate::checkpoint) std: [f32; 3],
    pub(in crate::checkpoint) crop: f64,
    pub(in crate::checkpoint) interpolation: String,
    pub(in crate::checkpoint) crop_mode: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum WrittenPixels {
    Centred(Colours, f64, String),
    Cropped(Colours, f64, String, String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Colours {
    Named(Recipe),
    Listed([[f32; 3]; 2]),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Recipe {
    Imagenet,
    Inception,
    Clip,
    None,
}

impl From<WrittenPixels> for Pixels {
    fn from(written: WrittenPixels) -> Self {
        use crate::checkpoint::preprocessing::Stated;
        let (colours, crop, interpolation, crop_mode) = match written {
            WrittenPixels::Centred(colours, crop, filter) => {
                (colours, crop, filter, "center".into())
            }
            WrittenPixels::Cropped(colours, crop, filter, mode) => (colours, crop, filter, mode),
        };
        let of = |recipe: Stated| [recipe.mean, recipe.std].map(Option::unwrap_or_default);
        let [mean, std] = match colours {
            Colours::Named(Recipe::Imagenet) => of(Stated::IMAGENET),
            Colours::Named(Recipe::Inception) => of(Stated::INCEPTION),
            Colours::Named(Recipe::Clip) => of(Stated::CLIP),
            Colours::Named(Recipe::None) => [[0.0; 3], [1.0; 3]],
            Colours::Listed(listed) => listed,
        };
        Self {
            mean,
            std,
            crop,
            interpolation,
            crop_mode,
        }
    }
}

static TABLE: LazyLock<Table> =
    LazyLock::new(|| serde_json::from_str(include_str!("timm.json")).expect("the table is tested"));

/// The architecture's name without a tag, and the tag.
fn split(name: &str) -> (&str, Option<&str>) {
    match name.split_once('.') {
        Some((name, tag)) => (name, Some(tag)),
        None => (name, None),
    }
}

pub(super) fn find(name: &str) -> Result<Architecture, Defect> {
    let alias = TABLE.aliases.get(name);
    let (bare, tag) = split(alias.map_or(name, String::as_str));
    let Some(row) = TABLE.architectures.get(bare) else {
        return Err(unknown(
            "timm",
            bare,
            TABLE.architectures.keys().map(String::as_str),
        ));
    };
    let mut found = match row {
        Row::Refused { refused } => {
            return Err(Defect::Unsupported(format!("{bare} has {refused}")));
        }
        Row::Supported(architecture) => Architecture::clone(architecture),
    };
    if let Some(tag) = tag {
        match found.tags.get(tag) {
            Some(Some(pixels)) => found.pixels = pixels.clone(),
            Some(None) => {}
            // Some old names stand for tags that are gone.
            None if alias.is_some() => {}
            None => {
                let tags = found.tags.keys().map(String::as_str);
                return Err(unknown(&format!("the weights of timm's {bare}"), tag, tags));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_read_and_most_are_supported() {
        let rows = TABLE.architectures.values();
        let supported = rows.filter(|row| matches!(row, Row::Supported(_))).count();
        assert!(supported >= 210, "{supported}");
        assert!(TABLE.architectures.len() >= 300);
        for (name, row) in &TABLE.architectures {
            match row {
                Row::Refused { refused } => assert!(refused.len() > 5, "{name}"),
                Row::Supported(row) => {
                    assert!(row.width >= 64 && row.heads > 0, "{name}");
                    assert_ne!(row.norm, Normalization::None, "{name}");
                    assert!(matches!(
                        row.pixels.interpolation.as_str(),
                        "bicubic" | "bilinear"
                    ));
                }
            }
        }
    }

    #[test]
    fn names_tags_and_aliases_lead_to_rows() {
        let plain = find("vit_base_patch16_224").unwrap();
        assert_eq!((plain.heads, plain.pixels.mean), (12, [0.5; 3]));
        let dino = find("vit_base_patch16_224.dino").unwrap();
        assert_ne!(dino.pixels.mean, plain.pixels.mean);
        let alias = find("vit_base_patch16_224_dino").unwrap();
        assert_eq!(alias.pixels.mean, dino.pixels.mean);
        assert_eq!(
            find("vit_base_patch16_224_sam").unwrap().pixels.mean,
            [0.5; 3]
        );
        let eva = find("eva02_base_patch14_448").unwrap();
        assert_eq!((eva.class, eva.mlp), (Class::Eva, MlpKind::Split));
        assert!(matches!(
            eva.rotary,
            Some(Rotary::Index {
                reference: Some(16),
                ..
            })
        ));
    }

    #[test]
    fn what_is_refused_is_named() {
        for (name, what) in [
            ("vit_bass_patch16_224", "vit_base_patch16_224"),
            ("vit_base_patch16_224.mine", "none of the weights"),
            ("beit_base_patch16_224", "relative position bias"),
            ("vit_base_patch16_rpn_224", "res-post-norm"),
            ("vit_base_r50_s16_224", "convolutional stem"),
            ("naflexvit_base_patch16_parfac_gap", "factorized positions"),
            ("samvit_base_patch16", "windowed attention"),
            ("vit_small_patch16_18x2_224", "in parallel"),
        ] {
            let error = find(name).unwrap_err().to_string();
            assert!(error.contains(what), "{name}: {error}");
        }
    }
}
