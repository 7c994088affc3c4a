//! transformers' image classifiers and encoders: ViT and what is built like it, DINOv2 and 3, CLIP, SigLIP.
//!
//! `model_type` of config.json says what a model is; the names of tensors say which of its classes was saved, and
//! by which version.

mod models;
mod names;
mod preprocessing;

use crate::checkpoint::anatomy::{Anatomy, Facts, Head, Mlp, Names, Resampling, Rotary};
use crate::checkpoint::described::{Described, Size, Source};
use crate::checkpoint::error::Defect;
use crate::checkpoint::family::Family;
use crate::checkpoint::json::Object;
use crate::checkpoint::preprocessing::Found;
use crate::checkpoint::tensors::Tensors;
use mergevit_runtime::{ActivationName, Normalization, OutputKind, Pooling, ScoreKind};
use models::{Kind, Model};
use names::Ends;
use serde_json::Value;

/// `transformers.models`.
pub(super) struct Transformers;

impl Family for Transformers {
    fn name(&self) -> &'static str {
        "transformers"
    }

    fn recognizes(&self, tensors: &Tensors<'_>) -> bool {
        tensors
            .names()
            .any(|name| name.contains("embeddings.patch_embedding"))
    }

    fn describe(&self, source: &Source<'_>) -> Result<Described, Defect> {
        let model = model(source)?;
        let tower = tower(model, source.config)?;
        let Ends {
            mut names,
            mut pooling,
            output,
        } = names::find(source.tensors, model)?;
        if matches!(names.head, Head::None) && is_classifier(source.config) {
            pooling = without_classes(model, pooling)?;
        }
        let heads = tower.size("num_attention_heads")?.unwrap_or(model.heads);
        if let Some(pooling) = &mut names.pooling {
            pooling.heads = heads;
        }
        let mut described = Described {
            anatomy: Anatomy {
                facts: Facts {
                    architecture: model.model_type.into(),
                    heads,
                    epsilon: tower.number("layer_norm_eps")?.unwrap_or(model.epsilon) as f32,
                    activation: activation(tower, model, &names)?,
                    norm: Normalization::Layer,
                    rotary: rotary(tower, model)?,
                    resampling: model.resampling,
                    pooling,
                    output,
                    score_kind: score_kind(source.config)?,
                },
                names,
            },
            labels: Vec::new(),
            size: size(source, model, tower)?,
            warnings: Vec::new(),
        };
        agrees(&described, source, tower)?;
        labels(&mut described, source)?;
        Ok(described)
    }

    fn preprocessing(&self, source: &Source<'_>, size: usize) -> Result<Found, Defect> {
        let usual = model(source)?.processor;
        preprocessing::read(
            source.preprocessor,
            usual,
            size,
            source.image_size.is_some(),
        )
    }
}

/// The model that config.json names.
fn model(source: &Source<'_>) -> Result<&'static Model, Defect> {
    let named = source.config.text("model_type")?;
    let name = named.ok_or(Defect::Unstated {
        what: "what the model is (model_type, heads, epsilon)",
        option: "its config.json",
    })?;
    models::find(name)
}

/// Whether the class that was saved is one that classifies.
fn is_classifier(config: Object<'_>) -> bool {
    let classes = config.get("architectures").and_then(Value::as_array);
    let first = classes.and_then(|classes| classes.first()?.as_str());
    first.is_some_and(|class| class.ends_with("ForImageClassification"))
}

/// What a class that classifies pools if it has no classes (`num_labels` 0): no tensor tells it from the plain model.
fn without_classes(model: &Model, pooling: Pooling) -> Result<Pooling, Defect> {
    match model.kind {
        Kind::Vit | Kind::Deit => Ok(pooling),
        Kind::Dinov2 => Ok(Pooling::ClassAndMean),
        Kind::Ijepa | Kind::Dinov3 | Kind::Clip | Kind::Siglip => {
            Err(Defect::Unsupported(format!(
                "{} for image classification without classes",
                model.model_type
            )))
        }
    }
}

/// The object that describes the image tower.
fn tower<'a>(model: &Model, config: Object<'a>) -> Result<Object<'a>, Defect> {
    if model.in_vision_config {
        config.inner("vision_config", "vision_config.")
    } else {
        Ok(config)
    }
}

/// `hidden_act`; DINOv2's gated MLP has its own.
fn activation(tower: Object<'_>, model: &Model, names: &Names) -> Result<ActivationName, Defect> {
    let gated = !matches!(names.block.mlp, Mlp::Plain { .. });
    if gated && model.kind == Kind::Dinov2 {
        return Ok(ActivationName::Silu);
    }
    match tower.text("hidden_act")? {
        None => Ok(model.activation),
        Some("gelu" | "gelu_python") => Ok(ActivationName::Gelu),
        Some(
            "gelu_pytorch_tanh" | "gelu_new" | "gelu_fast" | "gelu_accurate" | "gelu_python_tanh",
        ) => Ok(ActivationName::GeluTanh),
        Some("quick_gelu") => Ok(ActivationName::QuickGelu),
        Some("silu" | "swish") => Ok(ActivationName::Silu),
        Some(other) => Err(Defect::Unsupported(format!(
            "activation {other}; supported are gelu, gelu_pytorch_tanh, quick_gelu and silu"
        ))),
    }
}

fn rotary(tower: Object<'_>, model: &Model) -> Result<Option<Rotary>, Defect> {
    if model.kind != Kind::Dinov3 {
        return Ok(None);
    }
    Ok(Some(Rotary::Centred {
        temperature: tower.number("rope_theta")?.unwrap_or(100.0),
        offset: 0.0,
        x_first: false,
        halves: true,
    }))
}

/// The size of the images. DINOv2 and 3 take any, so that the processor decides.
fn size(source: &Source<'_>, model: &Model, tower: Object<'_>) -> Result<Size, Defect> {
    let stated = tower.side("image_size")?.unwrap_or(model.image_size);
    let resamples = matches!(model.kind, Kind::Dinov2 | Kind::Dinov3);
    let of_processor = if resamples {
        preprocessing::side(source.preprocessor, model.processor)?
    } else {
        None
    };
    Ok(Size {
        asked: source.image_size,
        stated: Some(of_processor.unwrap_or(stated)),
        resamples,
    })
}

/// Checks what the configuration says of the tensors' shapes.
fn agrees(described: &Described, source: &Source<'_>, tower: Object<'_>) -> Result<(), Defect> {
    let names = &described.anatomy.names;
    let shape = source.tensors.shape(&names.patch.weight)?;
    tower.agrees("hidden_size", shape.first().copied().unwrap_or(0))?;
    tower.agrees("patch_size", shape.last().copied().unwrap_or(0))?;
    tower.agrees("num_hidden_layers", source.tensors.depth(&names.layer)?)
}

/// What a classifier was trained for, from `problem_type`.
fn score_kind(config: Object<'_>) -> Result<ScoreKind, Defect> {
    match config.text("problem_type")? {
        None | Some("single_label_classification") => Ok(ScoreKind::Softmax),
        Some("multi_label_classification") => Ok(ScoreKind::Sigmoid),
        Some("regression") => Err(Defect::Unsupported(
            "a model for regression, whose outputs are no scores of classes".into(),
        )),
        Some(other) => Err(config.wrong(
            "problem_type",
            &format!("{other:?}"),
            "single_label_classification or multi_label_classification",
        )),
    }
}

/// Class names of a classifier, from `id2label`: an object from "0", "1", ... to names.
fn labels(described: &mut Described, source: &Source<'_>) -> Result<(), Defect> {
    let classifier = match &described.anatomy.names.head {
        Head::Linear(linear) | Head::Averaged([linear, _]) => linear,
        Head::None | Head::Transposed(_) => return Ok(()),
    };
    if described.anatomy.facts.output == OutputKind::Embedding {
        return Ok(());
    }
    let classes = source
        .tensors
        .shape(&classifier.weight)?
        .first()
        .copied()
        .unwrap_or(0);
    let Some(value) = source.config.get("id2label") else {
        return Ok(());
    };
    let name = |index: usize| value.get(index.to_string())?.as_str().map(str::to_owned);
    let count = value.as_object().map_or(0, serde_json::Map::len);
    match (0..classes).map(name).collect::<Option<Vec<_>>>() {
        Some(names) if count == classes => {
            described.labels = names;
            Ok(())
        }
        _ => Err(source.config.wrong(
            "id2label",
            &format!("{count} names"),
            format!("a name for each of 0 to {}", classes.saturating_sub(1)),
        )),
    }
}
