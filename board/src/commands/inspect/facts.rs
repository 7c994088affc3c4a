//! What a model computes, in words.

use crate::output::Escaped;
use mergevit_runtime::{
    ActivationName, EmbeddingClassifier, Mlp, ModelConfig, Normalization, OutputKind, Pooling,
    ResizeMode, RotaryKind, ScoreKind,
};

/// Name and value of each line.
pub(super) fn lines(model: &ModelConfig, parameters: usize) -> [(&'static str, String); 7] {
    [
        ("architecture", Escaped(&model.architecture).to_string()),
        (
            "shape",
            format!(
                "{} layers, width {}, {} heads of {}, {} {}, {parameters} parameters",
                model.depth,
                model.width,
                model.heads,
                model.head_width,
                mlp(model.mlp),
                model.mlp_width
            ),
        ),
        ("activation", activation(model.activation).into()),
        ("input", input(model)),
        ("preprocessing", preprocessing(model)),
        ("pooling", pooling(model)),
        ("output", output(model)),
    ]
}

const fn mlp(mlp: Mlp) -> &'static str {
    match mlp {
        Mlp::Plain => "MLP",
        Mlp::Gated => "gated MLP",
        Mlp::GatedNorm => "gated MLP with a norm",
    }
}

const fn activation(activation: ActivationName) -> &'static str {
    match activation {
        ActivationName::Gelu => "GELU",
        ActivationName::GeluTanh => "GELU with tanh",
        ActivationName::QuickGelu => "quick GELU",
        ActivationName::Silu => "SiLU",
    }
}

const fn norm(norm: Normalization) -> &'static str {
    match norm {
        Normalization::Layer => "layer norm",
        Normalization::Rms => "RMS norm",
        Normalization::None => "no norm",
    }
}

fn input(model: &ModelConfig) -> String {
    let size = model.image_size;
    let before = match model.prefix {
        0 => String::new(),
        1 => " behind 1 class token".into(),
        prefix => format!(" behind {prefix} other tokens"),
    };
    let rotary = match model.rotary {
        RotaryKind::None => "",
        RotaryKind::Shared => ", rotary positions",
        RotaryKind::PerLayer => ", rotary positions of each layer",
    };
    let pre = match model.pre_norm {
        true => format!(", {} before the layers", norm(model.norm)),
        false => String::new(),
    };
    format!(
        "{size} x {size} pixels, {side} x {side} patches of {}{before}{rotary}{pre}",
        model.patch_size,
        side = model.side(),
    )
}

fn preprocessing(model: &ModelConfig) -> String {
    let size = model.image_size;
    let resize = match model.preprocessing.resize {
        ResizeMode::ShortestSide(side) => format!("shortest side to {side}"),
        ResizeMode::Exact { width, height } => format!("{width}x{height}"),
    };
    format!(
        "{resize}, {:?}, then a centre crop to {size} x {size}",
        model.preprocessing.interpolation
    )
}

fn pooling(model: &ModelConfig) -> String {
    let pooling = match model.pooling {
        Pooling::ClassToken => "class token",
        Pooling::ClassAndDistillation => "class and distillation token",
        Pooling::Mean => "mean of the patches",
        Pooling::MeanAll => "mean of all tokens",
        Pooling::ClassAndMean => "class token and mean of the patches",
        Pooling::Attention => "attention",
    };
    let before = match model.token_norm {
        true => format!("{} of all tokens, then ", norm(model.norm)),
        false => String::new(),
    };
    let after = match model.final_norm {
        Normalization::None => String::new(),
        other => format!(", then {}", norm(other)),
    };
    format!("{before}{pooling}{after}")
}

fn output(model: &ModelConfig) -> String {
    let labels = model.labels.len();
    let embedding = format!("embedding of {} channels", model.classes);
    let scored = match (model.output, model.classifier) {
        (OutputKind::Logits, _) => format!("{} classes, {labels} labels", model.classes),
        (OutputKind::Embedding, None) => embedding,
        (OutputKind::Embedding, Some(EmbeddingClassifier::Linear)) => {
            format!("{embedding}, {labels} classes by a linear layer")
        }
        (OutputKind::Embedding, Some(EmbeddingClassifier::Cosine { scale, bias })) => {
            format!("{embedding}, {labels} classes by cosine, scale {scale}, bias {bias}")
        }
    };
    let or = if model.unknown { ", or unknown" } else { "" };
    let several = match model.score_kind {
        ScoreKind::Softmax => "",
        ScoreKind::Sigmoid => ", any number of them right",
    };
    format!("{scored}{or}{several}")
}
