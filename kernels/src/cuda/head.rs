//! The classifier: `head.cu`.

use super::address::{Accesses, Address};
use super::kernel::Kernel;
use super::launch::Launch;
use super::params::{Params, params};
use super::work;

params! {
    /// `head.cu`
    HeadParams {
        /// (B, K) i8
        high: Address,
        /// (B, K) i8
        low: Address,
        /// (N, K) i8
        weights: Address,
        /// (N) f32
        scale: Address,
        /// (N) f32
        bias: Address,
        /// (B, N) f32
        logits: Address,
        /// B
        batch: u32,
        /// N: classes
        classes: u32,
        /// K
        inputs: u32,
        /// Unused
        padding: u32,
    }
}

impl Params for HeadParams {
    fn accesses(&self, _: Kernel, _: [u32; 3]) -> Accesses {
        let (batch, classes) = (self.batch as usize, self.classes as usize);
        let inputs = self.inputs as usize;
        Accesses::new()
            .read(self.high, batch * inputs)
            .read(self.low, batch * inputs)
            .read(self.weights, classes * inputs)
            .read(self.scale, 4 * classes)
            .read(self.bias, 4 * classes)
            .write(self.logits, 4 * batch * classes)
    }
}

/// Classes, and images, of a block.
const BLOCK: u32 = 8;

/// The logits of `batch` images.
pub fn head(params: &HeadParams) -> Launch {
    let grid = [
        params.classes.div_ceil(BLOCK),
        params.batch.div_ceil(BLOCK),
        1,
    ];
    // Rows of a product are the high and the low bytes of eight images.
    let products = 2 * BLOCK * BLOCK;
    let work = work::head(grid[0] * grid[1], products, params.inputs);
    Launch::new(Kernel::Head, grid, 128, 0, params).with_work(work)
}
