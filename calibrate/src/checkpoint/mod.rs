//! A trained Vision Transformer in full precision, whatever naming its file uses.

mod assemble;
mod config;
mod error;
mod json;
mod naming;
mod random;
mod tensors;
mod transformers;

pub use error::{CheckpointError, Defect};

use mergevit_runtime::ModelConfig;
use std::path::Path;
use tensors::Tensors;
use xxhash_rust::xxh3::xxh3_64;

/// A checkpoint in one canonical layout. Matrices are row-major, (outputs, inputs).
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    /// Where it came from: the folder's or file's name, or the name of the random architecture.
    pub name: String,
    /// Hash of the weights file, `xxh3-64:...`.
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

/// Every tensor of a model, f32. C channels, F channels in the MLP, T tokens, p patch size.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// (C, 3, p, p)
    pub patch_weight: Vec<f32>,
    /// (C)
    pub patch_bias: Vec<f32>,
    /// (T, C) position embedding; row 0 has the class token added, where there is one.
    pub position: Vec<f32>,
    /// One a layer.
    pub blocks: Vec<Block>,
    /// (C) gamma of the last layer norm.
    pub norm_gain: Vec<f32>,
    /// (C) beta of the last layer norm.
    pub norm_bias: Vec<f32>,
    /// (classes, C)
    pub head_weight: Vec<f32>,
    /// (classes)
    pub head_bias: Vec<f32>,
}

/// One encoder layer. LayerScale is folded into `proj` and `fc2`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// (C)
    pub norm1_gain: Vec<f32>,
    /// (C)
    pub norm1_bias: Vec<f32>,
    /// (3C, C): queries, keys, values.
    pub qkv_weight: Vec<f32>,
    /// (3C)
    pub qkv_bias: Vec<f32>,
    /// (C, C)
    pub proj_weight: Vec<f32>,
    /// (C)
    pub proj_bias: Vec<f32>,
    /// (C)
    pub norm2_gain: Vec<f32>,
    /// (C)
    pub norm2_bias: Vec<f32>,
    /// (F, C)
    pub fc1_weight: Vec<f32>,
    /// (F)
    pub fc1_bias: Vec<f32>,
    /// (C, F)
    pub fc2_weight: Vec<f32>,
    /// (C)
    pub fc2_bias: Vec<f32>,
}

impl Checkpoint {
    /// Imports a Hugging Face style folder, or its `model.safetensors` with `config.json` beside it. The
    /// naming (timm, transformers, torchvision) is detected.
    ///
    /// # Errors
    /// Anything unreadable, missing, left over, of a wrong shape or type, not finite, or unsupported; with
    /// the file and the tensor or field named.
    pub fn load(path: &Path) -> Result<Self, CheckpointError> {
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
        let bytes = read(&weights).map_err(fail)?;
        let config = read_optional(&folder.join("config.json")).map_err(fail)?;
        let preprocessor = read_optional(&folder.join("preprocessor_config.json")).map_err(fail)?;
        let mut checkpoint =
            Self::parse(&bytes, config.as_deref(), preprocessor.as_deref()).map_err(fail)?;
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
        let tensors = Tensors::parse(safetensors)?;
        let names = naming::Names::detect(&tensors)?;
        names.refuse(&tensors)?;
        let parts = assemble::Parts::of(&tensors, names)?;
        let shape = assemble::Shape::of(&tensors, names, parts)?;
        let described = config::describe(names, &shape, config, preprocessor)?;
        Ok(Self {
            name: described.model.architecture.clone(),
            hash: format!("xxh3-64:{:016x}", xxh3_64(safetensors)),
            weights: assemble::weights(&tensors, names, &shape)?,
            model: described.model,
            mean: described.mean,
            std: described.std,
        })
    }

    /// Random weights of a named architecture: `vit_` or `deit_`, `tiny`, `small`, `base` or `large`, as in
    /// `vit_base_patch16_224`. The same seed gives the same weights.
    ///
    /// # Errors
    /// An unknown name, or dimensions beyond the limits.
    pub fn random(architecture: &str, seed: u64) -> Result<Self, CheckpointError> {
        random::checkpoint(architecture, seed).map_err(|defect| CheckpointError {
            path: architecture.into(),
            defect,
        })
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Defect> {
    let name = || {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    std::fs::read(path).map_err(|source| Defect::Io {
        name: name(),
        source,
    })
}

fn read_optional(path: &Path) -> Result<Option<Vec<u8>>, Defect> {
    match read(path) {
        Err(Defect::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
