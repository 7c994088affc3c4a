//! Reproducible random numbers, for the tests of all crates and for random models. No part of the public interface.

use half::f16;

/// SplitMix64 (Steele, Lea, Flood, OOPSLA 2014), from a seed.
#[derive(Clone, Debug)]
pub struct Random(pub u64);

impl Random {
    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// An integer below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// Uniform in [-1, 1).
    pub fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }

    /// `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.bits() as u8).collect()
    }

    /// An i8, the extremes more often than others; -128 only where `full`.
    pub fn i8(&mut self, full: bool) -> i8 {
        match self.below(8) {
            0 => 127,
            1 if full => -128,
            1 => -127,
            2 => 0,
            _ => (self.bits() as i8).max(if full { -128 } else { -127 }),
        }
    }

    /// `len` values as of [`Self::i8`].
    pub fn i8s(&mut self, len: usize, full: bool) -> Vec<i8> {
        (0..len).map(|_| self.i8(full)).collect()
    }

    /// `len` values, uniform in ±`magnitude`.
    pub fn f32s(&mut self, len: usize, magnitude: f32) -> Vec<f32> {
        (0..len).map(|_| self.unit() * magnitude).collect()
    }

    /// `len` values in ±`magnitude`, one in fifty of them an outlier, as in the residual stream of a real model.
    pub fn f16s(&mut self, len: usize, magnitude: f32) -> Vec<f16> {
        let value = |_| {
            let spike = if self.below(50) == 0 { 40.0 } else { 1.0 };
            f16::from_f32(self.unit() * magnitude * spike)
        };
        (0..len).map(value).collect()
    }
}
