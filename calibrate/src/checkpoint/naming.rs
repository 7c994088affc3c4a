//! How timm, transformers and torchvision name the tensors of a Vision Transformer.

use super::error::Defect;
use super::tensors::{Source, Tensors};

/// Names of one kind of file. Layer names follow `layer` with the layer's number in place of `{}`;
/// `weight` and `bias` are appended where a name stands for both.
#[derive(Debug)]
pub(super) struct Names {
    pub(super) kind: Kind,
    /// Before every name but the head's.
    pub(super) prefix: &'static str,
    pub(super) patch: &'static str,
    pub(super) class_token: &'static str,
    pub(super) position: &'static str,
    pub(super) layer: &'static str,
    pub(super) norm1: &'static str,
    pub(super) qkv: Qkv,
    pub(super) proj: &'static str,
    pub(super) norm2: &'static str,
    pub(super) fc1: &'static str,
    pub(super) fc2: &'static str,
    /// Names of LayerScale's two factors, where the family has them.
    pub(super) layer_scale: Option<[&'static str; 2]>,
    pub(super) norm: &'static str,
    pub(super) head: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Timm,
    Transformers,
    Torchvision,
}

/// Queries, keys and values: one matrix or three.
#[derive(Clone, Copy, Debug)]
pub(super) enum Qkv {
    /// Full names of weight and bias.
    Fused([&'static str; 2]),
    /// Names without `.weight` and `.bias`.
    Split([&'static str; 3]),
}

const TIMM: Names = Names {
    kind: Kind::Timm,
    prefix: "",
    patch: "patch_embed.proj",
    class_token: "cls_token",
    position: "pos_embed",
    layer: "blocks.{}.",
    norm1: "norm1",
    qkv: Qkv::Fused(["attn.qkv.weight", "attn.qkv.bias"]),
    proj: "attn.proj",
    norm2: "norm2",
    fc1: "mlp.fc1",
    fc2: "mlp.fc2",
    layer_scale: Some(["ls1.gamma", "ls2.gamma"]),
    norm: "norm",
    head: "head",
};

const VIT: Names = Names {
    kind: Kind::Transformers,
    prefix: "vit.",
    patch: "embeddings.patch_embeddings.projection",
    class_token: "embeddings.cls_token",
    position: "embeddings.position_embeddings",
    layer: "encoder.layer.{}.",
    norm1: "layernorm_before",
    qkv: Qkv::Split([
        "attention.attention.query",
        "attention.attention.key",
        "attention.attention.value",
    ]),
    proj: "attention.output.dense",
    norm2: "layernorm_after",
    fc1: "intermediate.dense",
    fc2: "output.dense",
    layer_scale: None,
    norm: "layernorm",
    head: "classifier",
};

const DEIT: Names = Names {
    prefix: "deit.",
    ..VIT
};

const TORCHVISION: Names = Names {
    kind: Kind::Torchvision,
    prefix: "",
    patch: "conv_proj",
    class_token: "class_token",
    position: "encoder.pos_embedding",
    layer: "encoder.layers.encoder_layer_{}.",
    norm1: "ln_1",
    qkv: Qkv::Fused([
        "self_attention.in_proj_weight",
        "self_attention.in_proj_bias",
    ]),
    proj: "self_attention.out_proj",
    norm2: "ln_2",
    fc1: "mlp.0",
    fc2: "mlp.3",
    layer_scale: None,
    norm: "encoder.ln",
    head: "heads.head",
};

/// torchvision before 0.14 named the MLP's layers.
const TORCHVISION_OLD: Names = Names {
    fc1: "mlp.linear_1",
    fc2: "mlp.linear_2",
    ..TORCHVISION
};

impl Names {
    /// Tells by the names alone which kind a file is.
    pub(super) fn detect(tensors: &Tensors<'_>) -> Result<&'static Self, Defect> {
        let starts = |prefix: &str| tensors.names().any(|name| name.starts_with(prefix));
        if starts("dinov2.") {
            return Err(Defect::Unsupported(
                "transformers' Dinov2ForImageClassification classifies the class token and the mean of \
                 the patches side by side; export the model with a head on the class token alone"
                    .into(),
            ));
        }
        let order = [&VIT, &DEIT, &TORCHVISION_OLD, &TORCHVISION, &TIMM];
        let marks = [
            "vit.encoder.",
            "deit.encoder.",
            "",
            "encoder.layers.",
            "blocks.",
        ];
        for (names, mark) in order.into_iter().zip(marks) {
            let found = if mark.is_empty() {
                tensors.has("encoder.layers.encoder_layer_0.mlp.linear_1.weight")
            } else {
                starts(mark)
            };
            if found {
                return Ok(names);
            }
        }
        let mut first: Vec<&str> = tensors.names().collect();
        first.sort_unstable();
        first.truncate(5);
        Err(Defect::Naming(first.join(", ")))
    }

    /// A name outside of the layers.
    pub(super) fn global(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A name inside of layer `index`.
    pub(super) fn in_layer(&self, index: usize, name: &str) -> String {
        format!(
            "{}{}{name}",
            self.prefix,
            self.layer.replace("{}", &index.to_string())
        )
    }

    /// The layer that a tensor's name belongs to.
    pub(super) fn layer_of(&self, name: &str) -> Option<usize> {
        let (before, after) = self.layer.split_once("{}")?;
        let rest = name.strip_prefix(self.prefix)?.strip_prefix(before)?;
        let (index, _) = rest.split_once(after)?;
        index.parse().ok()
    }

    /// Tensors that make a model one that the kernels do not run, and why.
    pub(super) fn refuse(&self, tensors: &Tensors<'_>) -> Result<(), Defect> {
        let traits = [
            ("reg_token", "register tokens"),
            ("dist_token", "a distillation token"),
            ("embeddings.distillation_token", "a distillation token"),
            ("head_dist.weight", "a distillation head"),
            ("distillation_classifier.weight", "a distillation head"),
            ("norm_pre.weight", "a layer norm before the encoder"),
            ("blocks.0.attn.q_norm.weight", "normalized queries and keys"),
            ("blocks.0.mlp.w12.weight", "a SwiGLU MLP"),
            ("blocks.0.mlp.fc1_g.weight", "a gated MLP"),
        ];
        for (name, what) in traits {
            if tensors.has(name) || tensors.has(&self.global(name)) {
                return Err(Defect::Unsupported(format!(
                    "it has {what} (tensor {name})"
                )));
            }
        }
        Ok(())
    }
}
