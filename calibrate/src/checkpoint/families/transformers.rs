//! transformers' `ViTForImageClassification` and `DeiTForImageClassification`.

use crate::checkpoint::described::{Described, Source, heads, image_size, model};
use crate::checkpoint::error::Defect;
use crate::checkpoint::family::Family;
use crate::checkpoint::file::TensorFile;
use crate::checkpoint::json::Object;
use crate::checkpoint::naming::{Names, Naming};
use crate::checkpoint::preprocessing::Found;
use crate::checkpoint::tensor::{Dimensions, Tensor};
use mergevit_runtime::{Interpolation, ResizeMode};
use serde_json::Value;

/// `transformers.models.vit` and `transformers.models.deit`.
pub(super) struct Transformers;

/// After `vit.` or `deit.`.
const MODEL: &Names = &[
    (
        "embeddings.patch_embeddings.projection.weight",
        Tensor::PatchWeight,
    ),
    (
        "embeddings.patch_embeddings.projection.bias",
        Tensor::PatchBias,
    ),
    ("embeddings.cls_token", Tensor::ClassToken),
    ("embeddings.position_embeddings", Tensor::Position),
    ("layernorm.weight", Tensor::FinalNormGain),
    ("layernorm.bias", Tensor::FinalNormBias),
];

const HEAD: &Names = &[
    ("classifier.weight", Tensor::HeadWeight),
    ("classifier.bias", Tensor::HeadBias),
];

const BLOCK: &Names = &[
    ("layernorm_before.weight", Tensor::Norm1Gain),
    ("layernorm_before.bias", Tensor::Norm1Bias),
    ("attention.attention.query.weight", Tensor::QueryWeight),
    ("attention.attention.query.bias", Tensor::QueryBias),
    ("attention.attention.key.weight", Tensor::KeyWeight),
    ("attention.attention.key.bias", Tensor::KeyBias),
    ("attention.attention.value.weight", Tensor::ValueWeight),
    ("attention.attention.value.bias", Tensor::ValueBias),
    ("attention.output.dense.weight", Tensor::ProjWeight),
    ("attention.output.dense.bias", Tensor::ProjBias),
    ("layernorm_after.weight", Tensor::Norm2Gain),
    ("layernorm_after.bias", Tensor::Norm2Bias),
    ("intermediate.dense.weight", Tensor::Fc1Weight),
    ("intermediate.dense.bias", Tensor::Fc1Bias),
    ("output.dense.weight", Tensor::Fc2Weight),
    ("output.dense.bias", Tensor::Fc2Bias),
];

impl Family for Transformers {
    fn name(&self) -> &'static str {
        "transformers"
    }

    fn recognizes(&self, file: &TensorFile<'_>) -> bool {
        ["vit.encoder.", "deit.encoder.", "dinov2."]
            .iter()
            .any(|prefix| file.has_prefix(prefix))
    }

    fn unsupported(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("deit.embeddings.distillation_token", "a distillation token"),
            ("distillation_classifier.weight", "a distillation head"),
        ]
    }

    fn naming(&self, file: &TensorFile<'_>) -> Result<Naming, Defect> {
        if file.has_prefix("dinov2.") {
            return Err(Defect::Unsupported(
                "transformers' Dinov2ForImageClassification classifies the class token and the mean of \
                 the patches side by side; export the model with a head on the class token alone"
                    .into(),
            ));
        }
        let prefix = if file.has_prefix("vit.encoder.") {
            "vit."
        } else {
            "deit."
        };
        Ok(Naming::new(format!("{prefix}encoder.layer.{{}}."))
            .model(prefix, MODEL)
            .model("", HEAD)
            .block(BLOCK))
    }

    fn describe(&self, source: &Source<'_>) -> Result<Described, Defect> {
        read(&source.dimensions, source.config, source.preprocessor)
    }
}

/// Reads `config.json` and `preprocessor_config.json`.
fn read(
    dimensions: &Dimensions,
    config: Object<'_>,
    preprocessor: Object<'_>,
) -> Result<Described, Defect> {
    config.agrees("hidden_size", dimensions.width)?;
    config.agrees("num_hidden_layers", dimensions.depth)?;
    config.agrees("intermediate_size", dimensions.mlp_width)?;
    config.agrees("patch_size", dimensions.patch_size)?;
    heads(dimensions, config, "num_attention_heads")?;
    match config.text("hidden_act")? {
        None | Some("gelu") => {}
        Some(other) => {
            return Err(Defect::Unsupported(format!(
                "activation {other}; supported is gelu (erf)"
            )));
        }
    }
    let size = image_size(dimensions, config, config.size("image_size")?)?;
    let name = config.text("model_type")?.unwrap_or("vit");
    let mut model = model(dimensions, name, size);
    model.epsilon = config.number("layer_norm_eps")?.unwrap_or(1e-12) as f32;
    model.labels = id_labels(dimensions.classes, config)?;
    let preprocessing = preprocessing(preprocessor, name, size)?;
    Ok(Described {
        model,
        preprocessing,
    })
}

/// `id2label`, an object from "0", "1", ... to names.
fn id_labels(classes: usize, config: Object<'_>) -> Result<Vec<String>, Defect> {
    let Some(value) = config.get("id2label") else {
        return Ok(Vec::new());
    };
    let name = |index: usize| value.get(index.to_string())?.as_str().map(str::to_owned);
    let count = value.as_object().map_or(0, serde_json::Map::len);
    match (0..classes).map(name).collect::<Option<Vec<_>>>() {
        Some(names) if count == classes => Ok(names),
        _ => Err(config.wrong(
            "id2label",
            &format!("{count} names"),
            format!("a name for each of 0 to {}", classes.saturating_sub(1)),
        )),
    }
}

/// What `preprocessor_config.json` says, as transformers' image processors take it: resize, crop the centre,
/// scale to 0 to 1, normalize.
///
/// A missing field is the documented default of `ViTImageProcessor` or `DeiTImageProcessor`. Other processors have
/// others, and without a file nothing is known.
fn preprocessing(of: Object<'_>, model_type: &str, size: usize) -> Result<Found, Defect> {
    if of.is_empty() {
        return Ok(Found::default());
    }
    let kind = match of.text("image_processor_type")? {
        Some(kind) => Some(kind),
        None => of.text("feature_extractor_type")?,
    };
    let deit = kind.map_or(model_type == "deit", |kind| kind.starts_with("DeiT"));
    let vit = kind.is_none_or(|kind| kind.starts_with("ViT")) && !deit;
    for step in ["do_resize", "do_rescale"] {
        if of.flag(step)? == Some(false) {
            return Err(of.wrong(step, &false, "true"));
        }
    }
    let factor = of.number("rescale_factor")?.unwrap_or(1.0 / 255.0);
    if (factor * 255.0 - 1.0).abs() > 1e-3 {
        return Err(of.wrong("rescale_factor", &factor, "1/255"));
    }
    let interpolation = match of.size("resample")? {
        None if deit => Some(Interpolation::Bicubic),
        None => vit.then_some(Interpolation::Bilinear),
        Some(2) => Some(Interpolation::Bilinear),
        Some(3) => Some(Interpolation::Bicubic),
        Some(n) => return Err(of.wrong("resample", &n, "2 (bilinear) or 3 (bicubic)")),
    };
    let default = (deit || vit).then_some([0.5; 3]);
    let (mean, std) = if of.flag("do_normalize")?.unwrap_or(true) {
        (of.colours("image_mean")?, of.colours("image_std")?)
    } else {
        (Some([0.0; 3]), Some([1.0; 3]))
    };
    let resize = resize(of, kind.unwrap_or("ViT"), deit, size)?;
    let resize_known = deit || vit || of.get("size").is_some();
    Ok(Found {
        mean: mean.or(default),
        std: std.or(default),
        resize: resize_known.then_some(resize),
        interpolation,
    })
}

/// The size before the centre crop to the model's `size`; only DeiT's processor crops unless told to.
fn resize(of: Object<'_>, kind: &str, deit: bool, size: usize) -> Result<ResizeMode, Defect> {
    // Only these processors read one number as both sides; the others mean the shorter one.
    let one_number_is_both = kind.starts_with("ViT") || deit;
    let crops = of.flag("do_center_crop")?.unwrap_or(deit);
    let exact = |width, height| ResizeMode::Exact { width, height };
    let side = if crops && deit && of.get("size").is_none() {
        256
    } else {
        size
    };
    let resize = match of.get("size") {
        None => exact(side, side),
        Some(Value::Object(_)) => {
            let sides = of.inner("size", "size.")?;
            let lengths = ["width", "height", "shortest_edge"].map(|name| sides.size(name));
            match lengths {
                [Ok(Some(width)), Ok(Some(height)), Ok(None)] => exact(width, height),
                [Ok(None), Ok(None), Ok(Some(side))] => ResizeMode::ShortestSide(side),
                _ => {
                    let expected = "height and width, or shortest_edge";
                    return Err(of.wrong("size", sides.value(), expected));
                }
            }
        }
        Some(_) => match of.size("size")? {
            Some(side) if one_number_is_both => exact(side, side),
            side => ResizeMode::ShortestSide(side.unwrap_or(size)),
        },
    };
    if crops {
        let crop = match of.get("crop_size") {
            Some(Value::Object(_)) => {
                let sides = of.inner("crop_size", "crop_size.")?;
                [sides.size("width")?, sides.size("height")?]
            }
            _ => [of.size("crop_size")?; 2],
        };
        if let Some(side) = crop.into_iter().flatten().find(|side| *side != size) {
            return Err(of.wrong(
                "crop_size",
                &side,
                format!("{size}, the model's image size"),
            ));
        }
    } else if resize != exact(size, size) {
        let found = of.get("size").unwrap_or(&Value::Null);
        let expected = format!("{size} x {size}, the model's image size, without do_center_crop");
        return Err(of.wrong("size", found, expected));
    }
    Ok(resize)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::json::Document;

    fn read(json: &str) -> Result<Found, Defect> {
        let file = Document::parse("preprocessor_config.json", Some(json.as_bytes()))?;
        preprocessing(file.root(), "vit", 224)
    }

    const fn exact(side: usize) -> ResizeMode {
        ResizeMode::Exact {
            width: side,
            height: side,
        }
    }

    #[test]
    fn published_processors_are_understood() {
        let shortest = ResizeMode::ShortestSide(256);
        for (json, resize, interpolation) in [
            (
                r#"{"do_resize": true}"#,
                exact(224),
                Some(Interpolation::Bilinear),
            ),
            // google/vit-base-patch16-224
            (
                r#"{"do_normalize": true, "do_resize": true, "size": 224, "resample": 2}"#,
                exact(224),
                Some(Interpolation::Bilinear),
            ),
            // facebook/deit-base-patch16-224
            (
                r#"{"crop_size": 224, "do_center_crop": true, "size": 256, "resample": 3,
                    "feature_extractor_type": "DeiTFeatureExtractor"}"#,
                exact(256),
                Some(Interpolation::Bicubic),
            ),
            (
                r#"{"image_processor_type": "DeiTImageProcessor"}"#,
                exact(256),
                Some(Interpolation::Bicubic),
            ),
            (
                r#"{"image_processor_type": "BitImageProcessor", "do_center_crop": true, "resample": 3,
                    "size": {"shortest_edge": 256}, "crop_size": {"height": 224, "width": 224}}"#,
                shortest,
                Some(Interpolation::Bicubic),
            ),
            (
                r#"{"image_processor_type": "CLIPImageProcessor", "do_center_crop": true, "size": 256}"#,
                shortest,
                None,
            ),
        ] {
            let found = read(json).unwrap();
            assert_eq!(
                (found.resize, found.interpolation),
                (Some(resize), interpolation),
                "{json}"
            );
        }
        let raw = read(r#"{"do_normalize": false, "image_mean": [0.5, 0.5, 0.5]}"#).unwrap();
        assert_eq!((raw.mean, raw.std), (Some([0.0; 3]), Some([1.0; 3])));
        let other = read(r#"{"image_processor_type": "BitImageProcessor"}"#).unwrap();
        assert_eq!((other.mean, other.interpolation), (None, None));
        let absent = read("{}").unwrap();
        assert!(absent.mean.is_none() && absent.resize.is_none());
    }

    #[test]
    fn what_would_change_the_pixels_unseen_is_refused() {
        for (json, field) in [
            (r#"{"do_resize": false}"#, "do_resize"),
            (r#"{"do_rescale": false}"#, "do_rescale"),
            (r#"{"do_normalize": "yes"}"#, "do_normalize"),
            (r#"{"rescale_factor": 0.0078}"#, "rescale_factor"),
            (r#"{"resample": 0}"#, "resample"),
            (r#"{"size": 384}"#, "size"),
            (r#"{"size": {"shortest_edge": 224}}"#, "size"),
            (r#"{"size": {"longest_edge": 224}}"#, "size"),
            (r#"{"size": {"height": 224, "width": -1}}"#, "size"),
            (
                r#"{"size": 256, "do_center_crop": true, "crop_size": 192}"#,
                "crop_size",
            ),
        ] {
            let Err(Defect::Config { field: found, .. }) = read(json) else {
                panic!("{json} was accepted");
            };
            assert_eq!(found, field, "{json}");
        }
    }
}
