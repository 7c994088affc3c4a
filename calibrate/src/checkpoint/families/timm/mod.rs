//! timm's `VisionTransformer`, `VisionTransformerDistilled` and `Eva`.
//!
//! Heads, epsilon, activation and rotary positions are in no file: the architecture's name gives them, and
//! `model_args` what was changed.

mod arguments;
mod names;
pub(super) mod preprocessing;

use crate::checkpoint::anatomy::{Anatomy, Facts, Head, Names, Rotary};
use crate::checkpoint::architectures::{self, Architecture, Class, Pool};
use crate::checkpoint::described::{Described, Size, Source};
use crate::checkpoint::error::Defect;
use crate::checkpoint::family::Family;
use crate::checkpoint::json::Object;
use crate::checkpoint::preprocessing::Found;
use crate::checkpoint::tensors::Tensors;
use mergevit_runtime::{OutputKind, Pooling, ScoreKind};

/// `timm.models.vision_transformer`, `deit` and `eva`.
pub(super) struct Timm;

impl Family for Timm {
    fn name(&self) -> &'static str {
        "timm"
    }

    fn recognizes(&self, tensors: &Tensors<'_>) -> bool {
        tensors.has_start("blocks.")
    }

    fn describe(&self, source: &Source<'_>) -> Result<Described, Defect> {
        let name = name(source)?;
        let mut architecture = architectures::timm(name)?;
        let config = source.config;
        let arguments = config.inner("model_args", "model_args.")?;
        let named = config.text("global_pool")?.unwrap_or_default();
        arguments::apply(&mut architecture, arguments)?;
        agrees(&architecture, named, config)?;
        let mut described = describe(source.tensors, "", name, &architecture)?;
        described.size = Size {
            asked: source.image_size,
            stated: stated_size(config, arguments)?.or(described.size.stated),
            resamples: architecture.class == Class::Naflex,
        };
        let classes = classes(source.tensors)?;
        let stated = config.size("num_classes")?;
        match stated.filter(|stated| Some(*stated) != classes && (*stated > 0 || classes.is_some()))
        {
            Some(stated) => described.warnings.push(format!(
                "config.json states {stated} classes, the head has {}; its labels are left out",
                classes.unwrap_or(0)
            )),
            None => described.labels = labels(classes.unwrap_or(0), config)?,
        }
        Ok(described)
    }

    fn preprocessing(&self, source: &Source<'_>, size: usize) -> Result<Found, Defect> {
        if source.config.is_empty() {
            let architecture = architectures::timm(name(source)?)?;
            return preprocessing::of_table(&architecture.pixels, size);
        }
        preprocessing::of_config(source.config, size, true)
    }
}

/// The architecture that the user states, or config.json.
fn name<'a>(source: &Source<'a>) -> Result<&'a str, Defect> {
    let stated = match source.architecture {
        Some(name) => Some(name),
        None => source.config.text("architecture")?,
    };
    stated.ok_or(Defect::Unstated {
        what: "the architecture, which tells heads, epsilon and activation",
        option: "--architecture",
    })
}

/// Checks that a pooling that config.json names for people is the one that timm would build.
fn agrees(architecture: &Architecture, named: &str, config: Object<'_>) -> Result<(), Defect> {
    if named.is_empty() || arguments::pool(named)? == architecture.pool {
        return Ok(());
    }
    let built = match architecture.pool {
        Pool::Token => "token",
        Pool::Avg => "avg",
        Pool::Map => "map",
    };
    Err(config.wrong(
        "global_pool",
        &named,
        format!("{built}, as the architecture and model_args say"),
    ))
}

/// Describes a model whose tensors' names begin with `start`. The size is the one that the architecture is built for.
///
/// # Errors
/// As [`Family::describe`].
pub(super) fn describe(
    tensors: &Tensors<'_>,
    start: &str,
    name: &str,
    architecture: &Architecture,
) -> Result<Described, Defect> {
    let names = names::names(tensors, start, architecture)?;
    let width = tensors.shape(&names.patch.weight)?.first().copied();
    if width != Some(architecture.width) {
        return Err(Defect::Unsupported(format!(
            "its tensors have {} channels and those of {name} {}; state embed_dim and num_heads in model_args of \
             config.json if it was built so",
            width.unwrap_or(0),
            architecture.width
        )));
    }
    registers(tensors, &names, architecture)?;
    let prefix = architecture.class_token || architecture.registers > 0 || architecture.distilled;
    let pooling = match architecture.pool {
        Pool::Token if architecture.distilled => Pooling::ClassAndDistillation,
        Pool::Token => Pooling::ClassToken,
        Pool::Avg if architecture.pool_prefix && prefix => Pooling::MeanAll,
        Pool::Avg => Pooling::Mean,
        Pool::Map if prefix && !architecture.pool_prefix => {
            return Err(Defect::Unsupported(
                "it has attention pooling of the patches alone beside prefix tokens".into(),
            ));
        }
        Pool::Map => Pooling::Attention,
    };
    let headless = matches!(names.head, Head::None);
    if architecture.distilled && headless {
        return Err(Defect::Unsupported(
            "it has a distillation token and no heads; the mean of both tokens is not supported"
                .into(),
        ));
    }
    if names.token_norm.is_some() && names.final_norm.is_some() {
        return Err(Defect::Unsupported(
            "it has norms before and after the pooling".into(),
        ));
    }
    Ok(Described {
        anatomy: Anatomy {
            facts: Facts {
                architecture: name.into(),
                heads: architecture.heads,
                epsilon: architecture.epsilon,
                activation: architecture.activation,
                norm: architecture.norm,
                rotary: rotary(architecture, start),
                resampling: architecture.resampling,
                pooling,
                output: OutputKind::Logits,
                score_kind: ScoreKind::Softmax,
            },
            names,
        },
        labels: Vec::new(),
        size: Size {
            stated: Some(architecture.image_size),
            asked: None,
            resamples: architecture.class == Class::Naflex,
        },
        warnings: Vec::new(),
    })
}

/// The architecture's rotary positions; learned frequencies are in a tensor of this file.
fn rotary(architecture: &Architecture, start: &str) -> Option<Rotary> {
    match architecture.rotary.clone() {
        Some(Rotary::Mixed { tensor, x_first }) => Some(Rotary::Mixed {
            tensor: format!("{start}{tensor}"),
            x_first,
        }),
        other => other,
    }
}

/// Pools in another way than the architecture, by the name of `global_pool`.
///
/// # Errors
/// [`Defect::Unsupported`] for an unknown one.
pub(super) fn set_pool(architecture: &mut Architecture, pool: &str) -> Result<(), Defect> {
    arguments::set_pool(architecture, arguments::pool(pool)?);
    Ok(())
}

/// Checks the number of register tokens.
fn registers(
    tensors: &Tensors<'_>,
    names: &Names,
    architecture: &Architecture,
) -> Result<(), Defect> {
    let Some(name) = names.prefix.iter().find(|name| name.ends_with("reg_token")) else {
        return Ok(());
    };
    let found = tensors.shape(name)?;
    let expected = vec![1, architecture.registers, architecture.width];
    if found == expected {
        return Ok(());
    }
    Err(Defect::Shape {
        tensor: name.clone(),
        found,
        expected,
    })
}

/// Outputs of the head; none without one.
fn classes(tensors: &Tensors<'_>) -> Result<Option<usize>, Defect> {
    let Some(head) = super::sole_linear(tensors, "head.")? else {
        return Ok(None);
    };
    Ok(tensors.shape(&head.weight)?.first().copied())
}

/// Side of the model's images, where the configuration states it.
fn stated_size(config: Object<'_>, arguments: Object<'_>) -> Result<Option<usize>, Defect> {
    if let Some(size) = arguments.side("img_size")? {
        return Ok(Some(size));
    }
    let pretrained = preprocessing::pretrained(config)?;
    let Some(list) = pretrained.get("input_size") else {
        return config.side("image_size");
    };
    match list.as_array().map(Vec::as_slice) {
        Some([_, height, width]) if height == width && height.is_u64() => {
            Ok(height.as_u64().and_then(|n| usize::try_from(n).ok()))
        }
        _ => Err(pretrained.wrong("input_size", list, "[3, size, size]")),
    }
}

/// Class names, where the configuration has them.
///
/// # Errors
/// [`Defect::Config`] for a list of another length.
pub(super) fn labels(classes: usize, config: Object<'_>) -> Result<Vec<String>, Defect> {
    let pretrained = preprocessing::pretrained(config)?;
    match label_names(classes, pretrained)? {
        names if names.is_empty() => label_names(classes, config),
        names => Ok(names),
    }
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
