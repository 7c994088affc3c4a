//! What the equality tests share: operands and checks.

#![allow(dead_code, missing_docs, unreachable_pub, unused_imports)]

pub mod checks;

use mergevit_kernels::ops::{LinearWeights, row_sums};
use mergevit_kernels::testing::Random;

/// Owner of a linear layer's operands.
pub struct Weights {
    pub outputs: usize,
    pub inputs: usize,
    pub data: Vec<i8>,
    pub scale: Vec<f32>,
    pub bias: Vec<f32>,
    pub sums: Vec<i32>,
}

impl Weights {
    /// `scale` and `bias` are magnitudes; typical sums are some `1e3 sqrt(K)`.
    pub fn new(random: &mut Random, outputs: usize, inputs: usize, scale: f32, bias: f32) -> Self {
        let data = random.i8s(outputs * inputs, false);
        let sums = row_sums(&data, inputs).collect();
        let scale = random.f32s(outputs, scale);
        let bias = random.f32s(outputs, bias);
        Self {
            outputs,
            inputs,
            data,
            scale,
            bias,
            sums,
        }
    }

    pub fn view(&self) -> LinearWeights<'_> {
        LinearWeights {
            outputs: self.outputs,
            inputs: self.inputs,
            data: &self.data,
            scale: &self.scale,
            bias: &self.bias,
            sums: &self.sums,
        }
    }
}
