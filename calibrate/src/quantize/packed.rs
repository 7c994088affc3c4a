//! What a pack holds of a model, as the quantizer makes it.

use super::columns::Columns;
use super::weights::QuantizedLinear;
use crate::checkpoint::Affine;

/// A norm with the next layer's input quantization folded in.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedNorm {
    /// (C) gamma, in the next layer's steps.
    pub gain: Vec<f32>,
    /// (C) beta, in the next layer's steps.
    pub bias: Vec<f32>,
}

/// A linear layer in the units of its epilogue.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedLinear {
    /// (N, K) integers.
    pub weight: Vec<i8>,
    /// (N) factor of each integer sum.
    pub scale: Vec<f32>,
    /// (N) added after the scale.
    pub bias: Vec<f32>,
}

/// Tensors of an encoder layer as a pack holds them, and the scales behind them.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedLayer {
    /// Before attention.
    pub norm1: PackedNorm,
    /// Queries, keys and values, in steps of their own.
    pub qkv: PackedLinear,
    /// (H D / 2, 3) frequencies of this layer's heads, if it has its own.
    pub rotary: Vec<f32>,
    /// (H) factor from integer scores to units of log2.
    pub score_scale: Vec<f32>,
    /// (H) factor from steps of the values to steps of the context.
    pub context_scale: Vec<f32>,
    /// In real units.
    pub proj: PackedLinear,
    /// Before the MLP.
    pub norm2: PackedNorm,
    /// In real units; with a gate and no norm behind it, the values' rows are in steps of the hidden channels.
    pub fc1: PackedLinear,
    /// (2, F) without a gate: one over the steps of the hidden channels, then their zero points.
    pub hidden: Option<Vec<f32>>,
    /// Inside a gated MLP.
    pub inner_norm: Option<PackedNorm>,
    /// In real units.
    pub fc2: PackedLinear,
    /// (H) real value of one step of the queries.
    pub query_step: Vec<f32>,
    /// Real value of one step of the keys.
    pub key_step: f32,
}

impl From<&Affine> for PackedNorm {
    /// A norm whose output stays in real units.
    fn from(affine: &Affine) -> Self {
        Self {
            gain: affine.gain.clone(),
            bias: affine.bias.clone(),
        }
    }
}

impl PackedNorm {
    /// Folds the quantization of the norm's output into its affine.
    pub(super) fn fold(affine: &Affine, columns: &Columns) -> Self {
        let channels = || columns.step.iter().zip(&columns.shift);
        let gain = affine.gain.iter().zip(&columns.step);
        let bias = affine.bias.iter().zip(channels());
        Self {
            gain: gain
                .map(|(&g, step)| (f64::from(g) / step) as f32)
                .collect(),
            bias: bias
                .map(|(&b, (step, shift))| ((f64::from(b) - shift) / step) as f32)
                .collect(),
        }
    }
}

impl PackedLinear {
    /// A layer whose epilogue works in real units.
    pub(super) fn real(linear: QuantizedLinear) -> Self {
        Self {
            weight: linear.data,
            scale: linear.scale.iter().map(|&scale| scale as f32).collect(),
            bias: linear.bias.iter().map(|&bias| bias as f32).collect(),
        }
    }

    /// A layer whose epilogue requantizes: output n becomes `(y - shift[n]) / step[n]`.
    pub(super) fn requantized(linear: QuantizedLinear, step: &[f64], shift: &[f64]) -> Self {
        let scale = linear.scale.iter().zip(step);
        let bias = linear.bias.iter().zip(step.iter().zip(shift));
        Self {
            scale: scale.map(|(scale, step)| (scale / step) as f32).collect(),
            bias: bias
                .map(|(bias, (step, shift))| ((bias - shift) / step) as f32)
                .collect(),
            weight: linear.data,
        }
    }
}

/// Tensors of the pooling that attends.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedPooling {
    /// (A) integers.
    pub query: Vec<i8>,
    /// Keys and values, in steps of their own.
    pub key_value: PackedLinear,
    /// (H) factor from integer scores to units of log2.
    pub score_scale: Vec<f32>,
    /// (H) factor from steps of the values to steps of the context.
    pub context_scale: Vec<f32>,
    /// In real units.
    pub proj: PackedLinear,
    /// Before the MLP.
    pub norm: PackedNorm,
    /// In real units.
    pub fc1: PackedLinear,
    /// (2, F) one over the steps of the hidden channels, then their zero points.
    pub hidden: Vec<f32>,
    /// In real units.
    pub fc2: PackedLinear,
}

/// Every tensor of a pack.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedModel {
    /// (C, K) with K padded to a multiple of 64, columns in (y, x, colour) order.
    pub patch: PackedLinear,
    /// (T, C) prefix tokens and position embedding, in real units.
    pub position: Vec<f32>,
    /// (12) the activation: limit, map, polynomial.
    pub activation: Vec<f32>,
    /// Before the first layer, in real units.
    pub pre_norm: Option<PackedNorm>,
    /// (D / 2, 3) frequencies that all heads share.
    pub rotary: Vec<f32>,
    /// One per layer.
    pub layers: Vec<PackedLayer>,
    /// Of all tokens before pooling: in real units, or in steps of the pooling's input.
    pub token_norm: Option<PackedNorm>,
    /// The pooling that attends.
    pub pooling: Option<PackedPooling>,
    /// In steps of the classifier's 16-bit input, or without one in real units.
    pub final_norm: PackedNorm,
    /// (classes, pooled width) the classifier.
    pub head: Option<PackedLinear>,
}
