//! What a row is normalized by: the part of their parameters that `layer_norm.cu`, `merge_norm.cu` and `pool_norm.cu`
//! share, and what a row costs.

use super::address::{Accesses, Address};
use super::params::params;
use crate::ops::NormKind;

params! {
    /// `NormParams` of `norm.cuh`
    NormParams {
        /// (L) f32
        gain: Address,
        /// (L) f32
        bias: Address,
        /// L, a multiple of 64
        width: u32,
        /// Elements that take part in the sums; at most L
        count: u32,
        /// A [`NormKind`]
        kind: u32,
        /// Added to the variance
        epsilon: f32,
    }
}

/// Longest row that a warp holds in registers.
const REGISTER_WIDTH: u32 = 2048;

impl NormParams {
    /// These with a kind.
    pub const fn with_kind(self, kind: NormKind) -> Self {
        let kind = match kind {
            NormKind::Layer => 0,
            NormKind::Rms => 1,
            NormKind::None => 2,
        };
        Self { kind, ..self }
    }

    /// Adds what is read.
    pub(super) const fn read(&self, accesses: Accesses) -> Accesses {
        let bytes = size_of::<f32>() * self.width as usize;
        accesses.read(self.gain, bytes).read(self.bias, bytes)
    }

    /// Whether a row stays in registers, from which it is read twice: `fits_registers` of `norm.cuh`.
    pub(super) const fn fits_registers(&self) -> bool {
        self.width <= REGISTER_WIDTH && self.count == self.width
    }
}
