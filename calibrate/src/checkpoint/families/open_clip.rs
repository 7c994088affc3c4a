//! Image towers of open_clip: its own `VisionTransformer`, or one of timm's.

use super::timm;
use crate::checkpoint::anatomy::{
    Anatomy, Facts, Head, LayerNames, Linear, Mlp, Names, Position, PrefixRows, Qkv, Resampling,
};
use crate::checkpoint::architectures;
use crate::checkpoint::described::{Described, Size, Source};
use crate::checkpoint::error::Defect;
use crate::checkpoint::family::Family;
use crate::checkpoint::json::{Document, Object};
use crate::checkpoint::preprocessing::Found;
use crate::checkpoint::tensors::Tensors;
use mergevit_runtime::{
    ActivationName, Interpolation, Normalization, OutputKind, Pooling, ResizeMode, ScoreKind,
};

/// `open_clip.model`.
pub(super) struct OpenClip;

impl Family for OpenClip {
    fn name(&self) -> &'static str {
        "open_clip"
    }

    fn recognizes(&self, tensors: &Tensors<'_>) -> bool {
        tensors.has_start("visual.trunk.") || start(tensors).is_some()
    }

    fn describe(&self, source: &Source<'_>) -> Result<Described, Defect> {
        let document;
        let (name, config) = if source.config.get("model_cfg").is_some() {
            ("open_clip", source.config.inner("model_cfg", "model_cfg.")?)
        } else {
            let name = source.architecture.ok_or(Defect::Unstated {
                what: "the architecture, which tells heads and activation",
                option: "--architecture",
            })?;
            let row = architectures::open_clip(name)?;
            document = Document::of("open_clip's table", row);
            (name, document.root())
        };
        let vision = config.inner("vision_cfg", "vision_cfg.")?;
        let mut described = match vision.text("timm_model_name")? {
            Some(trunk) => of_timm(source.tensors, trunk, vision)?,
            None => own(source.tensors, name, config, vision)?,
        };
        described.size = Size {
            asked: source.image_size,
            stated: vision.side("image_size")?.or(described.size.stated),
            resamples: described.size.resamples,
        };
        Ok(described)
    }

    fn preprocessing(&self, source: &Source<'_>, size: usize) -> Result<Found, Defect> {
        let of = source.config.inner("preprocess_cfg", "preprocess_cfg.")?;
        let resize = match of.text("resize_mode")? {
            None if of.is_empty() => None,
            None | Some("shortest") => Some(ResizeMode::ShortestSide(size)),
            Some("squash") => Some(ResizeMode::Exact {
                width: size,
                height: size,
            }),
            Some(other) => return Err(of.wrong("resize_mode", &other, "shortest or squash")),
        };
        let interpolation = match of.text("interpolation")? {
            None => None,
            Some("bicubic") => Some(Interpolation::Bicubic),
            Some("bilinear") => Some(Interpolation::Bilinear),
            Some(other) => return Err(of.wrong("interpolation", &other, "bilinear or bicubic")),
        };
        Ok(Found {
            mean: of.colours("mean")?,
            std: of.colours("std")?,
            resize,
            interpolation,
        })
    }
}

/// What the names of open_clip's own image tower start with.
fn start(tensors: &Tensors<'_>) -> Option<&'static str> {
    ["visual.", ""].into_iter().find(|start| {
        tensors.has(&format!("{start}conv1.weight"))
            && tensors.has_start(&format!("{start}transformer.resblocks."))
    })
}

/// `open_clip.timm_model.TimmModel`.
fn of_timm(tensors: &Tensors<'_>, trunk: &str, vision: Object<'_>) -> Result<Described, Defect> {
    let mut architecture = architectures::timm(trunk)?;
    // An empty pool leaves the trunk's, if a projection follows; else there is none.
    let projects = matches!(vision.text("timm_proj")?, Some("linear" | "mlp"));
    let pool = vision.text("timm_pool")?.unwrap_or("avg");
    if !(pool.is_empty() && projects) {
        timm::set_pool(&mut architecture, pool)?;
    }
    let mut described = timm::describe(tensors, "visual.trunk.", trunk, &architecture)?;
    let projection = "visual.head.proj.weight";
    let names = &mut described.anatomy.names;
    match (tensors.has_start("visual.head."), &names.head) {
        (false, _) => {}
        (true, Head::None) if tensors.has(projection) => {
            names.head = Head::Linear(Linear::find(tensors, "", "visual.head.proj"));
        }
        (true, _) => {
            return Err(Defect::Unsupported(
                "the projection of its image tower is not one linear layer (visual.head)".into(),
            ));
        }
    }
    names.own.push("visual.head.".into());
    described.anatomy.facts.output = OutputKind::Embedding;
    Ok(described)
}

/// `open_clip.transformer.VisionTransformer`.
fn own(
    tensors: &Tensors<'_>,
    name: &str,
    config: Object<'_>,
    vision: Object<'_>,
) -> Result<Described, Defect> {
    let start = start(tensors).unwrap_or("visual.");
    refuse(tensors, vision)?;
    let width = tensors
        .shape(&format!("{start}conv1.weight"))?
        .first()
        .copied()
        .unwrap_or(0);
    vision.agrees("width", width)?;
    let head_width = vision.size("head_width")?.unwrap_or(64).max(1);
    let activation = activation(config, vision)?;
    let norms = vision.inner("norm_kwargs", "norm_kwargs.")?;
    let averages = vision.text("pool_type")? == Some("avg");
    let mut names = names(tensors, start);
    if vision.flag("final_ln_after_pool")? == Some(true) {
        names.final_norm = names.token_norm.take();
    }
    if vision.flag("no_ln_pre")? == Some(true) {
        names.pre_norm = None;
    }
    Ok(Described {
        anatomy: Anatomy {
            facts: Facts {
                architecture: name.into(),
                heads: width / head_width,
                epsilon: norms.number("eps")?.unwrap_or(1e-5) as f32,
                activation,
                norm: Normalization::Layer,
                rotary: None,
                // open_clip.model.resize_pos_embed
                resampling: Resampling::Bicubic,
                pooling: if averages {
                    Pooling::Mean
                } else {
                    Pooling::ClassToken
                },
                output: OutputKind::Embedding,
                score_kind: ScoreKind::Softmax,
            },
            names,
        },
        labels: Vec::new(),
        size: Size {
            stated: Some(224),
            ..Size::default()
        },
        warnings: Vec::new(),
    })
}

/// `quick_gelu`, and the arguments of the other one.
fn activation(config: Object<'_>, vision: Object<'_>) -> Result<ActivationName, Defect> {
    let arguments = vision.inner("act_kwargs", "act_kwargs.")?;
    if config.flag("quick_gelu")? == Some(true) {
        return Ok(ActivationName::QuickGelu);
    }
    match arguments.text("approximate")? {
        None | Some("none") => Ok(ActivationName::Gelu),
        Some("tanh") => Ok(ActivationName::GeluTanh),
        Some(other) => Err(arguments.wrong("approximate", &other, "tanh or none")),
    }
}

/// Refuses the options of an image tower that the kernels do not run.
fn refuse(tensors: &Tensors<'_>, vision: Object<'_>) -> Result<(), Defect> {
    let unsupported = |what: &str| Err(Defect::Unsupported(what.into()));
    if vision
        .get("layers")
        .is_some_and(serde_json::Value::is_array)
    {
        return unsupported("a ResNet as image tower");
    }
    let pools = vision.get("attentional_pool");
    if pools.is_some_and(|pool| pool != &serde_json::Value::Bool(false)) {
        return unsupported("attention pooling with several queries (CoCa)");
    }
    for name in [
        "qk_norm",
        "scaled_cosine_attn",
        "scale_heads",
        "scale_attn_inner",
        "scale_attn",
        "scale_fc",
    ] {
        if vision.flag(name)? == Some(true) {
            return Err(Defect::Unsupported(format!("vision_cfg.{name}")));
        }
    }
    match vision.text("pool_type")? {
        None | Some("tok" | "avg") => {}
        Some(other) => return Err(Defect::Unsupported(format!("pooling {other:?}"))),
    }
    match start(tensors) {
        Some(_) => Ok(()),
        None => unsupported("an image tower of other tensors than its configuration says"),
    }
}

fn names(tensors: &Tensors<'_>, start: &str) -> Names {
    let name = |name: &str| format!("{start}{name}");
    let first = tensors.first_layer(&name("transformer.resblocks.{}."));
    let linear = |base: &str| Linear::find(tensors, &first, base);
    let scale = |base: &str| {
        tensors
            .has(&format!("{first}{base}"))
            .then(|| base.to_owned())
    };
    let own = [
        "conv1.",
        "class_embedding",
        "positional_embedding",
        "ln_pre.",
        "ln_post.",
        "proj",
        "attn_pool",
        "transformer.resblocks.",
    ];
    let proj = name("proj");
    Names {
        patch: Linear::find(tensors, "", &name("conv1")),
        patch_side: None,
        prefix: vec![name("class_embedding")],
        position: Some(Position {
            name: name("positional_embedding"),
            rows: PrefixRows::All,
        }),
        pre_norm: Some(name("ln_pre")),
        layer: name("transformer.resblocks.{}."),
        block: LayerNames {
            norm1: "ln_1".into(),
            qkv: Qkv::Fused(Linear {
                weight: "attn.in_proj_weight".into(),
                bias: scale("attn.in_proj_bias"),
            }),
            proj: linear("attn.out_proj"),
            scale1: scale("ls_1.gamma"),
            norm2: "ln_2".into(),
            mlp: Mlp::Plain {
                fc1: linear("mlp.c_fc"),
                fc2: linear("mlp.c_proj"),
            },
            scale2: scale("ls_2.gamma"),
        },
        token_norm: Some(name("ln_post")),
        pooling: None,
        final_norm: None,
        head: if tensors.has(&proj) {
            Head::Transposed(proj)
        } else {
            Head::None
        },
        own: own.map(name).to_vec(),
    }
}
