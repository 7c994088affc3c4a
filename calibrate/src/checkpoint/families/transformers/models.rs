//! The models, and what their configuration classes take where a field is missing.

use super::Resampling;
use crate::checkpoint::error::Defect;
use mergevit_runtime::ActivationName;

/// Models that are built alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A class token, then the patches; MSN and MAE too.
    Vit,
    /// A class token and a distillation token.
    Deit,
    /// No class token.
    Ijepa,
    /// LayerScale; registers without a position.
    Dinov2,
    /// Rotary positions.
    Dinov3,
    Clip,
    Siglip,
}

/// One `model_type`.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) model_type: &'static str,
    pub(super) kind: Kind,
    /// What the names of its tensors may start with; an encoder that was saved alone has the empty start.
    pub(super) starts: &'static [&'static str],
    /// Whether config.json keeps it in `vision_config`.
    pub(super) in_vision_config: bool,
    /// The image processor that goes with it.
    pub(super) processor: &'static str,
    pub(super) resampling: Resampling,
    // Defaults of its configuration class.
    pub(super) heads: usize,
    pub(super) epsilon: f64,
    pub(super) activation: ActivationName,
    pub(super) image_size: usize,
}

/// `ViTConfig`.
const VIT: Model = Model {
    model_type: "vit",
    kind: Kind::Vit,
    starts: &["vit.", ""],
    in_vision_config: false,
    processor: "ViT",
    resampling: Resampling::BicubicAliased,
    heads: 12,
    epsilon: 1e-12,
    activation: ActivationName::Gelu,
    image_size: 224,
};

/// `Dinov2Config`.
const DINOV2: Model = Model {
    model_type: "dinov2",
    kind: Kind::Dinov2,
    starts: &["dinov2.", ""],
    processor: "Bit",
    epsilon: 1e-6,
    ..VIT
};

/// `CLIPVisionConfig`.
const CLIP: Model = Model {
    model_type: "clip_vision_model",
    kind: Kind::Clip,
    starts: &["vision_model.", ""],
    processor: "CLIP",
    epsilon: 1e-5,
    activation: ActivationName::QuickGelu,
    ..VIT
};

/// `SiglipVisionConfig`.
const SIGLIP: Model = Model {
    model_type: "siglip_vision_model",
    kind: Kind::Siglip,
    processor: "Siglip",
    epsilon: 1e-6,
    activation: ActivationName::GeluTanh,
    ..CLIP
};

const MODELS: [Model; 12] = [
    VIT,
    Model {
        model_type: "deit",
        kind: Kind::Deit,
        starts: &["deit.", ""],
        processor: "DeiT",
        ..VIT
    },
    Model {
        model_type: "vit_msn",
        epsilon: 1e-6,
        ..VIT
    },
    Model {
        model_type: "vit_mae",
        ..VIT
    },
    Model {
        model_type: "ijepa",
        kind: Kind::Ijepa,
        starts: &["ijepa.", ""],
        ..VIT
    },
    DINOV2,
    Model {
        model_type: "dinov2_with_registers",
        starts: &["dinov2_with_registers.", ""],
        resampling: Resampling::Bicubic,
        ..DINOV2
    },
    Model {
        model_type: "dinov3_vit",
        kind: Kind::Dinov3,
        starts: &[""],
        processor: "DINOv3ViT",
        heads: 6,
        epsilon: 1e-5,
        ..VIT
    },
    CLIP,
    Model {
        model_type: "clip",
        in_vision_config: true,
        ..CLIP
    },
    SIGLIP,
    Model {
        model_type: "siglip",
        in_vision_config: true,
        ..SIGLIP
    },
];

/// Models that people may try, and why they are refused.
const REFUSED: [(&str, &str); 8] = [
    ("beit", "a relative position bias"),
    ("data2vec-vision", "a relative position bias"),
    ("siglip2", "NaFlex (images of any aspect)"),
    ("siglip2_vision_model", "NaFlex (images of any aspect)"),
    ("vit_hybrid", "a convolutional stem"),
    ("swin", "windowed attention"),
    ("vitdet", "windowed attention"),
    ("sam", "windowed attention"),
];

/// The model of a `model_type`.
///
/// # Errors
/// [`Defect::Unsupported`] for any other.
pub(super) fn find(model_type: &str) -> Result<&'static Model, Defect> {
    static TABLE: [Model; 12] = MODELS;
    if let Some(model) = TABLE.iter().find(|model| model.model_type == model_type) {
        return Ok(model);
    }
    let feature = REFUSED.iter().find(|(name, _)| *name == model_type);
    Err(Defect::Unsupported(match feature {
        Some((name, feature)) => format!("transformers' {name} has {feature}"),
        None => {
            let known: Vec<&str> = TABLE.iter().map(|model| model.model_type).collect();
            format!(
                "transformers' model_type {model_type:?}; supported are {}",
                known.join(", ")
            )
        }
    }))
}
