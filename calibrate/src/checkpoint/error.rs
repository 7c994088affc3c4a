//! What can be wrong with a checkpoint.

use std::path::PathBuf;
use thiserror::Error;

/// Why a checkpoint was not imported.
#[derive(Debug, Error)]
#[non_exhaustive]
#[error("{}: {defect}", path.display())]
pub struct CheckpointError {
    /// The weights file if its content is at fault, else the folder or file given.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub defect: Defect,
}

/// Weights in another form than one safetensors file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// Several safetensors files with an index.
    Shards,
    /// PyTorch's own format.
    Pickle,
}

/// A defect of a checkpoint's content.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Defect {
    /// The file could not be read.
    #[error("{name}: {source}")]
    Io {
        /// Name of the file.
        name: String,
        /// The system's error.
        source: std::io::Error,
    },
    /// A field of `config.json` or `preprocessor_config.json` is wrong.
    #[error("{file}: {field}: found {found}, expected {expected}")]
    Config {
        /// Name of the file.
        file: &'static str,
        /// Path of the field.
        field: String,
        /// What it holds.
        found: String,
        /// What it must be.
        expected: String,
    },
    /// There is no model.safetensors, but weights in another form.
    #[error("no model.safetensors, only {name}")]
    Instead {
        /// The file that is there.
        name: &'static str,
        /// What it is.
        others: Others,
    },
    /// The weights are a file of another kind.
    #[error("{found}, expected a safetensors file")]
    Foreign {
        /// What it is.
        found: &'static str,
        /// What to do about it.
        advice: &'static str,
    },
    /// The weights end too early.
    #[error("truncated: {found} bytes, but its header promises {expected}")]
    Cut {
        /// Bytes in the file.
        found: u64,
        /// Bytes of a whole one.
        expected: u64,
    },
    /// The weights are not in the safetensors format.
    #[error("not a safetensors file: {0}")]
    Format(String),
    /// No model family has tensors of these names.
    #[error("tensor names are of no known kind ({known}); the first are: {first}")]
    Naming {
        /// The known families.
        known: String,
        /// Names of the first tensors.
        first: String,
    },
    /// Some tensors are missing or unknown; all of them are named.
    #[error("{}", names(missing, unknown))]
    Names {
        /// Tensors that the model needs and the file lacks.
        missing: Vec<String>,
        /// Tensors that the file has and the model does not use.
        unknown: Vec<String>,
    },
    /// A tensor's shape contradicts the model's dimensions.
    #[error("tensor {tensor}: shape {found:?}, expected {expected:?}")]
    Shape {
        /// Its name.
        tensor: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape it must have.
        expected: Vec<usize>,
    },
    /// A tensor's type is none of F32, F16, BF16.
    #[error("tensor {tensor}: type {found}, expected F32, F16 or BF16")]
    Type {
        /// Its name.
        tensor: String,
        /// Its type.
        found: String,
    },
    /// A weight is NaN or infinite.
    #[error("tensor {tensor}: element {index} is {value}, expected a finite number")]
    NonFinite {
        /// Its name.
        tensor: String,
        /// Position in the flattened tensor.
        index: usize,
        /// The value.
        value: f32,
    },
    /// Neither the checkpoint nor the user says how images are prepared.
    #[error(
        "neither config.json nor preprocessor_config.json says {}, which no weight tells and classes depend on",
        missing.join(", ")
    )]
    Preprocessing {
        /// What is missing, of `mean`, `std`, `crop`, `interpolation`.
        missing: Vec<&'static str>,
    },
    /// Neither the files nor the user say what the model is.
    #[error("its files do not say {what}")]
    Unstated {
        /// What is missing.
        what: &'static str,
        /// The option, or the file, that says it.
        option: &'static str,
    },
    /// The kernels do not run this kind of model.
    #[error("unsupported model: {0}")]
    Unsupported(String),
    /// The dimensions do not fit together, or exceed a limit.
    #[error(transparent)]
    Model(#[from] mergevit_runtime::ConfigError),
}

impl Defect {
    /// What the user can try, if anything.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io { .. } => Some(
                "a checkpoint is a folder with model.safetensors and config.json, or the file beside its \
                 config.json",
            ),
            Self::Preprocessing { .. } => Some(
                "the model's card or training code says it; state it with --mean, --std, --crop and \
                 --interpolation, or name a recipe: --preprocessing imagenet, inception or clip",
            ),
            Self::Unstated {
                option: "--architecture",
                ..
            } => Some(
                "name it with --architecture, as in vit_base_patch16_224 (timm), vit_b_16 (torchvision) or ViT-B-32 \
                 (open_clip), or put the config.json beside the weights",
            ),
            Self::Unstated {
                option: "--image-size",
                ..
            } => Some("state it with --image-size"),
            Self::Unstated { .. } => {
                Some("put the config.json that the library wrote beside the weights")
            }
            Self::Instead { others, .. } => Some(match others {
                Others::Shards => {
                    "join the shards in Python: from transformers import AutoModelForImageClassification as M; \
                     M.from_pretrained('OLD').save_pretrained('NEW', max_shard_size='100GB')"
                }
                Others::Pickle => {
                    "convert it in Python: from safetensors.torch import save_file; import torch; \
                     save_file(torch.load('pytorch_model.bin', weights_only=True), 'model.safetensors')"
                }
            }),
            Self::Foreign { advice, .. } => Some(advice),
            Self::Cut { .. } | Self::Format(_) => Some("copy or download the file again"),
            Self::Naming { .. } => {
                Some("export the model from timm, transformers, torchvision or open_clip")
            }
            Self::Names { .. } | Self::Shape { .. } => Some(
                "the file must hold all tensors of one model, and nothing else, such as an optimizer",
            ),
            Self::Type { .. } => Some("convert the tensors to float32 and save the model again"),
            Self::NonFinite { .. } => Some("the training diverged or the file is damaged"),
            Self::Config { .. } => {
                Some("the field contradicts the weights or is not supported; correct the file")
            }
            Self::Unsupported(_) | Self::Model(_) => None,
        }
    }

    /// Whether the file with the tensors is at fault.
    pub(super) fn is_in_weights(&self) -> bool {
        match self {
            Self::Format(_)
            | Self::Foreign { .. }
            | Self::Cut { .. }
            | Self::Naming { .. }
            | Self::Names { .. }
            | Self::Shape { .. }
            | Self::Type { .. }
            | Self::NonFinite { .. } => true,
            Self::Io { .. }
            | Self::Instead { .. }
            | Self::Config { .. }
            | Self::Preprocessing { .. }
            | Self::Unstated { .. }
            | Self::Unsupported(_)
            | Self::Model(_) => false,
        }
    }
}

fn names(missing: &[String], unknown: &[String]) -> String {
    let list = |what: &str, names: &[String]| match names.len() {
        0 => None,
        n => Some(format!("{n} {what}: {}", names.join(", "))),
    };
    [
        list("missing tensors", missing),
        list("unknown tensors", unknown),
    ]
    .into_iter()
    .flatten()
    .collect::<Vec<_>>()
    .join("; ")
}
