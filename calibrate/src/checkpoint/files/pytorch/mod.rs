//! The tensors of files that PyTorch writes: `pytorch_model.bin`, `.pt`, `.pth`, `.ckpt`.

mod archive;
#[cfg(test)]
mod assembler;
mod pickle;
mod state_dict;
#[cfg(test)]
mod tests;

pub(super) use archive::is_archive;

use super::element::Element;
use super::set::TensorSet;
use super::stored::Stored;
use super::taken::Taken;
use crate::checkpoint::error::Defect;
use archive::Archive;
use pickle::{Heap, Object, PickleError, Tensor};
use state_dict::StateDict;
use std::collections::HashMap;

/// Reads the state dictionary that `key` names, or the only one that the file holds.
///
/// # Errors
/// [`Defect::Archive`], [`Defect::Foreign`], [`Defect::Pickle`], [`Defect::Code`] for what is damaged or no file of
/// tensors; [`Defect::Choice`] if there is no only one, [`Defect::Key`] if there is none of that name.
pub(super) fn read<'a>(bytes: &'a [u8], key: Option<&str>) -> Result<Taken<'a>, Defect> {
    let archive = Archive::parse(bytes)?;
    tensors(&archive, archive.pickle()?, key)
}

/// As [`read`], of a pickle and the storages beside it, each with its name: for the fuzzers.
///
/// # Errors
/// As [`read`].
#[cfg(any(test, fuzzing))]
pub(in crate::checkpoint) fn read_pickle<'a>(
    pickle: &'a [u8],
    storages: &[(&'a str, &'a [u8])],
    key: Option<&str>,
) -> Result<Taken<'a>, Defect> {
    tensors(&Archive::of(storages.iter().copied()), pickle, key)
}

fn tensors<'a>(
    archive: &Archive<'a>,
    pickle: &'a [u8],
    key: Option<&str>,
) -> Result<Taken<'a>, Defect> {
    let (heap, root) = pickle::load(pickle).map_err(defect)?;
    let found = state_dict::find(&heap, root)?;
    let (chosen, rest) = state_dict::choose(&found, key)?;
    let set = set(archive, &heap, chosen)?;
    let taken = Taken::of(set, &chosen.path);
    match rest {
        None => Ok(taken),
        Some(prefix) => taken.behind(prefix),
    }
}

fn defect(error: PickleError) -> Defect {
    match error {
        PickleError::Global(name) => Defect::Code(name),
        error => Defect::Pickle(error.to_string()),
    }
}

/// The tensors of a state dictionary. What is no tensor is left out.
fn set<'a>(
    archive: &Archive<'a>,
    heap: &Heap<'a>,
    dict: &StateDict<'_>,
) -> Result<TensorSet<'a>, Defect> {
    let mut set = TensorSet::default();
    // Each storage is checked once, however many tensors share it.
    let mut storages = HashMap::new();
    for &(key, value) in dict.items {
        let (Some(name), Object::Tensor(tensor)) = (heap.text(key), heap.get(value)) else {
            continue;
        };
        if !tensor.element.is_read() {
            set.insert_other(name.into(), tensor.element)?;
            continue;
        }
        let key = tensor.storage.key;
        let data = match storages.get(key) {
            Some(&data) => data,
            None => {
                let data = archive.storage(key)?;
                storages.insert(key, data);
                data
            }
        };
        set.insert(name.into(), stored(name, tensor, data)?)?;
    }
    Ok(set)
}

/// A tensor in its storage.
fn stored<'a>(name: &str, tensor: &Tensor<'_>, data: &'a [u8]) -> Result<Stored<'a>, Defect> {
    let fail = |what: String| Defect::Archive(format!("tensor {}: {what}", name.escape_debug()));
    let size = tensor.storage.element.map_or(Some(1), Element::size);
    let held = size.map(|size| data.len() / size);
    if held != Some(tensor.storage.count) {
        return Err(fail(format!(
            "its storage has {} bytes, for {} elements",
            data.len(),
            tensor.storage.count
        )));
    }
    let (shape, strides) = (tensor.shape.clone(), tensor.strides.clone());
    Stored::strided(tensor.element, shape, strides, tensor.offset, data).map_err(fail)
}
