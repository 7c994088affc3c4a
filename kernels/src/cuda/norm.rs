//! Layer norm.

use super::images::Image;
use super::params::LayerNormParams;
use super::{Kernel, Launch};

const KERNEL: Kernel = Kernel {
    image: Image::LayerNorm,
    name: "layer_norm",
};

/// Rows of a block: one a warp.
pub(super) const ROWS: u32 = 4;

/// Normalizes and quantizes `rows` rows.
pub fn layer_norm(params: &LayerNormParams) -> Launch {
    let grid = [params.rows.div_ceil(ROWS), 1, 1];
    Launch::new(KERNEL, grid, 32 * ROWS, 0, params)
}
