//! `config.json` and `preprocessor_config.json`: what the tensors do not say.

use super::assemble::Shape;
use super::error::Defect;
use super::json::{Object, parse};
use super::naming::{Kind, Names};
use super::transformers;
use mergevit_kernels::ops::HEAD_WIDTH;
use mergevit_runtime::{Interpolation, ModelConfig, Pooling, Preprocessing, ResizeMode};
use serde_json::Value;

/// Smallest standard deviation of a colour: pixels are in 0 to 1, in steps of 1/255.
const MIN_STD: f32 = 1e-3;

const CONFIG: &str = "config.json";
const PREPROCESSOR: &str = "preprocessor_config.json";

/// The model's configuration, with the colours' mean and standard deviation.
pub(super) struct Described {
    pub(super) model: ModelConfig,
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
}

/// Puts together what shapes and configuration files say, and fails where they disagree.
pub(super) fn describe(
    names: &Names,
    shape: &Shape,
    config: Option<&[u8]>,
    preprocessor: Option<&[u8]>,
) -> Result<Described, Defect> {
    let empty = Value::Object(serde_json::Map::new());
    let config = config.map(|text| parse(CONFIG, text)).transpose()?;
    let preprocessor = preprocessor
        .map(|text| parse(PREPROCESSOR, text))
        .transpose()?;
    let config = Object {
        file: CONFIG,
        path: "",
        value: config.as_ref().unwrap_or(&empty),
    };
    let preprocessor = Object {
        file: PREPROCESSOR,
        path: "",
        value: preprocessor.as_ref().unwrap_or(&empty),
    };
    let described = match names.kind {
        Kind::Timm => timm(shape, config, &TIMM)?,
        Kind::Transformers => transformers::describe(shape, config, preprocessor)?,
        Kind::Torchvision => timm(shape, config, &TORCHVISION)?,
    };
    if let Some(std) = described.std.iter().find(|std| **std < MIN_STD) {
        return Err(config.wrong("std", std, format!("{MIN_STD} or more")));
    }
    described.model.validate()?;
    Ok(described)
}

/// What all kinds share; the rest is filled in by each.
pub(super) fn model(shape: &Shape, architecture: &str, image_size: usize) -> ModelConfig {
    ModelConfig {
        architecture: architecture.into(),
        image_size,
        patch_size: shape.patch_size,
        width: shape.width,
        depth: shape.parts.depth,
        heads: shape.width / HEAD_WIDTH,
        mlp_width: shape.mlp_width,
        classes: shape.classes,
        class_token: shape.parts.class_token,
        pooling: if shape.parts.class_token {
            Pooling::ClassToken
        } else {
            Pooling::Mean
        },
        epsilon: 1e-6,
        labels: Vec::new(),
        preprocessing: Preprocessing {
            resize: ResizeMode::ShortestSide(image_size),
            interpolation: Interpolation::Bilinear,
        },
    }
}

/// The square image that gives the position table's grid; `stated` must agree with it.
pub(super) fn image_size(
    shape: &Shape,
    of: Object<'_>,
    stated: Option<usize>,
) -> Result<usize, Defect> {
    let patches = shape
        .tokens
        .saturating_sub(usize::from(shape.parts.class_token));
    let side = patches.isqrt();
    let size = side.saturating_mul(shape.patch_size);
    if side * side != patches || side == 0 {
        return Err(Defect::Unsupported(format!(
            "its position table has {} rows, expected a square number of patches{}",
            shape.tokens,
            if shape.parts.class_token {
                " and the class token"
            } else {
                ""
            }
        )));
    }
    match stated {
        Some(stated) if stated != size => Err(of.wrong(
            "image size",
            &stated,
            format!(
                "{size}: the position table is for {side} x {side} patches of {}",
                shape.patch_size
            ),
        )),
        _ => Ok(size),
    }
}

fn interpolation(of: Object<'_>, field: &str, name: &str) -> Result<Interpolation, Defect> {
    match name {
        "bilinear" => Ok(Interpolation::Bilinear),
        "bicubic" => Ok(Interpolation::Bicubic),
        other => Err(of.wrong(field, &other, "bilinear or bicubic")),
    }
}

/// Multiples of 64 at which the published models have 16 heads of another width: SO400M, ViT-H, ViT-g, ViT-G
/// (timm, torchvision). No tensor's shape tells the heads.
const AMBIGUOUS_WIDTHS: [usize; 4] = [1152, 1280, 1408, 1664];

pub(super) fn heads(shape: &Shape, of: Object<'_>, field: &str) -> Result<(), Defect> {
    let stated = of.size(field)?;
    let heads = stated.unwrap_or(if AMBIGUOUS_WIDTHS.contains(&shape.width) {
        16
    } else {
        shape.width / HEAD_WIDTH
    });
    // A width that is no multiple of 64 at all is the model's own defect, reported when it is validated.
    if heads * HEAD_WIDTH == shape.width
        || stated.is_none() && !shape.width.is_multiple_of(HEAD_WIDTH)
    {
        return Ok(());
    }
    Err(Defect::Unsupported(format!(
        "{} channels in {heads} heads{}; the kernels need heads of {HEAD_WIDTH} channels",
        shape.width,
        if stated.is_some() {
            String::new()
        } else {
            format!(
                ", as published models of this width have ({}{field} states no other number)",
                of.path
            )
        }
    )))
}

/// What a configuration without the field means.
struct Defaults {
    filter: Interpolation,
    /// Model size over resized size: for 224 pixels and for others.
    crop_pct: [f64; 2],
}

/// timm.data.constants
const TIMM: Defaults = Defaults {
    filter: Interpolation::Bicubic,
    crop_pct: [0.875; 2],
};

/// torchvision's presets: 224 from 256; larger models resize to their own size.
const TORCHVISION: Defaults = Defaults {
    filter: Interpolation::Bilinear,
    crop_pct: [0.875, 1.0],
};

/// timm's `config.json`. torchvision ships weights without a configuration; what stands beside them is read
/// as timm's.
fn timm(shape: &Shape, config: Object<'_>, defaults: &Defaults) -> Result<Described, Defect> {
    // timm's first configurations had no `pretrained_cfg` of their own.
    let pretrained = match config.get("pretrained_cfg") {
        Some(_) => config.inner("pretrained_cfg", "pretrained_cfg.")?,
        None => config,
    };
    let arguments = config.inner("model_args", "model_args.")?;
    let stated = match pretrained.get("input_size") {
        None => match arguments.size("img_size")? {
            None => config.size("image_size")?,
            stated => stated,
        },
        Some(list) => match list.as_array().map(Vec::as_slice) {
            Some([_, height, width]) if height == width && height.is_u64() => {
                height.as_u64().and_then(|n| usize::try_from(n).ok())
            }
            _ => return Err(pretrained.wrong("input_size", list, "[3, size, size]")),
        },
    };
    let size = image_size(shape, pretrained, stated)?;
    config.agrees("num_classes", shape.classes)?;
    config.agrees("num_features", shape.width)?;
    arguments.agrees("depth", shape.parts.depth)?;
    heads(shape, arguments, "num_heads")?;
    let mut model = model(shape, config.text("architecture")?.unwrap_or("vit"), size);
    let pool = config
        .text("global_pool")?
        .or(arguments.text("global_pool")?);
    model.pooling = match (pool, shape.parts.fc_norm) {
        (Some("avg"), true) | (None, true) => Pooling::Mean,
        (Some("token") | None, false) if shape.parts.class_token => Pooling::ClassToken,
        (pool, fc_norm) => {
            return Err(Defect::Unsupported(format!(
                "global_pool {:?} {} fc_norm{}; supported are \"token\" with norm and a class token, and \
                 \"avg\" with fc_norm",
                pool.unwrap_or("(none)"),
                if fc_norm { "with" } else { "without" },
                if shape.parts.class_token {
                    ""
                } else {
                    ", and no class token"
                },
            )));
        }
    };
    if let Some(activation) = arguments.text("act_layer")?.filter(|name| *name != "gelu") {
        return Err(Defect::Unsupported(format!(
            "activation {activation}; supported is gelu (erf)"
        )));
    }
    model.preprocessing = preprocessing(pretrained, size, defaults)?;
    model.labels = match labels(shape, pretrained, "label_names")? {
        names if names.is_empty() => labels(shape, config, "label_names")?,
        names => names,
    };
    Ok(Described {
        model,
        mean: pretrained.colours("mean")?.unwrap_or(IMAGENET_MEAN),
        std: pretrained.colours("std")?.unwrap_or(IMAGENET_STD),
    })
}

/// timm.data.create_transform: resize to floor(size / crop_pct), crop the centre.
fn preprocessing(
    of: Object<'_>,
    size: usize,
    defaults: &Defaults,
) -> Result<Preprocessing, Defect> {
    let crop = of.number("crop_pct")?;
    let crop = crop.unwrap_or(defaults.crop_pct[usize::from(size != 224)]);
    let side = (size as f64 / crop).floor().min(1e6) as usize;
    let resize = match of.text("crop_mode")?.unwrap_or("center") {
        "center" => ResizeMode::ShortestSide(side),
        "squash" => ResizeMode::Exact {
            width: side,
            height: side,
        },
        other => return Err(of.wrong("crop_mode", &other, "center or squash")),
    };
    let interpolation = match of.text("interpolation")? {
        None => defaults.filter,
        Some(name) => interpolation(of, "interpolation", name)?,
    };
    Ok(Preprocessing {
        resize,
        interpolation,
    })
}

const IMAGENET_MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; 3] = [0.229, 0.224, 0.225];

/// Class names as a list; none if the field is missing.
fn labels(shape: &Shape, of: Object<'_>, field: &str) -> Result<Vec<String>, Defect> {
    let Some(value) = of.get(field) else {
        return Ok(Vec::new());
    };
    let names = value.as_array().and_then(|list| {
        list.iter()
            .map(|x| x.as_str().map(str::to_owned))
            .collect::<Option<Vec<_>>>()
    });
    match names {
        Some(names) if names.len() == shape.classes => Ok(names),
        _ => Err(of.wrong(
            field,
            &"another value",
            format!("a list of {} names", shape.classes),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::super::assemble::Parts;
    use super::*;

    /// (3 classes) 224 x 224, patches of 16.
    const SHAPE: Shape = Shape {
        width: 64,
        patch_size: 16,
        mlp_width: 128,
        classes: 3,
        tokens: 197,
        parts: Parts {
            depth: 2,
            class_token: true,
            fc_norm: false,
        },
    };

    fn read(json: &str, defaults: &Defaults) -> Result<Described, Defect> {
        let value: Value = serde_json::from_str(json).unwrap();
        let config = Object {
            file: CONFIG,
            path: "",
            value: &value,
        };
        timm(&SHAPE, config, defaults)
    }

    #[test]
    fn crop_modes_resize_as_timm_does() {
        let resize = |fields: &str| {
            let found = read(&format!(r#"{{"pretrained_cfg": {{{fields}}}}}"#), &TIMM);
            found.map(|found| found.model.preprocessing.resize)
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
        let found = read(old, &TIMM).unwrap();
        assert_eq!(found.mean, [0.1, 0.2, 0.3]);
        assert_eq!(
            found.model.preprocessing.interpolation,
            Interpolation::Bilinear
        );
        let top = r#"{"label_names": ["a", "b", "c"], "pretrained_cfg": {"crop_pct": 1.0}}"#;
        for json in [old, top] {
            assert_eq!(read(json, &TIMM).unwrap().model.labels, ["a", "b", "c"]);
        }
        let short = top.replace(", \"c\"", "");
        assert!(read(&short, &TIMM).is_err());
    }

    #[test]
    fn torchvision_has_presets_of_its_own() {
        let found = read("{}", &TORCHVISION).unwrap();
        let preprocessing = found.model.preprocessing;
        assert_eq!(preprocessing.resize, ResizeMode::ShortestSide(256));
        assert_eq!(preprocessing.interpolation, Interpolation::Bilinear);
        assert_eq!((found.mean, found.std), (IMAGENET_MEAN, IMAGENET_STD));
        let larger = read(r#"{"image_size": 384}"#, &TORCHVISION).err().unwrap();
        assert!(larger.to_string().contains("384"), "{larger}");
    }
}
