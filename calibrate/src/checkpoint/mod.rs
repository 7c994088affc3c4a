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
mod files;
mod inventory;
mod json;
mod preprocessing;
mod random;
mod tensors;
mod weights;

pub use error::{Candidate, CheckpointError, Defect};
pub use preprocessing::Stated;
pub use weights::{Affine, Block, PoolingWeights, Weights};

use families::{Documents, Imported};
use files::{Files, Taken};
use json::Document;
use mergevit_runtime::{ModelConfig, OutputKind, ScoreKind, input_file};
use std::path::{Path, PathBuf};

/// The files that describe a model: its shape, and how its images are prepared; open_clip writes the last one instead
/// of both.
const CONFIGURATION: [&str; 3] = [
    "config.json",
    "preprocessor_config.json",
    "open_clip_config.json",
];

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
        let fail = |defect: Defect| CheckpointError {
            path: if defect.is_in_weights() {
                files.path().into()
            } else {
                path.into()
            },
            defect,
        };
        let [config, preprocessor, open_clip] =
            CONFIGURATION.map(|name| read_optional(&files::folder(path).join(name)));
        let preprocessor = preprocessor.map_err(fail)?;
        let config = match config.map_err(fail)? {
            None => open_clip.map_err(fail)?,
            config => config,
        };
        let hash = files.hash(taken.key.as_deref());
        let imported = Self::import(
            &taken,
            hash,
            config.as_deref(),
            preprocessor.as_deref(),
            stated,
        );
        let mut checkpoint = imported.map_err(fail)?;
        let chosen = taken
            .key
            .as_deref()
            .filter(|_| stated.weights_key.is_none());
        let chosen = chosen.map(|key| format!("the weights are those at {key}"));
        checkpoint.warnings.splice(0..0, chosen);
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
        let [config_name, preprocessor_name, _] = CONFIGURATION;
        let config = Document::parse(config_name, config)?;
        let preprocessor = Document::parse(preprocessor_name, preprocessor)?;
        let documents = Documents {
            config: config.root(),
            preprocessor: preprocessor.root(),
        };
        let Imported {
            assembled,
            mean,
            std,
            warnings,
        } = families::import(&taken.tensors, &documents, stated)?;
        let checkpoint = Self {
            name: assembled.model.architecture.clone(),
            hash,
            model: assembled.model,
            mean,
            std,
            score_factor: assembled.score_factor,
            pool_score_factor: assembled.pool_score_factor,
            warnings,
            weights: assembled.weights,
        };
        Ok(match stated.headless {
            true => checkpoint.without_head(),
            false => checkpoint,
        })
    }

    /// The network without its classifier: what that was fed, the pooled vector, becomes its embedding. A network that
    /// gives embeddings stays as it is.
    #[must_use]
    pub fn without_head(mut self) -> Self {
        let model = &mut self.model;
        if model.output == OutputKind::Logits {
            model.head = false;
            model.output = OutputKind::Embedding;
            model.classes = model.pooled_width();
            model.score_kind = ScoreKind::Softmax;
            model.labels.clear();
            self.weights.head_weight.clear();
            self.weights.head_bias.clear();
        }
        self
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
