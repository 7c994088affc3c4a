//! A model's weights in one canonical layout, whatever its file looked like.
//!
//! What a pack pads, is padded here with zeros already: heads to their stored width, MLP channels to a multiple of
//! 64. What a pack interleaves, is interleaved: gates and values, and the two channels of a rotary pair.

/// Gain and bias of a norm, one a channel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Affine {
    /// gamma
    pub gain: Vec<f32>,
    /// beta; zeros where the model has none.
    pub bias: Vec<f32>,
}

/// Every tensor of a model, f32, row-major. C channels, A channels of all heads, D of one, F' channels in the MLP,
/// T tokens, p patch size; see [`ModelConfig`](mergevit_runtime::ModelConfig).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// (C, 3, p, p)
    pub patch_weight: Vec<f32>,
    /// (C)
    pub patch_bias: Vec<f32>,
    /// (T, C): the prefix's tokens with their positions, then the patches' positions.
    pub position: Vec<f32>,
    /// Before the first layer.
    pub pre_norm: Option<Affine>,
    /// (D / 2, 3) where all heads and layers turn alike: turns a row of patches, turns a column, turns at (0, 0).
    pub rotary: Vec<f64>,
    /// The encoder layers, first to last.
    pub blocks: Vec<Block>,
    /// Of all tokens, before they are pooled.
    pub token_norm: Option<Affine>,
    /// The pooling that attends.
    pub pooling: Option<PoolingWeights>,
    /// After pooling.
    pub final_norm: Option<Affine>,
    /// (classes, pooled width); empty without a head.
    pub head_weight: Vec<f32>,
    /// (classes)
    pub head_bias: Vec<f32>,
}

/// One encoder layer. LayerScale is folded into `proj` and `fc2`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    /// Before attention.
    pub norm1: Affine,
    /// (3A, C): queries, keys, values.
    pub qkv_weight: Vec<f32>,
    /// (3A)
    pub qkv_bias: Vec<f32>,
    /// (H D / 2, 3) where each head of each layer turns by itself; else empty.
    pub rotary: Vec<f64>,
    /// (C, A)
    pub proj_weight: Vec<f32>,
    /// (C)
    pub proj_bias: Vec<f32>,
    /// Before the MLP.
    pub norm2: Affine,
    /// (F', C), or (2 F', C): gates at even rows, values at odd ones.
    pub fc1_weight: Vec<f32>,
    /// (F') or (2 F')
    pub fc1_bias: Vec<f32>,
    /// (F') inside a gated MLP.
    pub inner_norm: Option<Affine>,
    /// (C, F')
    pub fc2_weight: Vec<f32>,
    /// (C)
    pub fc2_bias: Vec<f32>,
}

/// The pooling that attends: `x = proj(attention(query, tokens))`, then `x + fc2(activation(fc1(norm(x))))`.
/// A and F' are its own.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PoolingWeights {
    /// (A): the learned query behind its projection.
    pub query: Vec<f32>,
    /// (2A, C): keys, values.
    pub key_value_weight: Vec<f32>,
    /// (2A)
    pub key_value_bias: Vec<f32>,
    /// (C, A)
    pub proj_weight: Vec<f32>,
    /// (C)
    pub proj_bias: Vec<f32>,
    /// Before the MLP.
    pub norm: Affine,
    /// (F', C)
    pub fc1_weight: Vec<f32>,
    /// (F')
    pub fc1_bias: Vec<f32>,
    /// (C, F')
    pub fc2_weight: Vec<f32>,
    /// (C)
    pub fc2_bias: Vec<f32>,
}
