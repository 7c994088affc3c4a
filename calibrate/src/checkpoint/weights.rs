//! A model's weights in one canonical layout, whatever its file looked like.

/// Every tensor of a model, f32, row-major. C channels, F channels in the MLP, T tokens, p patch size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    /// (C, 3, p, p)
    pub patch_weight: Vec<f32>,
    /// (C)
    pub patch_bias: Vec<f32>,
    /// (T, C) position embedding; row 0 includes the class token if the model has one.
    pub position: Vec<f32>,
    /// The encoder layers, first to last.
    pub blocks: Vec<Block>,
    /// (C) gamma of the last layer norm.
    pub final_norm_gain: Vec<f32>,
    /// (C) beta of the last layer norm.
    pub final_norm_bias: Vec<f32>,
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
