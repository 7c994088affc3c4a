//! Random operands for the equality tests, from one seed, awkward values included.

#![allow(dead_code, missing_docs, unreachable_pub)]

pub mod checks;

use half::f16;
use mergevit_kernels::ops::{LinearWeights, row_sums};

/// SplitMix64 (Steele, Lea, Flood 2014).
pub struct Random(pub u64);

impl Random {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.bits() % n as u64) as usize
    }

    /// Uniform in [-1, 1].
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// i8 with the extremes over-represented; -128 only where `full`.
    pub fn i8(&mut self, full: bool) -> i8 {
        match self.below(8) {
            0 => 127,
            1 if full => -128,
            1 => -127,
            2 => 0,
            _ => (self.bits() as i8).max(if full { -128 } else { -127 }),
        }
    }

    pub fn i8s(&mut self, n: usize, full: bool) -> Vec<i8> {
        (0..n).map(|_| self.i8(full)).collect()
    }

    pub fn f32s(&mut self, n: usize, magnitude: f32) -> Vec<f32> {
        (0..n).map(|_| self.unit() * magnitude).collect()
    }

    pub fn f16s(&mut self, n: usize, magnitude: f32) -> Vec<f16> {
        (0..n)
            .map(|_| {
                // One in fifty is an outlier, as in the residual stream of a real model.
                let spike = if self.below(50) == 0 { 40.0 } else { 1.0 };
                f16::from_f32(self.unit() * magnitude * spike)
            })
            .collect()
    }
}

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

/// Bits of f16 values, so that `==` tells -0 from 0 and NaN from NaN.
pub fn bits(values: &[f16]) -> Vec<u16> {
    values.iter().map(|v| v.to_bits()).collect()
}
