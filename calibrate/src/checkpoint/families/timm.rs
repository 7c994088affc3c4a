//! timm's `VisionTransformer`.

use crate::checkpoint::described::{Described, Source, heads, image_size, model};
use crate::checkpoint::error::Defect;
use crate::checkpoint::family::Family;
use crate::checkpoint::file::TensorFile;
use crate::checkpoint::json::Object;
use crate::checkpoint::naming::{Names, Naming};
use crate::checkpoint::preprocessing::{Found, resized};
use crate::checkpoint::tensor::{Dimensions, Tensor};
use mergevit_runtime::{Interpolation, Pooling, ResizeMode};

/// `timm.models.vision_transformer`.
pub(super) struct Timm;

const MODEL: &Names = &[
    ("patch_embed.proj.weight", Tensor::PatchWeight),
    ("patch_embed.proj.bias", Tensor::PatchBias),
    ("cls_token", Tensor::ClassToken),
    ("pos_embed", Tensor::Position),
    ("head.weight", Tensor::HeadWeight),
    ("head.bias", Tensor::HeadBias),
];

const NORM: &Names = &[
    ("norm.weight", Tensor::FinalNormGain),
    ("norm.bias", Tensor::FinalNormBias),
];

/// The last layer norm of models that pool the mean: it follows the pooling.
const FC_NORM: &Names = &[
    ("fc_norm.weight", Tensor::FinalNormGain),
    ("fc_norm.bias", Tensor::FinalNormBias),
];

const BLOCK: &Names = &[
    ("norm1.weight", Tensor::Norm1Gain),
    ("norm1.bias", Tensor::Norm1Bias),
    ("attn.qkv.weight", Tensor::QkvWeight),
    ("attn.qkv.bias", Tensor::QkvBias),
    ("attn.proj.weight", Tensor::ProjWeight),
    ("attn.proj.bias", Tensor::ProjBias),
    ("ls1.gamma", Tensor::LayerScale1),
    ("norm2.weight", Tensor::Norm2Gain),
    ("norm2.bias", Tensor::Norm2Bias),
    ("mlp.fc1.weight", Tensor::Fc1Weight),
    ("mlp.fc1.bias", Tensor::Fc1Bias),
    ("mlp.fc2.weight", Tensor::Fc2Weight),
    ("mlp.fc2.bias", Tensor::Fc2Bias),
    ("ls2.gamma", Tensor::LayerScale2),
];

/// Whether the last layer norm follows the pooling.
fn has_fc_norm(file: &TensorFile<'_>) -> bool {
    file.has("fc_norm.weight")
}

impl Family for Timm {
    fn name(&self) -> &'static str {
        "timm"
    }

    fn recognizes(&self, file: &TensorFile<'_>) -> bool {
        file.has_prefix("blocks.")
    }

    fn unsupported(&self) -> &'static [(&'static str, &'static str)] {
        &[
            ("reg_token", "register tokens"),
            ("dist_token", "a distillation token"),
            ("head_dist.weight", "a distillation head"),
            ("norm_pre.weight", "a layer norm before the encoder"),
            ("blocks.0.attn.q_norm.weight", "normalized queries and keys"),
            ("blocks.0.mlp.w12.weight", "a SwiGLU MLP"),
            ("blocks.0.mlp.fc1_g.weight", "a gated MLP"),
        ]
    }

    fn naming(&self, file: &TensorFile<'_>) -> Result<Naming, Defect> {
        let norm = if has_fc_norm(file) { FC_NORM } else { NORM };
        Ok(Naming::new("blocks.{}.")
            .model("", MODEL)
            .model("", norm)
            .block(BLOCK))
    }

    fn describe(&self, source: &Source<'_>) -> Result<Described, Defect> {
        let fc_norm = has_fc_norm(source.file);
        read(&source.dimensions, fc_norm, source.config, Some(&DEFAULTS))
    }
}

/// What a `pretrained_cfg` without the field means: the defaults of `timm.models.PretrainedCfg`. A configuration
/// without a `pretrained_cfg` has none.
pub(super) struct Defaults {
    interpolation: Interpolation,
    crop_pct: f64,
    mean: [f32; 3],
    std: [f32; 3],
}

const DEFAULTS: Defaults = Defaults {
    interpolation: Interpolation::Bicubic,
    crop_pct: 0.875,
    mean: [0.485, 0.456, 0.406],
    std: [0.229, 0.224, 0.225],
};

/// Reads timm's `config.json`. `fc_norm` says whether the last layer norm follows the pooling; `defaults` is what
/// the library assumes for missing fields of a `pretrained_cfg`, if it does.
///
/// # Errors
/// As [`Family::describe`].
pub(super) fn read(
    dimensions: &Dimensions,
    fc_norm: bool,
    config: Object<'_>,
    defaults: Option<&Defaults>,
) -> Result<Described, Defect> {
    let defaults = defaults.filter(|_| config.get("pretrained_cfg").is_some());
    // timm's first configurations had no `pretrained_cfg` of their own.
    let pretrained = match config.get("pretrained_cfg") {
        Some(_) => config.inner("pretrained_cfg", "pretrained_cfg.")?,
        None => config,
    };
    let arguments = config.inner("model_args", "model_args.")?;
    let stated = stated_size(config, pretrained, arguments)?;
    let size = image_size(dimensions, pretrained, stated)?;
    config.agrees("num_classes", dimensions.classes)?;
    config.agrees("num_features", dimensions.width)?;
    arguments.agrees("depth", dimensions.depth)?;
    heads(dimensions, arguments, "num_heads")?;
    let name = config.text("architecture")?.unwrap_or("vit");
    let mut model = model(dimensions, name, size);
    let pool = config
        .text("global_pool")?
        .or(arguments.text("global_pool")?);
    model.pooling = pooling(pool, fc_norm, dimensions.class_token)?;
    if let Some(activation) = arguments.text("act_layer")?.filter(|name| *name != "gelu") {
        return Err(Defect::Unsupported(format!(
            "activation {activation}; supported is gelu (erf)"
        )));
    }
    model.labels = match label_names(dimensions.classes, pretrained)? {
        names if names.is_empty() => label_names(dimensions.classes, config)?,
        names => names,
    };
    Ok(Described {
        model,
        preprocessing: preprocessing(pretrained, size, defaults)?,
    })
}

/// Side of the model's images, where the configuration states it.
fn stated_size(
    config: Object<'_>,
    pretrained: Object<'_>,
    arguments: Object<'_>,
) -> Result<Option<usize>, Defect> {
    let Some(list) = pretrained.get("input_size") else {
        return match arguments.size("img_size")? {
            None => config.size("image_size"),
            stated => Ok(stated),
        };
    };
    match list.as_array().map(Vec::as_slice) {
        Some([_, height, width]) if height == width && height.is_u64() => {
            Ok(height.as_u64().and_then(|n| usize::try_from(n).ok()))
        }
        _ => Err(pretrained.wrong("input_size", list, "[3, size, size]")),
    }
}

/// What the classifier reads, given `global_pool`.
fn pooling(pool: Option<&str>, fc_norm: bool, class_token: bool) -> Result<Pooling, Defect> {
    match (pool, fc_norm) {
        (Some("avg") | None, true) => Ok(Pooling::Mean),
        (Some("token") | None, false) if class_token => Ok(Pooling::ClassToken),
        (pool, fc_norm) => Err(Defect::Unsupported(format!(
            "global_pool {:?} {} fc_norm{}; supported are \"token\" with norm and a class token, and \
             \"avg\" with fc_norm",
            pool.unwrap_or("(none)"),
            if fc_norm { "with" } else { "without" },
            if class_token {
                ""
            } else {
                ", and no class token"
            },
        ))),
    }
}

/// timm.data.create_transform: resize to floor(size / crop_pct), crop the centre.
fn preprocessing(
    of: Object<'_>,
    size: usize,
    defaults: Option<&Defaults>,
) -> Result<Found, Defect> {
    let crop = of.number("crop_pct")?;
    let side = crop
        .or(defaults.map(|defaults| defaults.crop_pct))
        .map(|crop| resized(size, crop));
    let resize = match of.text("crop_mode")?.unwrap_or("center") {
        "center" => side.map(ResizeMode::ShortestSide),
        "squash" => side.map(|side| ResizeMode::Exact {
            width: side,
            height: side,
        }),
        other => return Err(of.wrong("crop_mode", &other, "center or squash")),
    };
    let interpolation = match of.text("interpolation")? {
        None => defaults.map(|defaults| defaults.interpolation),
        Some("bilinear") => Some(Interpolation::Bilinear),
        Some("bicubic") => Some(Interpolation::Bicubic),
        Some(other) => return Err(of.wrong("interpolation", &other, "bilinear or bicubic")),
    };
    Ok(Found {
        mean: of
            .colours("mean")?
            .or(defaults.map(|defaults| defaults.mean)),
        std: of.colours("std")?.or(defaults.map(|defaults| defaults.std)),
        resize,
        interpolation,
    })
}

/// Class names as a list; none if the field is missing.
fn label_names(classes: usize, of: Object<'_>) -> Result<Vec<String>, Defect> {
    let field = "label_names";
    let Some(value) = of.get(field) else {
        return Ok(Vec::new());
    };
    let names = value.as_array().and_then(|list| {
        list.iter()
            .map(|x| x.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
    });
    match names {
        Some(names) if names.len() == classes => Ok(names),
        _ => {
            let expected = format!("a list of {classes} names");
            Err(of.wrong(field, &"another value", expected))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkpoint::json::Document;

    /// (3 classes) 224 x 224, patches of 16.
    const DIMENSIONS: Dimensions = Dimensions {
        width: 64,
        patch_size: 16,
        mlp_width: 128,
        classes: 3,
        tokens: 197,
        depth: 2,
        class_token: true,
    };

    fn read(json: &str) -> Result<Described, Defect> {
        let config = Document::parse("config.json", Some(json.as_bytes()))?;
        super::read(&DIMENSIONS, false, config.root(), Some(&DEFAULTS))
    }

    #[test]
    fn crop_modes_resize_as_timm_does() {
        let resize = |fields: &str| {
            let found = read(&format!(r#"{{"pretrained_cfg": {{{fields}}}}}"#));
            found.map(|found| found.preprocessing.resize.unwrap())
        };
        let shortest = ResizeMode::ShortestSide;
        assert_eq!(resize("").unwrap(), shortest(256));
        assert_eq!(resize(r#""crop_pct": 0.9"#).unwrap(), shortest(248));
        assert_eq!(
            resize(r#""crop_mode": "center", "crop_pct": 1.0"#).unwrap(),
            shortest(224)
        );
        assert_eq!(
            resize(r#""crop_mode": "squash", "crop_pct": 0.95"#).unwrap(),
            ResizeMode::Exact {
                width: 235,
                height: 235
            }
        );
        let border = resize(r#""crop_mode": "border""#).unwrap_err();
        assert!(
            border.to_string().contains("pretrained_cfg.crop_mode"),
            "{border}"
        );
    }

    #[test]
    fn fields_are_found_where_every_version_of_timm_writes_them() {
        let old = r#"{"mean": [0.1, 0.2, 0.3], "label_names": ["a", "b", "c"], "interpolation": "bilinear"}"#;
        let found = read(old).unwrap();
        assert_eq!(found.preprocessing.mean, Some([0.1, 0.2, 0.3]));
        assert_eq!(
            found.preprocessing.interpolation,
            Some(Interpolation::Bilinear)
        );
        // Without a `pretrained_cfg`, timm documents no default.
        assert_eq!(found.preprocessing.std, None);
        assert_eq!(found.preprocessing.resize, None);
        let top = r#"{"label_names": ["a", "b", "c"], "pretrained_cfg": {"crop_pct": 1.0}}"#;
        for json in [old, top] {
            assert_eq!(read(json).unwrap().model.labels, ["a", "b", "c"]);
        }
        let short = top.replace(", \"c\"", "");
        assert!(read(&short).is_err());
    }
}
