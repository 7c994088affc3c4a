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
use super::file::TensorFile;
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

/// What a checkpoint is imported from.
pub(super) struct Files<'a> {
    pub(super) tensors: &'a TensorFile<'a>,
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
pub(super) fn import(files: &Files<'_>, stated: &Stated) -> Result<Imported, Defect> {
    let tensors = Tensors::new(files.tensors);
    let family = recognize(&tensors)?;
    let source = Source {
        tensors: &tensors,
        config: files.config,
        preprocessor: files.preprocessor,
        architecture: stated.architecture,
        image_size: stated.image_size,
    };
    let described = family.describe(&source)?;
    let mut assembled = assemble::assemble(&tensors, &described)?;
    let size = assembled.model.image_size;
    let found = family.preprocessing(&source, size)?;
    let Known { mean, std, preprocessing } = found.complete(stated, size)?;
    check_std(&std, files.config)?;
    assembled.model.preprocessing = preprocessing;
    assembled.model.validate()?;
    let mut warnings = described.warnings;
    warnings.extend(described.size.warning(size));
    warnings.extend(unused(&assembled.unused));
    Ok(Imported {
        assembled,
        mean,
        std,
        warnings,
    })
}

/// The family that a file belongs to.
///
/// # Errors
/// [`Defect::Naming`] if no family knows its names.
fn recognize(tensors: &Tensors<'_>) -> Result<&'static dyn Family, Defect> {
    let family = FAMILIES.into_iter().find(|family| family.recognizes(tensors));
    family.ok_or_else(|| {
        let mut first: Vec<&str> = tensors.names().collect();
        first.sort_unstable();
        first.truncate(5);
        Defect::Naming {
            known: FAMILIES.map(Family::name).join(", "),
            first: first.join(", "),
        }
    })
}

/// Names the tensors that are not part of the model, by what their names start with.
fn unused(names: &[String]) -> Option<String> {
    let start = |name: &String| name.split('.').next().unwrap_or_default().to_owned();
    let mut starts: Vec<String> = names.iter().map(start).collect();
    starts.dedup();
    let (count, starts) = (names.len(), starts.join(", "));
    (count > 0).then(|| format!("{count} tensors are not part of the model and ignored: {starts}"))
}

/// The one linear layer among the tensors whose names begin with `start`: a head may be wrapped as
/// `Sequential(Dropout, Linear)`. None if there is no tensor of such a name.
///
/// # Errors
/// [`Defect::Unsupported`] for several layers.
fn sole_linear(tensors: &Tensors<'_>, start: &str) -> Result<Option<Linear>, Defect> {
    let mut names: Vec<&str> = tensors.names().filter(|name| name.starts_with(start)).collect();
    names.sort_unstable();
    let base = |name: &str| {
        let base = name.strip_suffix(".weight").or_else(|| name.strip_suffix(".bias"));
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
mod tests;
