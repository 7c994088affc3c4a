//! `config.json` and `preprocessor_config.json`: what the tensors do not say.

use super::assemble::Shape;
use super::error::Defect;
use super::naming::{Kind, Names};
use mergevit_kernels::ops::HEAD_WIDTH;
use mergevit_runtime::{Interpolation, ModelConfig, Pooling, Preprocessing, ResizeMode};
use serde_json::Value;

const CONFIG: &str = "config.json";
const PREPROCESSOR: &str = "preprocessor_config.json";

/// The model's configuration, with the colours' mean and standard deviation.
pub(super) struct Described {
    pub(super) model: ModelConfig,
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
}

/// A JSON object with the name of the file it came from.
#[derive(Clone, Copy)]
struct Object<'a> {
    file: &'static str,
    path: &'static str,
    value: &'a Value,
}

impl<'a> Object<'a> {
    fn wrong(&self, field: &str, found: impl ToString, expected: impl Into<String>) -> Defect {
        Defect::Config {
            file: self.file,
            field: format!("{}{field}", self.path),
            found: found.to_string(),
            expected: expected.into(),
        }
    }

    fn get(&self, field: &str) -> Option<&'a Value> {
        self.value.get(field).filter(|value| !value.is_null())
    }

    fn size(&self, field: &str) -> Result<Option<usize>, Defect> {
        let whole = |value: &Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        match whole(value) {
            Some(n) if n <= 1 << 20 => Ok(Some(n)),
            _ => Err(self.wrong(field, value, "a whole number")),
        }
    }

    fn number(&self, field: &str) -> Result<Option<f64>, Defect> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        match value.as_f64().filter(|x| x.is_finite() && *x > 0.0) {
            Some(x) => Ok(Some(x)),
            None => Err(self.wrong(field, value, "a number above 0")),
        }
    }

    fn text(&self, field: &str) -> Result<Option<&'a str>, Defect> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        value
            .as_str()
            .map(Some)
            .ok_or_else(|| self.wrong(field, value, "text"))
    }

    fn colours(&self, field: &str) -> Result<Option<[f32; 3]>, Defect> {
        let Some(value) = self.get(field) else {
            return Ok(None);
        };
        let three = || {
            let list = value.as_array().filter(|list| list.len() == 3)?;
            let mut colours = [0.0; 3];
            for (colour, x) in colours.iter_mut().zip(list) {
                *colour = x.as_f64().filter(|x| (-1e3..=1e3).contains(x))? as f32;
            }
            Some(colours)
        };
        three()
            .map(Some)
            .ok_or_else(|| self.wrong(field, value, "three numbers"))
    }

    /// Fails if the field is there and is not `expected`.
    fn agrees(&self, field: &str, expected: usize) -> Result<(), Defect> {
        match self.size(field)? {
            Some(n) if n != expected => Err(self.wrong(
                field,
                n,
                format!("{expected}, which the tensors' shapes say"),
            )),
            _ => Ok(()),
        }
    }
}

pub(super) fn parse(file: &'static str, text: &[u8]) -> Result<Value, Defect> {
    let wrong = |found: String| Defect::Config {
        file,
        field: "(whole file)".into(),
        found,
        expected: "a JSON object".into(),
    };
    match serde_json::from_slice::<Value>(text) {
        Ok(value) if value.is_object() => Ok(value),
        Ok(_) => Err(wrong("another JSON value".into())),
        Err(error) => Err(wrong(error.to_string())),
    }
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
        Kind::Timm => timm(shape, config)?,
        Kind::Transformers => transformers(shape, config, preprocessor)?,
        Kind::Torchvision => torchvision(shape, config)?,
    };
    if let Some(index) = described.std.iter().position(|s| *s <= 0.0) {
        return Err(config.wrong("std", described.std[index], "above 0"));
    }
    described.model.validate()?;
    Ok(described)
}

/// What all kinds share; the rest is filled in by each.
fn model(shape: &Shape, architecture: &str, image_size: usize) -> ModelConfig {
    ModelConfig {
        architecture: architecture.into(),
        image_size,
        patch_size: shape.patch_size,
        width: shape.width,
        depth: shape.depth,
        heads: shape.width / HEAD_WIDTH,
        mlp_width: shape.mlp_width,
        classes: shape.classes,
        class_token: shape.class_token,
        pooling: if shape.class_token {
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
fn image_size(shape: &Shape, of: Object<'_>, stated: Option<usize>) -> Result<usize, Defect> {
    let patches = shape.tokens.saturating_sub(usize::from(shape.class_token));
    let side = patches.isqrt();
    let size = side * shape.patch_size;
    if side * side != patches || side == 0 {
        return Err(Defect::Unsupported(format!(
            "its position table has {} rows, expected a square number of patches{}",
            shape.tokens,
            if shape.class_token {
                " and the class token"
            } else {
                ""
            }
        )));
    }
    match stated {
        Some(stated) if stated != size => Err(of.wrong(
            "image size",
            stated,
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
        other => Err(of.wrong(field, other, "bilinear or bicubic")),
    }
}

fn heads(shape: &Shape, of: Object<'_>, field: &str) -> Result<(), Defect> {
    match of.size(field)? {
        Some(heads) if heads * HEAD_WIDTH != shape.width => Err(Defect::Unsupported(format!(
            "{} channels in {heads} heads; the kernels need heads of {HEAD_WIDTH} channels",
            shape.width
        ))),
        _ => Ok(()),
    }
}

fn timm(shape: &Shape, config: Object<'_>) -> Result<Described, Defect> {
    let pretrained = config.get("pretrained_cfg").unwrap_or(&Value::Null);
    let pretrained = Object {
        path: "pretrained_cfg.",
        value: pretrained,
        ..config
    };
    let arguments = config.get("model_args").unwrap_or(&Value::Null);
    let arguments = Object {
        path: "model_args.",
        value: arguments,
        ..config
    };
    let stated = match pretrained.get("input_size") {
        None => arguments.size("img_size")?,
        Some(list) => match list.as_array().map(Vec::as_slice) {
            Some([_, height, width]) if height == width => {
                height.as_u64().and_then(|n| usize::try_from(n).ok())
            }
            _ => return Err(pretrained.wrong("input_size", list, "[3, size, size]")),
        },
    };
    let size = image_size(shape, pretrained, stated)?;
    config.agrees("num_classes", shape.classes)?;
    config.agrees("num_features", shape.width)?;
    arguments.agrees("depth", shape.depth)?;
    heads(shape, arguments, "num_heads")?;
    let mut model = model(shape, config.text("architecture")?.unwrap_or("vit"), size);
    let pool = config
        .text("global_pool")?
        .or(arguments.text("global_pool")?);
    model.pooling = match (pool, shape.fc_norm) {
        (Some("avg"), true) | (None, true) => Pooling::Mean,
        (Some("token") | None, false) if shape.class_token => Pooling::ClassToken,
        (pool, fc_norm) => {
            return Err(Defect::Unsupported(format!(
                "global_pool {:?} {} fc_norm{}; supported are \"token\" with norm and a class token, and \
                 \"avg\" with fc_norm",
                pool.unwrap_or("(none)"),
                if fc_norm { "with" } else { "without" },
                if shape.class_token {
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
    // timm.data.create_transform: resize the shorter side to floor(size / crop_pct), crop the centre.
    let crop = pretrained.number("crop_pct")?.unwrap_or(0.875);
    let longest = size as f64 / crop;
    model.preprocessing.resize = ResizeMode::ShortestSide(longest.floor().min(1e6) as usize);
    let filter = pretrained.text("interpolation")?.unwrap_or("bicubic");
    model.preprocessing.interpolation = interpolation(pretrained, "interpolation", filter)?;
    model.labels = labels(shape, pretrained, "label_names")?;
    Ok(Described {
        model,
        mean: pretrained.colours("mean")?.unwrap_or(IMAGENET_MEAN),
        std: pretrained.colours("std")?.unwrap_or(IMAGENET_STD),
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
            "another value",
            format!("a list of {} names", shape.classes),
        )),
    }
}

fn transformers(
    shape: &Shape,
    config: Object<'_>,
    preprocessor: Object<'_>,
) -> Result<Described, Defect> {
    config.agrees("hidden_size", shape.width)?;
    config.agrees("num_hidden_layers", shape.depth)?;
    config.agrees("intermediate_size", shape.mlp_width)?;
    config.agrees("patch_size", shape.patch_size)?;
    heads(shape, config, "num_attention_heads")?;
    match config.text("hidden_act")? {
        None | Some("gelu") => {}
        Some(other) => {
            return Err(Defect::Unsupported(format!(
                "activation {other}; supported is gelu (erf)"
            )));
        }
    }
    let size = image_size(shape, config, config.size("image_size")?)?;
    let name = config.text("model_type")?.unwrap_or("vit");
    let mut model = model(shape, name, size);
    model.epsilon = config.number("layer_norm_eps")?.unwrap_or(1e-12) as f32;
    model.labels = id_labels(shape, config)?;
    // ViTImageProcessor resizes to the exact size and does not crop.
    model.preprocessing = Preprocessing {
        resize: ResizeMode::Exact {
            width: size,
            height: size,
        },
        interpolation: match preprocessor.size("resample")? {
            None | Some(2) => Interpolation::Bilinear,
            Some(3) => Interpolation::Bicubic,
            Some(n) => {
                return Err(preprocessor.wrong("resample", n, "2 (bilinear) or 3 (bicubic)"));
            }
        },
    };
    let side = match preprocessor.get("size") {
        Some(Value::Object(sides)) => sides.get("height").and_then(Value::as_u64),
        Some(value) => value.as_u64(),
        None => None,
    };
    if let Some(side) = side.filter(|side| *side != size as u64) {
        return Err(preprocessor.wrong("size", side, format!("{size}, the model's image size")));
    }
    Ok(Described {
        model,
        mean: preprocessor.colours("image_mean")?.unwrap_or([0.5; 3]),
        std: preprocessor.colours("image_std")?.unwrap_or([0.5; 3]),
    })
}

/// `id2label`, an object from "0", "1", ... to names.
fn id_labels(shape: &Shape, config: Object<'_>) -> Result<Vec<String>, Defect> {
    let Some(value) = config.get("id2label") else {
        return Ok(Vec::new());
    };
    let name = |index: usize| value.get(index.to_string())?.as_str().map(str::to_owned);
    let count = value.as_object().map_or(0, serde_json::Map::len);
    match (0..shape.classes).map(name).collect::<Option<Vec<_>>>() {
        Some(names) if count == shape.classes => Ok(names),
        _ => Err(config.wrong(
            "id2label",
            format!("{count} names"),
            format!(
                "a name for each of 0 to {}",
                shape.classes.saturating_sub(1)
            ),
        )),
    }
}

/// torchvision ships weights without a configuration; a timm-like `pretrained_cfg` may stand beside them.
fn torchvision(shape: &Shape, config: Object<'_>) -> Result<Described, Defect> {
    if config.get("pretrained_cfg").is_some() {
        return timm(shape, config);
    }
    let size = image_size(shape, config, config.size("image_size")?)?;
    let mut model = model(shape, config.text("architecture")?.unwrap_or("vit"), size);
    // ImageClassification presets: 224 from 256; larger models resize to their own size.
    let resize = if size == 224 { 256 } else { size };
    model.preprocessing.resize = ResizeMode::ShortestSide(resize);
    model.labels = labels(shape, config, "label_names")?;
    Ok(Described {
        model,
        mean: IMAGENET_MEAN,
        std: IMAGENET_STD,
    })
}
