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

/// A set of tensors that a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// What names it: the keys that lead to it, or what its names start with.
    pub key: String,
    /// Tensors in it that weights could be.
    pub tensors: usize,
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
    /// A file of weights could not be read.
    #[error("{0}")]
    Unread(#[source] std::io::Error),
    /// A folder has no weights under a known name.
    #[error("no model.safetensors, pytorch_model.bin or index of one; there is {found}")]
    Folder {
        /// What it has instead.
        found: String,
        /// What to do about it.
        advice: &'static str,
    },
    /// The file is one of several that make a model.
    #[error("it is one of {shards} shards, and a model needs all of them")]
    Shard {
        /// How many there are.
        shards: usize,
    },
    /// A shard is not there.
    #[error("{index} names this shard, and it is not there")]
    NoShard {
        /// Name of the index.
        index: String,
    },
    /// The index of the shards is wrong, or contradicts them.
    #[error("{0}")]
    Index(String),
    /// Two tensors have one name.
    #[error("two tensors are named {0}")]
    Twice(String),
    /// The file has several sets of tensors that could be meant.
    #[error("it has several sets of weights: {}", listed(.0))]
    Choice(Vec<Candidate>),
    /// The file has no weights where the user says.
    #[error("it has no weights at {}; there are: {}", key.escape_debug(), listed(found))]
    Key {
        /// Where the user says.
        key: String,
        /// What there is.
        found: Vec<Candidate>,
    },
    /// The pickle of a PyTorch file refers to code, and none of it is run.
    #[error("its pickle needs {0}, which is code and no tensor; nothing in it was run")]
    Code(String),
    /// The pickle of a PyTorch file is damaged, or holds no tensors.
    #[error("its pickle is not one of tensors: {0}")]
    Pickle(String),
    /// A PyTorch file is damaged.
    #[error("not a whole PyTorch file: {0}")]
    Archive(String),
    /// The weights are a file of another kind.
    #[error("{found}, expected a safetensors file, or one that torch.save writes")]
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
    /// A tensor's type is none of F32, F16, BF16, F64.
    #[error("tensor {tensor}: type {found}, expected F32, F16, BF16 or F64")]
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
            Self::Io { .. } => Some("the file belongs to the checkpoint; correct it, or remove it"),
            Self::Unread(_) => Some(
                "a checkpoint is a folder with model.safetensors or pytorch_model.bin and config.json, or the file \
                 beside its config.json",
            ),
            Self::Shard { .. } => Some("give the folder, or the file that ends with .index.json"),
            Self::NoShard { .. } => {
                Some("copy or download this file too, into the folder of the index")
            }
            Self::Index(_) => {
                Some("copy or download the index and all shards again, from one place")
            }
            Self::Twice(_) => Some("save the model again"),
            Self::Choice(_) => Some(
                "say which with --weights-key NAME; an average over time (EMA) is often the better one, and the \
                 model's author says which was evaluated",
            ),
            Self::Key { .. } => Some("give one of these names to --weights-key"),
            Self::Code(_) => Some(
                "if you trust the file, save its tensors alone, in Python: import torch; \
                 m = torch.load('OLD', weights_only=False); torch.save(m.state_dict(), 'NEW'), or \
                 torch.save(m['state_dict'], 'NEW') if m is a dictionary",
            ),
            Self::Pickle(_) => {
                Some("save the tensors alone, in Python: torch.save(model.state_dict(), 'NEW')")
            }
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
            Self::Foreign { advice, .. } | Self::Folder { advice, .. } => Some(advice),
            Self::Cut { .. } | Self::Format(_) | Self::Archive(_) => {
                Some("copy or download the file again")
            }
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
            Self::Unread(_)
            | Self::Folder { .. }
            | Self::Shard { .. }
            | Self::NoShard { .. }
            | Self::Index(_)
            | Self::Twice(_)
            | Self::Choice(_)
            | Self::Key { .. }
            | Self::Code(_)
            | Self::Pickle(_)
            | Self::Archive(_)
            | Self::Format(_)
            | Self::Foreign { .. }
            | Self::Cut { .. }
            | Self::Naming { .. }
            | Self::Names { .. }
            | Self::Shape { .. }
            | Self::Type { .. }
            | Self::NonFinite { .. } => true,
            Self::Io { .. }
            | Self::Config { .. }
            | Self::Preprocessing { .. }
            | Self::Unstated { .. }
            | Self::Unsupported(_)
            | Self::Model(_) => false,
        }
    }
}

/// The most sets of tensors that a message names.
const MAX_LISTED: usize = 12;

fn listed(found: &[Candidate]) -> String {
    let one = |found: &Candidate| {
        let key = found.key.escape_debug();
        format!("{key} ({} tensors)", found.tensors)
    };
    if found.is_empty() {
        return "none".into();
    }
    let mut list: Vec<String> = found.iter().take(MAX_LISTED).map(one).collect();
    if found.len() > MAX_LISTED {
        list.push(format!("{} more", found.len() - MAX_LISTED));
    }
    list.join(", ")
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
