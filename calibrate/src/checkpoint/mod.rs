//! A trained Vision Transformer in full precision, whatever library wrote it.
//!
//! A model family recognizes a file by the names of its tensors and says what it calls each one; no tensor
//! may be missing or left over. The tensors' shapes give the model's dimensions, the family reads its
//! configuration files, and the tensors are folded into [`Weights`].
//!
//! `checkpoint/families/mod.rs` says how to add a family.

mod anatomy;
mod architectures;
mod assemble;
mod described;
mod error;
mod families;
mod family;
mod file;
mod foreign;
mod inventory;
mod json;
mod preprocessing;
mod random;
mod tensors;
mod weights;

pub use error::{CheckpointError, Defect, Others};
pub use preprocessing::Stated;
pub use weights::{Affine, Block, PoolingWeights, Weights};

use families::{Files, Imported};
use file::TensorFile;
use json::Document;
use mergevit_runtime::{ModelConfig, input_file};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64;

/// A checkpoint in one canonical layout. Matrices are row-major, (outputs, inputs).
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Name of the folder or file it was imported from, or of the random architecture.
    pub name: String,
    /// Hash of the weights file, `xxh3-64:...`.
    pub hash: String,
    /// Architecture, labels, preprocessing.
    pub model: ModelConfig,
    /// Mean of each colour, of pixels in 0 to 1.
    pub mean: [f32; 3],
    /// Standard deviation of each colour.
    pub std: [f32; 3],
    /// Factor of attention's scores: one over the root of a head's channels before padding.
    pub score_factor: f32,
    /// The same of the pooling that attends.
    pub pool_score_factor: f32,
    /// What the user should know of the import, a line each.
    pub warnings: Vec<String>,
    /// The tensors.
    pub weights: Weights,
}

impl Checkpoint {
    /// Imports a Hugging Face style folder, or its `model.safetensors` with `config.json` beside it. The
    /// naming (timm, transformers, torchvision) is detected.
    ///
    /// # Errors
    /// [`CheckpointError`] for whatever is unreadable, missing, left over, of a wrong shape or type, not finite
    /// or unsupported; it names the file and the tensor or field.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, CheckpointError> {
        Self::load_with(path, &Stated::default())
    }

    /// [`Checkpoint::load`] with preprocessing that the configuration does not state, or not as it should be.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn load_with(path: impl AsRef<Path>, stated: &Stated<'_>) -> Result<Self, CheckpointError> {
        let path = path.as_ref();
        let (folder, weights) = if path.is_dir() {
            (path, path.join("model.safetensors"))
        } else {
            (path.parent().unwrap_or(Path::new("")), path.into())
        };
        let fail = |defect: Defect| CheckpointError {
            path: if defect.is_in_weights() {
                weights.clone()
            } else {
                path.into()
            },
            defect,
        };
        let bytes = read_weights(&weights).map_err(fail)?;
        let config = read_optional(&folder.join("config.json")).map_err(fail)?;
        let preprocessor = read_optional(&folder.join("preprocessor_config.json")).map_err(fail)?;
        let mut checkpoint =
            Self::parse_with(&bytes, config.as_deref(), preprocessor.as_deref(), stated)
                .map_err(fail)?;
        let named = path.canonicalize().unwrap_or_else(|_| path.into());
        if let Some(name) = named.file_name() {
            checkpoint.name = name.to_string_lossy().into_owned();
        }
        Ok(checkpoint)
    }

    /// Imports a checkpoint from the contents of its files.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn parse(
        safetensors: &[u8],
        config: Option<&[u8]>,
        preprocessor: Option<&[u8]>,
    ) -> Result<Self, Defect> {
        Self::parse_with(safetensors, config, preprocessor, &Stated::default())
    }

    /// [`Checkpoint::parse`] with preprocessing that the configuration does not state, or not as it should be.
    ///
    /// # Errors
    /// As [`Checkpoint::load`].
    pub fn parse_with(
        safetensors: &[u8],
        config: Option<&[u8]>,
        preprocessor: Option<&[u8]>,
        stated: &Stated<'_>,
    ) -> Result<Self, Defect> {
        foreign::check(safetensors)?;
        let file = TensorFile::parse(safetensors)?;
        let config = Document::parse("config.json", config)?;
        let preprocessor = Document::parse("preprocessor_config.json", preprocessor)?;
        let files = Files {
            tensors: &file,
            config: config.root(),
            preprocessor: preprocessor.root(),
        };
        let Imported {
            assembled,
            mean,
            std,
            warnings,
        } = families::import(&files, stated)?;
        Ok(Self {
            name: assembled.model.architecture.clone(),
            hash: format!("xxh3-64:{:016x}", xxh3_64(safetensors)),
            model: assembled.model,
            mean,
            std,
            score_factor: assembled.score_factor,
            pool_score_factor: assembled.pool_score_factor,
            warnings,
            weights: assembled.weights,
        })
    }

    /// Random weights of a named architecture: `vit_` or `deit_`, `tiny`, `small`, `base` or `large`, as in
    /// `vit_base_patch16_224`. The same seed gives the same weights.
    ///
    /// # Errors
    /// An unknown name, or dimensions beyond the limits.
    pub fn random(architecture: &str, seed: u64) -> Result<Self, CheckpointError> {
        let fail = |defect: Defect| CheckpointError {
            path: architecture.into(),
            defect,
        };
        let model = random::model(architecture).map_err(fail)?;
        Self::random_of(model, seed)
    }

    /// Random weights of a model in which every tensor matters, and a few channels stand out as those of trained
    /// models do. The same seed gives the same weights.
    ///
    /// # Errors
    /// A configuration beyond the limits.
    pub fn random_of(model: ModelConfig, seed: u64) -> Result<Self, CheckpointError> {
        model.validate().map_err(|defect| CheckpointError {
            path: model.architecture.as_str().into(),
            defect: defect.into(),
        })?;
        let factor = |width: usize| 1.0 / (width as f32).sqrt();
        let pooling = model
            .attention_pooling
            .map_or(1.0, |p| factor(p.head_width));
        Ok(Self {
            name: format!("{} (random weights)", model.architecture),
            hash: format!("seed:{seed}"),
            weights: random::weights(&model, seed),
            score_factor: factor(model.head_width),
            pool_score_factor: pooling,
            model,
            mean: [0.5; 3],
            std: [0.5; 3],
            warnings: Vec::new(),
        })
    }
}

/// Reads the weights, or says which others are there instead.
fn read_weights(path: &Path) -> Result<Vec<u8>, Defect> {
    let instead = [
        ("model.safetensors.index.json", Others::Shards),
        ("pytorch_model.bin", Others::Pickle),
    ];
    match read(path) {
        Err(Defect::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
            let beside = |name: &str| path.with_file_name(name).exists();
            match instead.into_iter().find(|(name, _)| beside(name)) {
                Some((name, others)) => Err(Defect::Instead { name, others }),
                None => Err(Defect::Io {
                    name: "model.safetensors".into(),
                    source,
                }),
            }
        }
        other => other,
    }
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
