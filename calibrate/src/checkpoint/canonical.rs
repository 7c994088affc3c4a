//! Stand-in for the canonical weights.

#[derive(Clone, Debug, Default, PartialEq)]
pub struct NormWeights {
    pub gain: Vec<f32>,
    pub bias: Vec<f32>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AttentionPoolingWeights {
    pub query: Vec<f32>,
    pub key_value_weight: Vec<f32>,
    pub key_value_bias: Vec<f32>,
    pub proj_weight: Vec<f32>,
    pub proj_bias: Vec<f32>,
    pub norm: NormWeights,
    pub fc1_weight: Vec<f32>,
    pub fc1_bias: Vec<f32>,
    pub fc2_weight: Vec<f32>,
    pub fc2_bias: Vec<f32>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    pub patch_weight: Vec<f32>,
    pub patch_bias: Vec<f32>,
    pub position: Vec<f32>,
    pub pre_norm: Option<NormWeights>,
    pub rotary: Vec<f64>,
    pub blocks: Vec<Block>,
    pub token_norm: Option<NormWeights>,
    pub pooling: Option<AttentionPoolingWeights>,
    pub final_norm: Option<NormWeights>,
    pub head_weight: Vec<f32>,
    pub head_bias: Vec<f32>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Block {
    pub norm1: NormWeights,
    pub qkv_weight: Vec<f32>,
    pub qkv_bias: Vec<f32>,
    pub rotary: Vec<f64>,
    pub proj_weight: Vec<f32>,
    pub proj_bias: Vec<f32>,
    pub norm2: NormWeights,
    pub fc1_weight: Vec<f32>,
    pub fc1_bias: Vec<f32>,
    pub inner_norm: Option<NormWeights>,
    pub fc2_weight: Vec<f32>,
    pub fc2_bias: Vec<f32>,
}
