//! The places where a pack rounds.

use serde::Serialize;

/// A place where integers or halves take the place of real numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Quantizer {
    /// Weights of the patch embedding.
    PatchWeights,
    /// The residual stream, in halves.
    Residual,
    /// Output of the first norm.
    Norm1,
    /// Weights of queries, keys and values.
    QkvWeights,
    /// Queries.
    Query,
    /// Keys.
    Key,
    /// Values.
    Value,
    /// Attention's weights, the softmax.
    AttentionWeights,
    /// Attention's output.
    Context,
    /// Weights of the projection after attention.
    ProjectionWeights,
    /// Output of the second norm.
    Norm2,
    /// Weights of the MLP's first layer.
    Fc1Weights,
    /// The MLP's hidden channels.
    Hidden,
    /// Weights of the MLP's second layer.
    Fc2Weights,
    /// All of the pooling that attends.
    Pooling,
    /// The classifier's input.
    ClassifierInput,
    /// The classifier's weights.
    ClassifierWeights,
}

impl Quantizer {
    /// All of them, in the order of computation.
    pub const ALL: [Self; 17] = [
        Self::PatchWeights,
        Self::Residual,
        Self::Norm1,
        Self::QkvWeights,
        Self::Query,
        Self::Key,
        Self::Value,
        Self::AttentionWeights,
        Self::Context,
        Self::ProjectionWeights,
        Self::Norm2,
        Self::Fc1Weights,
        Self::Hidden,
        Self::Fc2Weights,
        Self::Pooling,
        Self::ClassifierInput,
        Self::ClassifierWeights,
    ];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::PatchWeights => "patch embedding's weights",
            Self::Residual => "residual stream (16 bits)",
            Self::Norm1 => "first norm's output",
            Self::QkvWeights => "query, key and value weights",
            Self::Query => "queries",
            Self::Key => "keys",
            Self::Value => "values",
            Self::AttentionWeights => "attention weights (softmax)",
            Self::Context => "attention's output",
            Self::ProjectionWeights => "projection's weights",
            Self::Norm2 => "second norm's output",
            Self::Fc1Weights => "MLP's first weights",
            Self::Hidden => "MLP's hidden channels",
            Self::Fc2Weights => "MLP's second weights",
            Self::Pooling => "attention pooling",
            Self::ClassifierInput => "classifier's input (16 bits)",
            Self::ClassifierWeights => "classifier's weights",
        }
    }
}

/// What is not rounded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Everything is.
    Nothing,
    /// One quantizer, in all layers.
    Quantizer(Quantizer),
    /// All quantizers of one layer.
    Layer(usize),
    /// Nothing is.
    Everything,
}

impl LeftOut {
    /// Whether it has this quantizer of this layer, or of what is outside of layers.
    pub(super) fn has(self, quantizer: Quantizer, layer: Option<usize>) -> bool {
        match self {
            Self::Nothing => false,
            Self::Quantizer(own) => own == quantizer,
            Self::Layer(own) => layer == Some(own),
            Self::Everything => true,
        }
    }
}
