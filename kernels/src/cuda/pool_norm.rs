//! Pooling, with the last layer norm: `pool_norm.cu`.

use super::address::{Accesses, Address};
use super::kernel::Kernel;
use super::launch::Launch;
use super::params::{Params, params};
use super::work;

params! {
    /// `pool_norm.cu`
    PoolNormParams {
        /// (B, T, C) f16
        residual: Address,
        /// (B, T) u32
        sizes: Address,
        /// (C) f32
        gain: Address,
        /// (C) f32
        bias: Address,
        /// (B, C) f16
        pooled: Address,
        /// (B, C) i8
        high: Address,
        /// (B, C) i8
        low: Address,
        /// T
        tokens: u32,
        /// C
        width: u32,
        /// 1 if token 0 is a class token, else 0
        class_token: u32,
        /// 1 for the mean, 0 for row 0
        mean: u32,
        /// Added to the variance
        epsilon: f32,
        /// Unused
        padding: u32,
    }
}

impl Params for PoolNormParams {
    fn accesses(&self, _: Kernel, [batch, _, _]: [u32; 3]) -> Accesses {
        let (batch, tokens, width) = (batch as usize, self.tokens as usize, self.width as usize);
        Accesses::new()
            .read(self.residual, 2 * batch * tokens * width)
            .read(self.sizes, 4 * batch * tokens)
            .read(self.gain, 4 * width)
            .read(self.bias, 4 * width)
            .write(self.pooled, 2 * batch * width)
            .write(self.high, batch * width)
            .write(self.low, batch * width)
    }
}

/// Pools `batch` images and normalizes the results to 16 bits.
pub fn pool_norm(batch: u32, params: &PoolNormParams) -> Launch {
    let work = work::pool_norm(batch, params.tokens * params.mean, params.width);
    Launch::new(Kernel::PoolNorm, [batch, 1, 1], 256, 0, params).with_work(work)
}
