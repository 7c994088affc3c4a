//! Pooling, with the last norm: `pool_norm.cu`.

use super::address::{Accesses, Address};
use super::kernel::Kernel;
use super::launch::Launch;
use super::norm::NormParams;
use super::params::{Params, params};
use super::work;
use crate::ops::{Pool, Pooling};

params! {
    /// `pool_norm.cu`
    PoolNormParams {
        /// (B, T, C) f16
        residual: Address,
        /// (B, T) u32
        sizes: Address,
        /// (B, pooled) f16
        pooled: Address,
        /// (B, pooled) i8, unless `real`; null if nothing is normalized
        high: Address,
        /// (B, pooled) i8, likewise
        low: Address,
        /// (B, pooled) f32, or null
        real: Address,
        /// What each part of L elements of the pooled vector is normalized by
        norm: NormParams,
        /// T
        tokens: u32,
        /// C
        width: u32,
        /// Elements of the first rows that are taken over
        copied: u32,
        /// The first row of the mean
        first: u32,
        /// `copied`, or C more for the mean
        pooled_width: u32,
        /// Unused
        padding: u32,
    }
}

impl PoolNormParams {
    /// These with what is pooled.
    #[must_use]
    pub const fn with_shape(self, shape: &Pool) -> Self {
        let (rows, first) = match shape.pooling {
            Pooling::First(rows) => (rows, 0),
            Pooling::Mean { first } => (0, first),
            Pooling::FirstAndMean { first } => (1, first),
        };
        Self {
            tokens: shape.tokens as u32,
            width: shape.width as u32,
            copied: (rows * shape.width) as u32,
            first: first as u32,
            pooled_width: shape.pooled_width() as u32,
            ..self
        }
    }
}

impl PoolNormParams {
    /// Whether a norm follows.
    pub(super) fn normalizes(&self) -> bool {
        self.real != Address::NULL || self.high != Address::NULL
    }
}

impl Params for PoolNormParams {
    fn accesses(&self, _: Kernel, [batch, _, _]: [u32; 3]) -> Accesses {
        let (batch, tokens, width) = (batch as usize, self.tokens as usize, self.width as usize);
        let pooled = batch * self.pooled_width as usize;
        let accesses = Accesses::new()
            .read(self.residual, 2 * batch * tokens * width)
            .read(self.sizes, 4 * batch * tokens)
            .write(self.pooled, 2 * pooled);
        if !self.normalizes() {
            return accesses;
        }
        let accesses = self.norm.read(accesses);
        match self.real {
            Address::NULL => accesses.write(self.high, pooled).write(self.low, pooled),
            real => accesses.write(real, 4 * pooled),
        }
    }
}

/// Pools `batch` images and normalizes the results to 16 bits, or to f32; with neither place, it only pools.
///
/// # Panics
/// If the pooled vector is no whole number of the norm's rows.
pub fn pool_norm(batch: u32, params: &PoolNormParams) -> Launch {
    assert!(!params.normalizes() || params.pooled_width.is_multiple_of(params.norm.width));
    let work = work::pool_norm(batch, params);
    Launch::new(Kernel::PoolNorm, [batch, 1, 1], 256, 0, params).with_work(work)
}
