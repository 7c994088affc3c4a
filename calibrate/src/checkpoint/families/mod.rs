//! The model families whose checkpoints can be imported.
//!
//! To add a family:
//!
//! 1. Write `families/NAME.rs` with a type that implements [`Family`]: how to recognize a file by its tensors' names,
//!    what the file calls each tensor, and what its configuration means.
//! 2. Add it to [`FAMILIES`]. The first family that recognizes a file imports it.
//! 3. Add a case to `tests/family`, which compares with the library's own forward pass.
//!
//! A family answers for every difference that changes a result: what it does not know, it refuses by name.

mod open_clip;
mod timm;
mod torchvision;
mod transformers;

use super::anatomy::Linear;
use super::assemble::{self, Assembled};
use super::described::{Source, check_std};
use super::error::Defect;
use super::family::Family;
use super::files::TensorSet;
use super::json::Object;
use super::preprocessing::{Known, Stated};
use super::tensors::Tensors;

/// Every family, the more particular names first.
const FAMILIES: [&dyn Family; 4] = [
    &transformers::Transformers,
    &torchvision::Torchvision,
    &open_clip::OpenClip,
    &timm::Timm,
];

/// The configuration files of a checkpoint.
pub(super) struct Documents<'a> {
    pub(super) config: Object<'a>,
    pub(super) preprocessor: Object<'a>,
}

/// An imported model.
pub(super) struct Imported {
    pub(super) assembled: Assembled,
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
    /// What the user should know, a line each.
    pub(super) warnings: Vec<String>,
}

/// Imports a model, with what the user states of it.
///
/// # Errors
/// [`Defect`] for whatever is missing, contradicts itself or is not supported.
pub(super) fn import(
    all: &TensorSet<'_>,
    files: &Documents<'_>,
    stated: &Stated,
) -> Result<Imported, Defect> {
    let (family, view) = recognize(all)?;
    let tensors = Tensors::new(&view);
    let source = Source {
        tensors: &tensors,
        config: files.config,
        preprocessor: files.preprocessor,
        architecture: stated.architecture.as_deref(),
        image_size: stated.image_size,
    };
    let described = family.describe(&source)?;
    let mut assembled = assemble::assemble(&tensors, &described)?;
    let size = assembled.model.image_size;
    let found = family.preprocessing(&source, size)?;
    let Known {
        mean,
        std,
        preprocessing,
    } = found.complete(stated, size)?;
    check_std(&std, files.config)?;
    assembled.model.preprocessing = preprocessing;
    assembled.model.validate()?;
    if !assembled.model.head
        && let Some(name) = view.outside().iter().find(|name| is_linear_head(name))
    {
        return Err(Defect::Unsupported(format!(
            "a classifier beside the model's tensors, {name}: nothing says what it is given; rename it to what \
             the library calls its own, or leave it out for the embedding"
        )));
    }
    let mut warnings = described.warnings;
    warnings.extend(described.size.warning(size));
    warnings.extend(unused(&view, &assembled.unused));
    Ok(Imported {
        assembled,
        mean,
        std,
        warnings,
    })
}

/// The family that a file belongs to, and the view of its tensors, behind the prefixes of wrappers, that it knows.
///
/// # Errors
/// [`Defect::Naming`] if no family knows its names.
fn recognize<'a>(file: &TensorSet<'a>) -> Result<(&'static dyn Family, TensorSet<'a>), Defect> {
    let of = |view: &TensorSet<'_>| {
        let tensors = Tensors::new(view);
        FAMILIES
            .into_iter()
            .find(|family| family.recognizes(&tensors))
    };
    let mut views = file.views().into_iter();
    if let Some((family, view)) = views.find_map(|view| Some((of(&view)?, view))) {
        return Ok((family, view));
    }
    // A wrapper with tensors of its own: the one part that is a model.
    let mut starts: Vec<String> = file
        .names()
        .filter_map(|name| Some(name.split_once('.')?.0.into()))
        .collect();
    starts.dedup();
    let parts = starts
        .iter()
        .map(|start| file.stripped(&format!("{start}.")));
    let mut known = parts.filter_map(|view| Some((of(&view)?, view)));
    match (known.next(), known.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(Defect::Naming {
            known: FAMILIES.map(Family::name).join(", "),
            first: file.names().take(5).collect::<Vec<_>>().join(", "),
        }),
    }
}

/// Whether a tensor outside the model is by its name a classifier on it, as in `backbone.*` with `head.weight`.
fn is_linear_head(name: &str) -> bool {
    let parts: Vec<&str> = name.split('.').collect();
    let numbered = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let layer = match *parts.as_slice() {
        [layer, "weight"] => layer,
        [layer, number, "weight"] if numbered(number) => layer,
        _ => return false,
    };
    ["head", "heads", "fc", "classifier", "linear"].contains(&layer)
}

/// Names the tensors that are not part of the model: those of the view, and those outside it.
fn unused(view: &TensorSet<'_>, names: &[String]) -> Option<String> {
    let names: std::collections::BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let used = view.names().filter(|name| !names.contains(name));
    let unused = view.unused(&used.map(str::to_owned).collect());
    (!unused.is_empty()).then(|| format!("not part of the model and ignored: {unused}"))
}

/// The one linear layer among the tensors whose names begin with `start`: a head may be wrapped as
/// `Sequential(Dropout, Linear)`. None if there is no tensor of such a name.
///
/// # Errors
/// [`Defect::Unsupported`] for several layers.
fn sole_linear(tensors: &Tensors<'_>, start: &str) -> Result<Option<Linear>, Defect> {
    let mut names: Vec<&str> = tensors
        .names()
        .filter(|name| name.starts_with(start))
        .collect();
    names.sort_unstable();
    let base = |name: &str| {
        let base = name
            .strip_suffix(".weight")
            .or_else(|| name.strip_suffix(".bias"));
        base.map(str::to_owned)
    };
    let Some(first) = names.first() else {
        return Ok(None);
    };
    let found = base(first);
    let alone = found.is_some() && names.iter().all(|name| base(name) == found);
    match found {
        Some(base) if alone && tensors.shape(&format!("{base}.weight"))?.len() == 2 => {
            Ok(Some(Linear::find(tensors, "", &base)))
        }
        _ => Err(Defect::Unsupported(format!(
            "a head of several layers (tensors {})",
            names.join(", ")
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::{Dtype, TensorView};

    /// A file of tensors of these names and shapes, all zeros.
    fn file(tensors: &[(&str, &[usize])]) -> Vec<u8> {
        let zeros = vec![0; 4096];
        let view = |shape: &[usize]| {
            let bytes = 4 * shape.iter().product::<usize>();
            TensorView::new(Dtype::F32, shape.to_vec(), &zeros[..bytes]).unwrap()
        };
        let views = tensors.iter().map(|(name, shape)| (*name, view(shape)));
        safetensors::serialize(views, None).unwrap()
    }

    #[test]
    fn classifiers_beside_a_backbone_are_seen() {
        for name in ["head.weight", "fc.1.weight", "classifier.weight"] {
            assert!(is_linear_head(name), "{name}");
        }
        for name in [
            "head.mlp.0.weight",
            "text_projection.weight",
            "head.bias",
            "logit_scale",
        ] {
            assert!(!is_linear_head(name), "{name}");
        }
    }

    #[test]
    fn families_are_told_by_names_behind_any_wrapper() {
        for (names, family, first) in [
            (
                &["blocks.0.norm1.weight"][..],
                "timm",
                "blocks.0.norm1.weight",
            ),
            (&["module.model.blocks.0.x"], "timm", "blocks.0.x"),
            (&["model.blocks.0.x", "loss.weight"], "timm", "blocks.0.x"),
            (
                &["vit.embeddings.patch_embeddings.projection.weight"],
                "transformers",
                "vit.embeddings.patch_embeddings.projection.weight",
            ),
            (
                &["encoder.layers.encoder_layer_0.ln_1.weight"],
                "torchvision",
                "encoder.layers.encoder_layer_0.ln_1.weight",
            ),
            (
                &["visual.trunk.blocks.0.x"],
                "open_clip",
                "visual.trunk.blocks.0.x",
            ),
            (
                &["visual.conv1.weight", "visual.transformer.resblocks.0.x"],
                "open_clip",
                "visual.conv1.weight",
            ),
        ] {
            let tensors: Vec<(&str, &[usize])> =
                names.iter().map(|name| (*name, &[1][..])).collect();
            let bytes = file(&tensors);
            let parsed = TensorSet::parse(&bytes).unwrap();
            let (found, view) = recognize(&parsed).unwrap();
            assert_eq!((found.name(), view.has(first)), (family, true), "{names:?}");
        }
        // Two models in one file: which is meant?
        let bytes = file(&[("student.blocks.0.x", &[1]), ("teacher.blocks.0.x", &[1])]);
        let two = TensorSet::parse(&bytes).unwrap();
        assert!(matches!(recognize(&two), Err(Defect::Naming { .. })));
    }

    #[test]
    fn a_head_is_one_linear_layer_however_it_is_wrapped() {
        let matrix: &[usize] = &[2, 3];
        let sole = |tensors: &[(&str, &[usize])]| {
            let bytes = file(tensors);
            let parsed = TensorSet::parse(&bytes).unwrap();
            let found = sole_linear(&Tensors::new(&parsed), "head.");
            found.map(|found| found.map(|linear| (linear.weight, linear.bias)))
        };
        let named =
            |weight: &str, bias: Option<&str>| Some((weight.into(), bias.map(str::to_owned)));
        assert_eq!(sole(&[("x", &[1])]).unwrap(), None);
        let plain = sole(&[("head.weight", matrix), ("head.bias", &[2])]).unwrap();
        assert_eq!(plain, named("head.weight", Some("head.bias")));
        let wrapped = sole(&[("head.1.weight", matrix)]).unwrap();
        assert_eq!(wrapped, named("head.1.weight", None));
        for several in [
            &[("head.0.weight", matrix), ("head.2.weight", matrix)][..],
            &[("head.weight", &[2])],
            &[("head.scale", &[2])],
        ] {
            let error = sole(several).unwrap_err().to_string();
            assert!(error.contains("several layers"), "{error}");
        }
    }
}
