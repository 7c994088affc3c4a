//! A trained Vision Transformer in full precision, whatever naming its file uses.

use mergevit_runtime::ModelConfig;

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
