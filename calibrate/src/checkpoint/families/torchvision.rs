//! torchvision's `VisionTransformer`.

use super::timm;
use crate::checkpoint::described::{Described, Source};
use crate::checkpoint::error::Defect;
use crate::checkpoint::family::Family;
use crate::checkpoint::file::TensorFile;
use crate::checkpoint::naming::{Names, Naming};
use crate::checkpoint::tensor::Tensor;

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

    /// torchvision ships weights without a configuration, and its recipes differ from weights to weights; a
    /// configuration beside them is read as timm's.
    fn describe(&self, source: &Source<'_>) -> Result<Described, Defect> {
        timm::read(&source.dimensions, false, source.config, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::json::Document;
    use crate::checkpoint::tensor::Dimensions;

    #[test]
    fn nothing_is_guessed_of_weights_without_a_configuration() {
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
            timm::read(&dimensions, false, config.root(), None)
        };
        for json in ["{}", r#"{"pretrained_cfg": {}}"#] {
            let found = read(json).unwrap().preprocessing;
            assert_eq!((found.mean, found.std), (None, None));
            assert!(found.resize.is_none() && found.interpolation.is_none());
        }
        let larger = read(r#"{"image_size": 384}"#).err().unwrap();
        assert!(larger.to_string().contains("384"), "{larger}");
    }
}
