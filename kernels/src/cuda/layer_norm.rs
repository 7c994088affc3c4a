//! Layer norm: `layer_norm.cu`.

use super::address::{Accesses, Address};
use super::kernel::Kernel;
use super::launch::Launch;
use super::params::{Params, params};
use super::work;

params! {
    /// `layer_norm.cu`
    LayerNormParams {
        /// (M, C) f16
        input: Address,
        /// (C) f32
        gain: Address,
        /// (C) f32
        bias: Address,
        /// (M, C) i8
        output: Address,
        /// M
        rows: u32,
        /// C
        width: u32,
        /// Added to the variance
        epsilon: f32,
        /// Unused
        padding: u32,
    }
}

impl Params for LayerNormParams {
    fn accesses(&self, _: Kernel, _: [u32; 3]) -> Accesses {
        let (rows, width) = (self.rows as usize, self.width as usize);
        Accesses::new()
            .read(self.input, 2 * rows * width)
            .read(self.gain, 4 * width)
            .read(self.bias, 4 * width)
            .write(self.output, rows * width)
    }
}

/// Rows of a block: one a warp.
pub(super) const ROWS: u32 = 4;

/// Normalizes and quantizes `rows` rows.
pub fn layer_norm(params: &LayerNormParams) -> Launch {
    let grid = [params.rows.div_ceil(ROWS), 1, 1];
    let work = work::layer_norm(params.rows, params.width);
    Launch::new(Kernel::LayerNorm, grid, 32 * ROWS, 0, params).with_work(work)
}
