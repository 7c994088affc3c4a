//! The one list of a Vision Transformer's tensors: the shape of each, and what becomes of it.
//!
//! A model family only says what its files call them. `PatchWeight` here is `patch_weight` in
//! [`Weights`] and `TensorKind::PatchWeight` in a pack.

use super::weights::{Block, Weights};

/// Dimensions that the tensors' names and shapes give. The image size is not among them: only its grid is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Dimensions {
    pub(super) width: usize,
    pub(super) patch_size: usize,
    pub(super) mlp_width: usize,
    pub(super) classes: usize,
    /// Rows of the position embedding, with that of the class token.
    pub(super) tokens: usize,
    pub(super) depth: usize,
    pub(super) class_token: bool,
}

/// A tensor that a checkpoint may hold. Weights are assembled in this order, so a tensor that changes
/// another one comes after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tensor {
    PatchWeight,
    PatchBias,
    Position,
    ClassToken,
    Norm1Gain,
    Norm1Bias,
    /// Queries, keys and values in one matrix, or each in its own.
    QkvWeight,
    QkvBias,
    QueryWeight,
    QueryBias,
    KeyWeight,
    KeyBias,
    ValueWeight,
    ValueBias,
    ProjWeight,
    ProjBias,
    /// LayerScale (Touvron et al., arXiv 2103.17239) after attention.
    LayerScale1,
    Norm2Gain,
    Norm2Bias,
    Fc1Weight,
    Fc1Bias,
    Fc2Weight,
    Fc2Bias,
    /// LayerScale after the MLP.
    LayerScale2,
    FinalNormGain,
    FinalNormBias,
    HeadWeight,
    HeadBias,
}

/// Where a weight is kept: once in the model or once a layer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot {
    Model(fn(&mut Weights) -> &mut Vec<f32>),
    Layer(fn(&mut Block) -> &mut Vec<f32>),
}

impl Slot {
    /// The weight of layer `layer`, which a weight of the model ignores.
    pub(super) fn of(self, weights: &mut Weights, layer: usize) -> &mut Vec<f32> {
        match self {
            Self::Model(of) => of(weights),
            Self::Layer(of) => of(&mut weights.blocks[layer]),
        }
    }
}

/// What becomes of a tensor's values.
#[derive(Clone, Copy, Debug)]
pub(super) enum Transformation {
    /// They are the weight, or its next rows: so queries, keys and values become one matrix.
    Append(Slot),
    /// The same, and zeros if the file has no such tensor.
    AppendOrZeros(Slot),
    /// They are added to the weight's first row, if the file has the tensor.
    AddToFirstRow(Slot),
    /// They scale the outputs of a linear layer, if the file has the tensor.
    ScaleOutputs { weight: Slot, bias: Slot },
}

impl Tensor {
    /// The shape that the tensor must have in a file.
    ///
    /// `dimensions` must be those of a valid model, unless the tensor is one of those that they are read
    /// from: products of absurd dimensions overflow.
    pub(super) fn shape(self, dimensions: &Dimensions) -> Vec<usize> {
        let Dimensions {
            width,
            patch_size,
            mlp_width,
            classes,
            tokens,
            ..
        } = *dimensions;
        match self {
            Self::PatchWeight => vec![width, 3, patch_size, patch_size],
            Self::Position => vec![1, tokens, width],
            Self::ClassToken => vec![1, 1, width],
            Self::QkvWeight => vec![3 * width, width],
            Self::QkvBias => vec![3 * width],
            Self::QueryWeight | Self::KeyWeight | Self::ValueWeight | Self::ProjWeight => {
                vec![width, width]
            }
            Self::Fc1Weight => vec![mlp_width, width],
            Self::Fc1Bias => vec![mlp_width],
            Self::Fc2Weight => vec![width, mlp_width],
            Self::HeadWeight => vec![classes, width],
            Self::HeadBias => vec![classes],
            Self::PatchBias
            | Self::Norm1Gain
            | Self::Norm1Bias
            | Self::QueryBias
            | Self::KeyBias
            | Self::ValueBias
            | Self::ProjBias
            | Self::LayerScale1
            | Self::Norm2Gain
            | Self::Norm2Bias
            | Self::Fc2Bias
            | Self::LayerScale2
            | Self::FinalNormGain
            | Self::FinalNormBias => vec![width],
        }
    }

    /// What becomes of the tensor.
    pub(super) fn transformation(self) -> Transformation {
        use Slot::{Layer, Model};
        use Transformation::{AddToFirstRow, Append, AppendOrZeros, ScaleOutputs};
        match self {
            Self::PatchWeight => Append(Model(|w| &mut w.patch_weight)),
            Self::PatchBias => Append(Model(|w| &mut w.patch_bias)),
            Self::Position => Append(Model(|w| &mut w.position)),
            Self::ClassToken => AddToFirstRow(Model(|w| &mut w.position)),
            Self::Norm1Gain => Append(Layer(|b| &mut b.norm1_gain)),
            Self::Norm1Bias => Append(Layer(|b| &mut b.norm1_bias)),
            Self::QkvWeight | Self::QueryWeight | Self::KeyWeight | Self::ValueWeight => {
                Append(Layer(|b| &mut b.qkv_weight))
            }
            Self::QkvBias | Self::QueryBias | Self::KeyBias | Self::ValueBias => {
                AppendOrZeros(Layer(|b| &mut b.qkv_bias))
            }
            Self::ProjWeight => Append(Layer(|b| &mut b.proj_weight)),
            Self::ProjBias => Append(Layer(|b| &mut b.proj_bias)),
            Self::LayerScale1 => ScaleOutputs {
                weight: Layer(|b| &mut b.proj_weight),
                bias: Layer(|b| &mut b.proj_bias),
            },
            Self::Norm2Gain => Append(Layer(|b| &mut b.norm2_gain)),
            Self::Norm2Bias => Append(Layer(|b| &mut b.norm2_bias)),
            Self::Fc1Weight => Append(Layer(|b| &mut b.fc1_weight)),
            Self::Fc1Bias => Append(Layer(|b| &mut b.fc1_bias)),
            Self::Fc2Weight => Append(Layer(|b| &mut b.fc2_weight)),
            Self::Fc2Bias => Append(Layer(|b| &mut b.fc2_bias)),
            Self::LayerScale2 => ScaleOutputs {
                weight: Layer(|b| &mut b.fc2_weight),
                bias: Layer(|b| &mut b.fc2_bias),
            },
            Self::FinalNormGain => Append(Model(|w| &mut w.final_norm_gain)),
            Self::FinalNormBias => Append(Model(|w| &mut w.final_norm_bias)),
            Self::HeadWeight => Append(Model(|w| &mut w.head_weight)),
            Self::HeadBias => Append(Model(|w| &mut w.head_bias)),
        }
    }

    /// Whether a file must hold the tensor, if its family has it.
    pub(super) fn is_required(self) -> bool {
        matches!(self.transformation(), Transformation::Append(_))
    }
}
