//! Reading the files of a checkpoint, whatever library wrote them, into one set of named tensors.
//!
//! - `locate` finds them, `index` says which tensor is in which of several;
//! - `safetensors_file` and `pytorch` read one each;
//! - `taken` is what was chosen of all that they hold, [`TensorSet`] what families read.
//!
//! Files stay in memory as they are; a tensor becomes f32 when a family asks for it.

mod element;
mod foreign;
mod index;
mod locate;
mod prefix;
mod pytorch;
mod safetensors_file;
mod set;
mod stored;
mod taken;

pub(super) use locate::folder;
#[cfg(fuzzing)]
pub(super) use pytorch::read_pickle;
pub(super) use set::{TensorSet, check_finite};
pub(super) use taken::Taken;

use super::error::{CheckpointError, Defect};
use index::Index;
use locate::{Located, locate};
use mergevit_runtime::input_file;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// Reads the tensors of one file, of any kind. `key` says where they are, if the file has several sets.
///
/// # Errors
/// [`Defect`] for a file of another kind, or a damaged one; [`Defect::Choice`] if it must be said where they are,
/// [`Defect::Key`] if they are not there.
pub(super) fn read<'a>(bytes: &'a [u8], key: Option<&str>) -> Result<Taken<'a>, Defect> {
    let taken = if pytorch::is_archive(bytes) {
        pytorch::read(bytes, key)?
    } else {
        foreign::check(bytes)?;
        let taken = Taken::of(TensorSet::parse(bytes)?, "");
        match key {
            None | Some(taken::WHOLE) => taken,
            Some(prefix) => taken.behind(prefix)?,
        }
    };
    if key.is_none() {
        taken.check_versions()?;
    }
    Ok(taken)
}

/// A file of weights.
struct Part {
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Part {
    /// The tensors that a shard has, as the index says. Where they are in it does not depend on the other shards.
    fn tensors(&self, index: &Index) -> Result<TensorSet<'_>, Defect> {
        let tensors = read(&self.bytes, Some(taken::WHOLE))?.tensors;
        let name = self.path.file_name().unwrap_or_default();
        index.check(&name.to_string_lossy(), &tensors)?;
        Ok(tensors)
    }
}

/// The weights of a checkpoint, read but not looked into.
pub(super) struct Files {
    /// The file with the weights, or the index of several.
    path: PathBuf,
    parts: Vec<Part>,
    index: Option<Index>,
}

impl Files {
    /// Reads the weights of a folder, or the file given.
    ///
    /// # Errors
    /// [`CheckpointError`] with the file that is missing, unreadable or wrong.
    pub(super) fn open(path: &Path) -> Result<Self, CheckpointError> {
        match locate(path)? {
            Located::Single(file) => Ok(Self {
                parts: vec![part(file.clone())?],
                path: file,
                index: None,
            }),
            Located::Sharded(file) => {
                let Part { path, bytes } = part(file)?;
                let index = Index::parse(&bytes).map_err(|defect| at(&path, defect))?;
                let shards = index.files().into_iter();
                let shards = shards.map(|name| shard(path.with_file_name(name), &path));
                Ok(Self {
                    parts: shards.collect::<Result<_, _>>()?,
                    path,
                    index: Some(index),
                })
            }
        }
    }

    /// The file with the weights, or the index of several.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The tensors of all files. `key` says where they are, if there are several sets.
    ///
    /// # Errors
    /// As [`read`], with the file.
    pub(super) fn tensors(&self, key: Option<&str>) -> Result<Taken<'_>, CheckpointError> {
        let Some(index) = &self.index else {
            return read(&self.parts[0].bytes, key)
                .map_err(|defect| at(&self.parts[0].path, defect));
        };
        let mut all = TensorSet::default();
        for shard in &self.parts {
            let added = shard.tensors(index).and_then(|tensors| all.append(tensors));
            added.map_err(|defect| at(&shard.path, defect))?;
        }
        let taken = Taken::of(all, "");
        let chosen = match key {
            Some(prefix) if prefix != taken::WHOLE => taken.behind(prefix),
            Some(_) => Ok(taken),
            None => taken.check_versions().map(|()| taken),
        };
        chosen.map_err(|defect| at(&self.path, defect))
    }

    /// Hash of the weights, and of the place in the files that they are at: `xxh3-64:...`.
    pub(super) fn hash(&self, key: Option<&str>) -> String {
        hash(self.parts.iter().map(|part| &part.bytes[..]), key)
    }
}

/// Hash of files one after the other, and of the place that the weights are at.
pub(super) fn hash<'a>(files: impl IntoIterator<Item = &'a [u8]>, key: Option<&str>) -> String {
    let mut hasher = Xxh3::new();
    files.into_iter().for_each(|bytes| hasher.update(bytes));
    hasher.update(key.unwrap_or_default().as_bytes());
    format!("xxh3-64:{:016x}", hasher.digest())
}

/// The files that a checkpoint's weights are in, as far as they can be found.
pub(super) fn weights(path: &Path) -> Vec<PathBuf> {
    let index = match locate(path) {
        Ok(Located::Single(file)) => return vec![file],
        Ok(Located::Sharded(file)) => file,
        Err(_) => return Vec::new(),
    };
    let parsed = part(index.clone())
        .ok()
        .and_then(|part| Index::parse(&part.bytes).ok());
    let shards = parsed
        .iter()
        .flat_map(Index::files)
        .map(|name| index.with_file_name(name));
    shards.chain([index.clone()]).collect()
}

fn part(path: PathBuf) -> Result<Part, CheckpointError> {
    match input_file::read(&path) {
        Ok(bytes) => Ok(Part { path, bytes }),
        Err(error) => Err(at(&path, Defect::Unread(error.into()))),
    }
}

/// A file that an index names.
fn shard(path: PathBuf, index: &Path) -> Result<Part, CheckpointError> {
    part(path).map_err(|error| match error.defect {
        Defect::Unread(source) if source.kind() == ErrorKind::NotFound => {
            let index = index.file_name().unwrap_or_default();
            let index = index.to_string_lossy().into_owned();
            at(&error.path, Defect::NoShard { index })
        }
        defect => at(&error.path, defect),
    })
}

fn at(path: &Path, defect: Defect) -> CheckpointError {
    CheckpointError {
        path: path.into(),
        defect,
    }
}
