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
    /// The kernels do not run this kind of model.
    #[error("unsupported model: {0}")]
    Unsupported(String),
    /// The dimensions do not fit together, or exceed a limit.
    #[error(transparent)]
    Model(#[from] mergevit_runtime::ConfigError),
}

impl Defect {
    /// Whether the file with the tensors is at fault.
    pub(super) fn is_in_weights(&self) -> bool {
        match self {
            Self::Format(_)
            | Self::Naming { .. }
            | Self::Names { .. }
            | Self::Shape { .. }
            | Self::Type { .. }
            | Self::NonFinite { .. } => true,
            Self::Io { .. } | Self::Config { .. } | Self::Unsupported(_) | Self::Model(_) => false,
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
