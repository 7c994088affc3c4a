//! What a model family says of one file: what no tensor tells, and what the file calls each tensor.
//!
//! A family decides which tensors there are by the first layer alone; a layer that lacks one of them is then
//! an error, and not a model of another kind.

use super::tensors::Tensors;
use mergevit_runtime::{ActivationName, Normalization, OutputKind, Pooling, ScoreKind};

/// A model without its tensors: a family fills it in, `assemble` does the rest.
#[derive(Clone, Debug)]
pub(super) struct Anatomy {
    pub(super) facts: Facts,
    pub(super) names: Names,
}

/// What neither the names nor the shapes of tensors tell.
#[derive(Clone, Debug)]
pub(super) struct Facts {
    /// The model's name, for people.
    pub(super) architecture: String,
    pub(super) heads: usize,
    /// Of every norm.
    pub(super) epsilon: f32,
    pub(super) activation: ActivationName,
    pub(super) norm: Normalization,
    pub(super) rotary: Option<Rotary>,
    /// How the library resamples the position table for another image size.
    pub(super) resampling: Resampling,
    pub(super) pooling: Pooling,
    /// What a head's outputs are; without a head they are an embedding.
    pub(super) output: OutputKind,
    /// What its scores say of classes.
    pub(super) score_kind: ScoreKind,
}

/// Filters for the position table, all with half-pixel centres unless they say otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Resampling {
    /// PyTorch's antialiased bicubic (a = -0.5).
    Bicubic,
    /// PyTorch's bicubic (a = -0.75).
    BicubicAliased,
    /// PyTorch's antialiased bilinear.
    BilinearAntialiased,
    /// PyTorch's bilinear.
    Bilinear,
    /// The same with `align_corners`.
    BilinearCorners,
}

/// Angles of rotary positions (Su et al., arXiv 2104.09864, along both axes of the image).
#[derive(Clone, Debug, PartialEq, serde::Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub(super) enum Rotary {
    /// Patch numbers, from `offset`, in units of the grid that had `reference` patches a side.
    Index {
        temperature: f64,
        #[serde(default)]
        offset: f64,
        #[serde(default)]
        reference: Option<usize>,
        #[serde(default)]
        x_first: bool,
        #[serde(default)]
        halves: bool,
    },
    /// Centres of patches from -1 to 1.
    Centred {
        temperature: f64,
        #[serde(default)]
        offset: f64,
        #[serde(default)]
        x_first: bool,
        #[serde(default)]
        halves: bool,
    },
    /// Learned frequencies of each layer and head, in the tensor of this name.
    Mixed {
        #[serde(default = "Rotary::learned")]
        tensor: String,
        #[serde(default)]
        x_first: bool,
    },
}

impl Rotary {
    fn learned() -> String {
        "rope.freqs".into()
    }

    /// Whether a pair is a channel of the first half of a head and one of the second; else neighbours.
    pub(super) fn halves(&self) -> bool {
        match self {
            Self::Index { halves, .. } | Self::Centred { halves, .. } => *halves,
            Self::Mixed { .. } => false,
        }
    }
}

/// Names of a matrix and its bias, absent where the model has none.
#[derive(Clone, Debug)]
pub(super) struct Linear {
    pub(super) weight: String,
    pub(super) bias: Option<String>,
}

impl Linear {
    /// `base.weight`, and `base.bias` if `tensors` have it after `first`, which is before the name of the first
    /// of several such matrices.
    pub(super) fn find(tensors: &Tensors<'_>, first: &str, base: &str) -> Self {
        let bias = format!("{base}.bias");
        Self {
            weight: format!("{base}.weight"),
            bias: tensors.has(&format!("{first}{bias}")).then_some(bias),
        }
    }
}

/// Queries, keys and values.
#[derive(Clone, Debug)]
pub(super) enum Qkv {
    /// One matrix; the bias in one vector.
    Fused(Linear),
    /// One matrix; a bias of queries and one of values.
    FusedOddBias {
        weight: String,
        query: String,
        value: String,
    },
    /// Three matrices.
    Split([Linear; 3]),
}

/// The MLP.
#[derive(Clone, Debug)]
pub(super) enum Mlp {
    /// Activation of one product.
    Plain { fc1: Linear, fc2: Linear },
    /// Activated gate times value, the gate in the first half of one matrix.
    Packed {
        fc1: Linear,
        norm: Option<String>,
        fc2: Linear,
    },
    /// The same with two matrices.
    Split {
        gate: Linear,
        value: Linear,
        norm: Option<String>,
        fc2: Linear,
    },
}

/// Names inside a layer, after [`Names::layer`].
#[derive(Clone, Debug)]
pub(super) struct LayerNames {
    pub(super) norm1: String,
    pub(super) qkv: Qkv,
    pub(super) proj: Linear,
    /// LayerScale (Touvron et al., arXiv 2103.17239) after attention.
    pub(super) scale1: Option<String>,
    pub(super) norm2: String,
    pub(super) mlp: Mlp,
    /// LayerScale after the MLP.
    pub(super) scale2: Option<String>,
}

/// Names of an attention pooling.
#[derive(Clone, Debug)]
pub(super) struct PoolingNames {
    pub(super) heads: usize,
    /// The learned token.
    pub(super) latent: String,
    pub(super) attention: PoolingQkv,
    pub(super) proj: Linear,
    pub(super) norm: String,
    pub(super) fc1: Linear,
    pub(super) fc2: Linear,
}

/// Queries, keys and values of an attention pooling.
#[derive(Clone, Debug)]
pub(super) enum PoolingQkv {
    /// One matrix (PyTorch's `MultiheadAttention`).
    Fused(Linear),
    /// A matrix of queries, another of keys and values.
    Query { query: Linear, key_value: Linear },
}

/// The classifier or projection.
#[derive(Clone, Debug)]
pub(super) enum Head {
    /// The pooled vector is the output.
    None,
    /// (classes, channels)
    Linear(Linear),
    /// Two classifiers whose outputs are averaged: of the class token and of the distillation token.
    Averaged([Linear; 2]),
    /// (channels, classes), without a bias.
    Transposed(String),
}

/// What the file calls the tensors.
#[derive(Clone, Debug)]
pub(super) struct Names {
    pub(super) patch: Linear,
    /// Side of a patch, where its weight is a matrix (channels, side, side, colours) and not a convolution's.
    pub(super) patch_side: Option<usize>,
    /// Tokens before the patches, in order; a tensor may hold several.
    pub(super) prefix: Vec<String>,
    pub(super) position: Option<Position>,
    pub(super) pre_norm: Option<String>,
    /// What names of a layer's tensors start with, `{}` standing for the layer's number.
    pub(super) layer: String,
    pub(super) block: LayerNames,
    /// Norm of all tokens before the pooling.
    pub(super) token_norm: Option<String>,
    pub(super) pooling: Option<PoolingNames>,
    /// Norm after the pooling.
    pub(super) final_norm: Option<String>,
    pub(super) head: Head,
    /// What the names of the model's own tensors start with: others are ignored, these must all have a meaning.
    pub(super) own: Vec<String>,
}

/// The position table.
#[derive(Clone, Debug)]
pub(super) struct Position {
    pub(super) name: String,
    pub(super) rows: PrefixRows,
}

/// Which of the tokens before the patches have a row in the position table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PrefixRows {
    All,
    None,
    /// The first alone.
    First,
}
