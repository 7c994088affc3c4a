//! Layer norm.

use super::modules::Module;
use super::params::LayerNormParams;
use super::{Kernel, Launch, Work};

const KERNEL: Kernel = Kernel {
    module: Module::LayerNorm,
    name: "layer_norm",
};

/// Rows of a block: one a warp.
pub(super) const ROWS: u32 = 4;

/// Normalizes and quantizes `rows` rows.
pub fn layer_norm(params: &LayerNormParams) -> Launch {
    let grid = [params.rows.div_ceil(ROWS), 1, 1];
    let work = Work {
        tensor_macs: 0,
        instructions: u64::from(params.rows) * row_instructions(params.width),
    };
    Launch::new(KERNEL, grid, 32 * ROWS, 0, params).with_work(work)
}

/// Instructions that a warp issues to normalize a row: both sums, and a part for each 256 columns.
pub(super) fn row_instructions(width: u32) -> u64 {
    284 + 153 * u64::from(width.div_ceil(256))
}
