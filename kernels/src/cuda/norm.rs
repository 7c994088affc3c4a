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

/// Which rows a kernel is compiled for: the narrower they are, the fewer registers hold one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RowWidth {
    /// At most 1024 elements, all of which count.
    Narrow,
    /// Any number: up to 2048 that all count are held in registers.
    Wide,
}

impl RowWidth {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Narrow, Self::Wide];

    /// Longest row that a warp holds in registers.
    const fn registers(self) -> u32 {
        match self {
            Self::Narrow => 1024,
            Self::Wide => 2048,
        }
    }
}

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

    /// Which kernels take such rows.
    pub(super) const fn row_width(&self) -> RowWidth {
        if self.fits(RowWidth::Narrow) {
            RowWidth::Narrow
        } else {
            RowWidth::Wide
        }
    }

    /// Whether a row stays in registers, from which it is read twice.
    pub(super) const fn fits_registers(&self) -> bool {
        self.fits(RowWidth::Wide)
    }

    /// `Row::fits` of `norm.cuh`.
    const fn fits(&self, width: RowWidth) -> bool {
        self.width <= width.registers() && self.count == self.width
    }
}
