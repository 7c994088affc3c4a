//! A trained Vision Transformer in full precision, whatever library wrote it.
//!
//! A model family recognizes a file by the names of its tensors and says what it calls each one; no tensor
//! may be missing or left over. The tensors' shapes give the model's dimensions, the family reads its
//! configuration files, and the tensors are folded into [`Weights`].
//!
//! `checkpoint/families/mod.rs` says how to add a family.

mod assemble;
mod described;
mod error;
mod families;
mod family;
mod file;
mod files;
mod json;
mod naming;
mod preprocessing;
mod random;
mod tensor;
mod weights;

pub use error::{Candidate, CheckpointError, Defect};
pub use preprocessing::Stated;
pub use weights::{Block, Weights};

use described::{Source, check_std};
use files::{Files, Taken};
use json::Document;
use mergevit_runtime::{ModelConfig, input_file};
use naming::Listing;
use std::path::{Path, PathBuf};

/// The files that describe a model: its shape, and how its images are prepared.
const CONFIGURATION: [&str; 2] = ["config.json", "preprocessor_config.json"];

/// A checkpoint in one canonical layout. Matrices are row-major, (outputs, inputs).
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Name of the folder or file it was imported from, or of the random architecture.
    pub name: String,
    /// Hash of the weights' files, and of the place in them, `xxh3-64:...`.
    pub hash: String,
    /// Architecture, labels, preprocessing.
    pub model: ModelConfig,
    /// Mean of each colour, of pixels in 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of each colour.
    pub std: [f32; 3],
    /// The tensors.
    pub weights: Weights,
}

impl Checkpoint {
    /// Imports a folder as Hugging Face, timm and open_clip ship it, or a file of weights with `config.json` beside it:
    /// safetensors or what `torch.save` writes, in one file or in shards with an index. The naming (timm, transformers,
    /// torchvision) is detected.
    ///
    /// # Errors
    /// [`CheckpointError`] for whatever is unreadable, missing, left over, of a wrong shape or type, not finite
    /// or unsupported; it names the file and the tensor or field.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        Self::load_with(path, &Stated::default())
    }

    /// [`Checkpoint::load`] with what the files do not say, or not as they should.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn load_with(path: impl AsRef<Path>, stated: &Stated) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let files = Files::open(path)?;
        let taken = files.tensors(stated.weights_key.as_deref())?;
        if let Some(key) = taken
            .key
            .as_deref()
            .filter(|_| stated.weights_key.is_none())
        {
            log::warn!("{}: the weights are those at {key}", files.path().display());
        }
        let fail = |defect: Defect| CheckpointError {
            path: if defect.is_in_weights() {
                files.path().into()
            } else {
                path.into()
            },
            defect,
        };
        let [config, preprocessor] = CONFIGURATION.map(|name| files::folder(path).join(name));
        let config = read_optional(&config).map_err(fail)?;
        let preprocessor = read_optional(&preprocessor).map_err(fail)?;
        let hash = files.hash(taken.key.as_deref());
        let imported = Self::import(
            &taken,
            hash,
            config.as_deref(),
            preprocessor.as_deref(),
            stated,
        );
        let mut checkpoint = imported.map_err(fail)?;
        let named = path.canonicalize().unwrap_or_else(|_| path.into());
        if let Some(name) = named.file_name() {
            checkpoint.name = name.to_string_lossy().into_owned();
        }
        Ok(checkpoint)
    }

    /// Imports a checkpoint from the contents of its files, the weights being in one.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn parse(
        weights: &[u8],
        config: Option<&[u8]>,
        preprocessor: Option<&[u8]>,
    ) -> Result<Self, Defect> {
        Self::parse_with(weights, config, preprocessor, &Stated::default())
    }

    /// [`Checkpoint::parse`] with what the files do not say, or not as they should.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn parse_with(
        weights: &[u8],
        config: Option<&[u8]>,
        preprocessor: Option<&[u8]>,
        stated: &Stated,
    ) -> Result<Self, Defect> {
        let taken = files::read(weights, stated.weights_key.as_deref())?;
        let hash = files::hash([weights], taken.key.as_deref());
        Self::import(&taken, hash, config, preprocessor, stated)
    }

    fn import(
        taken: &Taken<'_>,
        hash: String,
        config: Option<&[u8]>,
        preprocessor: Option<&[u8]>,
        stated: &Stated,
    ) -> Result<Self, Defect> {
        let (family, file) = families::recognize(&taken.tensors)?;
        let listing = Listing::new(&file, &family.naming(&file)?)?;
        let dimensions = listing.dimensions(&file)?;
        let [config_name, preprocessor_name] = CONFIGURATION;
        let config = Document::parse(config_name, config)?;
        let preprocessor = Document::parse(preprocessor_name, preprocessor)?;
        let described = family.describe(&Source {
            file: &file,
            dimensions,
            config: config.root(),
            preprocessor: preprocessor.root(),
        })?;
        let mut model = described.model;
        let known = described.preprocessing.complete(stated, model.image_size)?;
        check_std(&known.std, config.root())?;
        model.preprocessing = known.preprocessing;
        model.validate()?;
        Ok(Self {
            name: model.architecture.clone(),
            hash,
            weights: assemble::assemble(&file, &listing, &dimensions)?,
            model,
            mean: known.mean,
            std: known.std,
        })
    }

    /// Random weights of a named architecture: `vit_` or `deit_`, `tiny`, `small`, `base` or `large`, as in
    /// `vit_base_patch16_224`. The same seed gives the same weights.
    ///
    /// # Errors
    /// An unknown name, or dimensions beyond the limits.
    pub fn random(architecture: &str, seed: u64) -> Result<Self, CheckpointError> {
        let (model, weights) =
            random::model(architecture, seed).map_err(|defect| CheckpointError {
                path: architecture.into(),
                defect,
            })?;
        Ok(Self {
            name: format!("{architecture} (random weights)"),
            hash: format!("seed:{seed}"),
            model,
            mean: [0.5; 3],
            std: [0.5; 3],
            weights,
        })
    }
}

/// The tensors of a pickle, with their shapes and values, beside the storages that it refers to: for the fuzzers.
///
/// # Errors
/// As [`Checkpoint::parse`].
#[cfg(fuzzing)]
pub fn read_pickle(
    pickle: &[u8],
    storages: &[(&str, &[u8])],
    key: Option<&str>,
) -> Result<Vec<(Vec<usize>, Vec<f32>)>, Defect> {
    let tensors = files::read_pickle(pickle, storages, key)?.tensors;
    let read = |name: &str| -> Result<_, Defect> {
        let shape = tensors.shape(name)?;
        let values = tensors.values(name, &shape)?;
        Ok((shape, values))
    };
    tensors.names().map(read).collect()
}

/// The files that a checkpoint at `path` is read from, as far as they can be found.
pub(crate) fn sources(path: &Path) -> Vec<PathBuf> {
    let folder = files::folder(path);
    let configuration = CONFIGURATION.map(|name| folder.join(name));
    files::weights(path)
        .into_iter()
        .chain(configuration)
        .collect()
}

fn read(path: &Path) -> Result<Vec<u8>, Defect> {
    let name = || {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    input_file::read(path).map_err(|error| Defect::Io {
        name: name(),
        source: error.into(),
    })
}

fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, Defect> {
    match read(path) {
        Err(Defect::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
