//! What transformers calls the tensors, in each of its versions.

use super::models::{Kind, Model};
use crate::checkpoint::anatomy::{
    Head, LayerNames, Linear, Mlp, Names, PoolingNames, PoolingQkv, Position, PrefixRows, Qkv,
};
use crate::checkpoint::error::Defect;
use crate::checkpoint::families::sole_linear;
use crate::checkpoint::tensors::Tensors;
use mergevit_runtime::{OutputKind, Pooling};

/// The names, and what they tell of the class that was saved.
pub(super) struct Ends {
    pub(super) names: Names,
    pub(super) pooling: Pooling,
    pub(super) output: OutputKind,
}

/// Starts of the names of layers, after that of the model; the last is what version 5 writes for ViT-MSN.
const LAYERS: [&str; 6] = [
    "encoder.layer.{}.",
    "layers.{}.",
    "layer.{}.",
    "model.layer.{}.",
    "encoder.layers.{}.",
    "encoder.layer.{}.",
];

/// Finds the names of a model.
///
/// # Errors
/// [`Defect::Unsupported`] for a class that is not supported.
pub(super) fn find(tensors: &Tensors<'_>, model: &Model) -> Result<Ends, Defect> {
    let embeds = |start: &&&str| tensors.has_start(&format!("{start}embeddings."));
    let start = model
        .starts
        .iter()
        .find(embeds)
        .copied()
        .unwrap_or(model.starts[0]);
    let name = |name: &str| format!("{start}{name}");
    let layer = find_layers(tensors, start);
    let tokens = [
        "cls_token",
        "class_embedding",
        "distillation_token",
        "register_tokens",
    ];
    let embeddings = tokens.map(|token| name(&format!("embeddings.{token}")));
    let table = ["position_embeddings", "position_embedding.weight"]
        .map(|table| name(&format!("embeddings.{table}")));
    let patch = [
        "patch_embeddings.projection",
        "patch_embeddings",
        "patch_embedding",
    ]
    .map(|patch| name(&format!("embeddings.{patch}")));
    let patch = patch
        .into_iter()
        .find(|base| tensors.has(&format!("{base}.weight")))
        .unwrap_or_else(|| name("embeddings.patch_embeddings.projection"));
    let rows = match model.kind {
        Kind::Dinov2 => PrefixRows::First,
        _ => PrefixRows::All,
    };
    let has_table = model.kind != Kind::Dinov3;
    let pre_norm = name("pre_layrnorm");
    let mut own = embeddings.to_vec();
    own.extend(table.clone());
    own.extend(["patch_embedding", "layer_norm"].map(|base| name(&format!("embeddings.{base}"))));
    own.extend([
        layer.split("{}").next().unwrap_or_default().to_owned(),
        pre_norm.clone(),
    ]);
    let names = Names {
        patch: Linear::find(tensors, "", &patch),
        patch_side: None,
        prefix: embeddings
            .into_iter()
            .filter(|token| tensors.has(token))
            .collect(),
        position: has_table.then(|| Position {
            name: table
                .iter()
                .find(|table| tensors.has(table))
                .unwrap_or(&table[0])
                .clone(),
            rows,
        }),
        pre_norm: (model.kind == Kind::Clip).then_some(pre_norm),
        block: block(tensors, &tensors.first_layer(&layer)),
        layer,
        token_norm: None,
        pooling: None,
        final_norm: None,
        head: Head::None,
        own,
    };
    tokens_are_there(tensors, model, start)?;
    ends(tensors, model, start, names)
}

/// What the names of the layers start with, their number as `{}`.
fn find_layers(tensors: &Tensors<'_>, start: &str) -> String {
    // The last stands for itself, whatever the other names start with.
    let (last, others) = LAYERS.split_last().expect("there are several");
    let mut all = others
        .iter()
        .map(|layer| format!("{start}{layer}"))
        .chain([(*last).to_owned()]);
    all.find(|layer| tensors.has_start(&layer.replace("{}.", "")) && numbered(tensors, layer))
        .unwrap_or_else(|| format!("{start}{}", LAYERS[0]))
}

/// Whether a layer of this start has a number.
fn numbered(tensors: &Tensors<'_>, layer: &str) -> bool {
    let before = layer.split("{}").next().unwrap_or_default();
    tensors.names().any(|name| {
        name.strip_prefix(before)
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
    })
}

/// Checks that the tokens of the model's class are there.
fn tokens_are_there(tensors: &Tensors<'_>, model: &Model, start: &str) -> Result<(), Defect> {
    let tokens: &[&str] = match model.kind {
        Kind::Vit | Kind::Dinov2 => &["cls_token"],
        Kind::Deit => &["cls_token", "distillation_token"],
        Kind::Dinov3 => &["cls_token", "register_tokens"],
        Kind::Clip => &["class_embedding"],
        Kind::Ijepa | Kind::Siglip => &[],
    };
    let mut needed: Vec<String> = tokens
        .iter()
        .map(|token| format!("{start}embeddings.{token}"))
        .collect();
    if model.model_type == "dinov2_with_registers" {
        needed.push(format!("{start}embeddings.register_tokens"));
    }
    needed.retain(|name| !tensors.has(name));
    if needed.is_empty() {
        return Ok(());
    }
    Err(Defect::Names {
        missing: needed,
        unknown: Vec::new(),
    })
}

/// Names inside a layer, by those of the first one, which start with `first`.
fn block(tensors: &Tensors<'_>, first: &str) -> LayerNames {
    let has = |base: &str| tensors.has(&format!("{first}{base}.weight"));
    let pick = |bases: &[&'static str]| {
        bases
            .iter()
            .find(|base| has(base))
            .copied()
            .unwrap_or(bases[0])
    };
    let linear = |bases: &[&'static str]| Linear::find(tensors, first, pick(bases));
    let scale = |name: &str| {
        tensors
            .has(&format!("{first}{name}"))
            .then(|| name.to_owned())
    };
    let projection =
        |old: &'static str, new: &'static str, clip: &'static str| linear(&[old, new, clip]);
    let fc2 = linear(&[
        "output.dense",
        "mlp.fc2",
        "mlp.down_proj",
        "mlp.weights_out",
    ]);
    LayerNames {
        norm1: pick(&["layernorm_before", "norm1", "layer_norm1"]).into(),
        qkv: Qkv::Split([
            projection(
                "attention.attention.query",
                "attention.q_proj",
                "self_attn.q_proj",
            ),
            projection(
                "attention.attention.key",
                "attention.k_proj",
                "self_attn.k_proj",
            ),
            projection(
                "attention.attention.value",
                "attention.v_proj",
                "self_attn.v_proj",
            ),
        ]),
        proj: projection(
            "attention.output.dense",
            "attention.o_proj",
            "self_attn.out_proj",
        ),
        scale1: scale("layer_scale1.lambda1"),
        norm2: pick(&["layernorm_after", "norm2", "layer_norm2"]).into(),
        mlp: if has("mlp.gate_proj") {
            Mlp::Split {
                gate: linear(&["mlp.gate_proj"]),
                value: linear(&["mlp.up_proj"]),
                norm: None,
                fc2,
            }
        } else if has("mlp.weights_in") {
            Mlp::Packed {
                fc1: linear(&["mlp.weights_in"]),
                norm: None,
                fc2,
            }
        } else {
            Mlp::Plain {
                fc1: linear(&["intermediate.dense", "mlp.fc1", "mlp.up_proj"]),
                fc2,
            }
        },
        scale2: scale("layer_scale2.lambda1"),
    }
}

/// Finds what follows the layers: the class that was saved is told by its head.
fn ends(
    tensors: &Tensors<'_>,
    model: &Model,
    start: &str,
    mut names: Names,
) -> Result<Ends, Defect> {
    let name = |name: &str| format!("{start}{name}");
    let has_base = |base: &str| tensors.has(&format!("{base}.weight"));
    let classifier = sole_linear(tensors, "classifier.")?;
    let norm = match model.kind {
        Kind::Vit | Kind::Deit | Kind::Ijepa | Kind::Dinov2 => name("layernorm"),
        Kind::Dinov3 => name("norm"),
        Kind::Clip | Kind::Siglip => name("post_layernorm"),
    };
    let probe = name("head.probe");
    let mut output = OutputKind::Logits;
    let pooling = match (model.kind, &classifier) {
        (Kind::Deit, None) if has_base("cls_classifier") && has_base("distillation_classifier") => {
            names.head = Head::Averaged(
                ["cls_classifier", "distillation_classifier"]
                    .map(|base| Linear::find(tensors, "", base)),
            );
            Pooling::ClassAndDistillation
        }
        (Kind::Dinov3, Some(_)) => {
            return Err(Defect::Unsupported(
                "a classifier on DINOv3, which no class of transformers has; supported is DINOv3ViTModel".into(),
            ));
        }
        (Kind::Vit | Kind::Deit, _) | (Kind::Dinov2 | Kind::Dinov3, None) => Pooling::ClassToken,
        (Kind::Dinov2, Some(_)) => Pooling::ClassAndMean,
        (Kind::Ijepa, _) | (Kind::Clip | Kind::Siglip, Some(_)) => Pooling::Mean,
        (Kind::Clip, None) => Pooling::ClassToken,
        (Kind::Siglip, None) if tensors.has(&probe) => Pooling::Attention,
        (Kind::Siglip, None) => {
            return Err(Defect::Unsupported(
                "a SigLIP image tower without its pooling head (vision_use_head is false)".into(),
            ));
        }
    };
    // CLIPForImageClassification takes the mean of what the last layer gives.
    if !(model.kind == Kind::Clip && classifier.is_some()) {
        names.own.push(format!("{norm}."));
        names.token_norm = Some(norm);
    }
    if model.kind == Kind::Clip && classifier.is_none() && has_base("visual_projection") {
        names.head = Head::Linear(Linear::find(tensors, "", "visual_projection"));
        output = OutputKind::Embedding;
    }
    if pooling == Pooling::Attention {
        names.pooling = Some(pooling_names(tensors, &name("head"), model));
        names.own.push(name("head."));
    }
    if let Some(classifier) = classifier {
        names.head = Head::Linear(classifier);
    }
    Ok(Ends {
        names,
        pooling,
        output,
    })
}

/// `SiglipMultiheadAttentionPoolingHead`.
fn pooling_names(tensors: &Tensors<'_>, head: &str, model: &Model) -> PoolingNames {
    let linear = |base: &str| Linear::find(tensors, "", &format!("{head}.{base}"));
    PoolingNames {
        heads: model.heads,
        latent: format!("{head}.probe"),
        attention: PoolingQkv::Fused(Linear {
            weight: format!("{head}.attention.in_proj_weight"),
            bias: Some(format!("{head}.attention.in_proj_bias")),
        }),
        proj: linear("attention.out_proj"),
        norm: format!("{head}.layernorm"),
        fc1: linear("mlp.fc1"),
        fc2: linear("mlp.fc2"),
    }
}
