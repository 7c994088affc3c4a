//! torchvision's `VisionTransformer`.

use super::timm;
use crate::checkpoint::described::{Described, Source};
use crate::checkpoint::error::Defect;
use crate::checkpoint::family::Family;
use crate::checkpoint::file::TensorFile;
use crate::checkpoint::naming::{Names, Naming};
use crate::checkpoint::tensor::Tensor;
use mergevit_runtime::Interpolation;

/// `torchvision.models.vision_transformer`.
pub(super) struct Torchvision;

const LAYER: &str = "encoder.layers.encoder_layer_{}.";

const MODEL: &Names = &[
    ("conv_proj.weight", Tensor::PatchWeight),
    ("conv_proj.bias", Tensor::PatchBias),
    ("class_token", Tensor::ClassToken),
    ("encoder.pos_embedding", Tensor::Position),
    ("encoder.ln.weight", Tensor::FinalNormGain),
    ("encoder.ln.bias", Tensor::FinalNormBias),
    ("heads.head.weight", Tensor::HeadWeight),
    ("heads.head.bias", Tensor::HeadBias),
];

const BLOCK: &Names = &[
    ("ln_1.weight", Tensor::Norm1Gain),
    ("ln_1.bias", Tensor::Norm1Bias),
    ("self_attention.in_proj_weight", Tensor::QkvWeight),
    ("self_attention.in_proj_bias", Tensor::QkvBias),
    ("self_attention.out_proj.weight", Tensor::ProjWeight),
    ("self_attention.out_proj.bias", Tensor::ProjBias),
    ("ln_2.weight", Tensor::Norm2Gain),
    ("ln_2.bias", Tensor::Norm2Bias),
];

const MLP: &Names = &[
    ("mlp.0.weight", Tensor::Fc1Weight),
    ("mlp.0.bias", Tensor::Fc1Bias),
    ("mlp.3.weight", Tensor::Fc2Weight),
    ("mlp.3.bias", Tensor::Fc2Bias),
];

/// Before version 0.14.
const OLD_MLP: &Names = &[
    ("mlp.linear_1.weight", Tensor::Fc1Weight),
    ("mlp.linear_1.bias", Tensor::Fc1Bias),
    ("mlp.linear_2.weight", Tensor::Fc2Weight),
    ("mlp.linear_2.bias", Tensor::Fc2Bias),
];

/// torchvision's presets: 224 from 256; larger models resize to their own size.
const PRESETS: timm::Defaults = timm::Defaults {
    interpolation: Interpolation::Bilinear,
    crop_pct: [0.875, 1.0],
};

impl Family for Torchvision {
    fn name(&self) -> &'static str {
        "torchvision"
    }

    fn recognizes(&self, file: &TensorFile<'_>) -> bool {
        file.has_prefix("encoder.layers.")
    }

    fn naming(&self, file: &TensorFile<'_>) -> Result<Naming, Defect> {
        let old = file.has("encoder.layers.encoder_layer_0.mlp.linear_1.weight");
        Ok(Naming::new(LAYER)
            .model("", MODEL)
            .block(BLOCK)
            .block(if old { OLD_MLP } else { MLP }))
    }

    /// torchvision ships weights without a configuration; one beside them is read as timm's.
    fn describe(&self, source: &Source<'_>) -> Result<Described, Defect> {
        timm::read(&source.dimensions, false, source.config, &PRESETS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::json::Document;
    use crate::checkpoint::tensor::Dimensions;
    use mergevit_runtime::ResizeMode;

    #[test]
    fn torchvision_has_presets_of_its_own() {
        let dimensions = Dimensions {
            width: 64,
            patch_size: 16,
            mlp_width: 128,
            classes: 3,
            tokens: 197,
            depth: 2,
            class_token: true,
        };
        let read = |json: &str| {
            let config = Document::parse("config.json", Some(json.as_bytes())).unwrap();
            timm::read(&dimensions, false, config.root(), &PRESETS)
        };
        let found = read("{}").unwrap();
        let preprocessing = found.model.preprocessing;
        assert_eq!(preprocessing.resize, ResizeMode::ShortestSide(256));
        assert_eq!(preprocessing.interpolation, Interpolation::Bilinear);
        assert_eq!(
            (found.mean, found.std),
            ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
        );
        let larger = read(r#"{"image_size": 384}"#).err().unwrap();
        assert!(larger.to_string().contains("384"), "{larger}");
    }
}
