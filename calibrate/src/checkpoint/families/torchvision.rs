//! torchvision's `VisionTransformer`.

use super::{sole_linear, timm};
use crate::checkpoint::anatomy::{
    Anatomy, Facts, Head, LayerNames, Linear, Mlp, Names, Position, PrefixRows, Qkv, Resampling,
};
use crate::checkpoint::architectures::torchvision_heads;
use crate::checkpoint::described::{Described, Size, Source};
use crate::checkpoint::error::Defect;
use crate::checkpoint::family::Family;
use crate::checkpoint::preprocessing::Found;
use crate::checkpoint::tensors::Tensors;
use mergevit_runtime::{ActivationName, Normalization, OutputKind, Pooling, ScoreKind};

/// `torchvision.models.vision_transformer`.
pub(super) struct Torchvision;

const LAYER: &str = "encoder.layers.encoder_layer_{}.";

/// What the names of the model's own tensors start with.
const OWN: [&str; 5] = ["conv_proj.", "class_token", "encoder.", "heads.", "head."];

impl Family for Torchvision {
    fn name(&self) -> &'static str {
        "torchvision"
    }

    fn recognizes(&self, tensors: &Tensors<'_>) -> bool {
        tensors.has_start("encoder.layers.encoder_layer_")
    }

    /// torchvision ships weights without a configuration; one beside them is read as timm's.
    fn describe(&self, source: &Source<'_>) -> Result<Described, Defect> {
        let tensors = source.tensors;
        let name = match source.architecture {
            Some(name) => Some(name),
            None => source.config.text("architecture")?,
        };
        let name = name.ok_or(Defect::Unstated {
            what: "the architecture, which tells the heads",
            option: "--architecture",
        })?;
        let (width, heads) = torchvision_heads(name)?;
        let arguments = source.config.inner("model_args", "model_args.")?;
        let stated = arguments.size("num_heads")?;
        let found = tensors.shape("conv_proj.weight")?.first().copied();
        if stated.is_none() && found != Some(width) {
            return Err(Defect::Unsupported(format!(
                "its tensors have {} channels and those of {name} {width}; state num_heads in model_args of \
                 config.json if it was built so",
                found.unwrap_or(0)
            )));
        }
        let names = names(tensors)?;
        let classes = match &names.head {
            Head::Linear(head) => tensors.shape(&head.weight)?.first().copied().unwrap_or(0),
            _ => 0,
        };
        let pretrained = timm::preprocessing::pretrained(source.config)?;
        Ok(Described {
            anatomy: Anatomy {
                facts: Facts {
                    architecture: name.into(),
                    heads: stated.unwrap_or(heads),
                    epsilon: 1e-6,
                    activation: ActivationName::Gelu,
                    norm: Normalization::Layer,
                    rotary: None,
                    resampling: Resampling::BicubicAliased,
                    pooling: Pooling::ClassToken,
                    output: OutputKind::Logits,
                    score_kind: ScoreKind::Softmax,
                },
                names,
            },
            labels: timm::labels(classes, source.config)?,
            size: Size {
                asked: source.image_size,
                stated: match pretrained.side("image_size")? {
                    None => arguments.side("image_size")?,
                    stated => stated,
                },
                resamples: false,
            },
            warnings: Vec::new(),
        })
    }

    /// Its recipes differ from weights to weights, so that only a configuration tells them.
    fn preprocessing(&self, source: &Source<'_>, size: usize) -> Result<Found, Defect> {
        timm::preprocessing::of_config(source.config, size, false)
    }
}

fn names(tensors: &Tensors<'_>) -> Result<Names, Defect> {
    let first = tensors.first_layer(LAYER);
    let linear = |base: &str| Linear::find(tensors, &first, base);
    // Before version 0.14.
    let old = tensors.has(&format!("{first}mlp.linear_1.weight"));
    let mlp = if old {
        ["mlp.linear_1", "mlp.linear_2"]
    } else {
        ["mlp.0", "mlp.3"]
    };
    let [fc1, fc2] = mlp.map(linear);
    let fused = |base: &str| {
        let bias = format!("{base}_bias");
        Linear {
            weight: format!("{base}_weight"),
            bias: tensors.has(&format!("{first}{bias}")).then_some(bias),
        }
    };
    Ok(Names {
        patch: Linear::find(tensors, "", "conv_proj"),
        patch_side: None,
        prefix: vec!["class_token".into()],
        position: Some(Position {
            name: "encoder.pos_embedding".into(),
            rows: PrefixRows::All,
        }),
        pre_norm: None,
        layer: LAYER.into(),
        block: LayerNames {
            norm1: "ln_1".into(),
            qkv: Qkv::Fused(fused("self_attention.in_proj")),
            proj: linear("self_attention.out_proj"),
            scale1: None,
            norm2: "ln_2".into(),
            mlp: Mlp::Plain { fc1, fc2 },
            scale2: None,
        },
        token_norm: Some("encoder.ln".into()),
        pooling: None,
        final_norm: None,
        head: match sole_linear(tensors, "heads.")? {
            Some(head) => Head::Linear(head),
            None => sole_linear(tensors, "head.")?.map_or(Head::None, Head::Linear),
        },
        own: OWN.map(str::to_owned).to_vec(),
    })
}
