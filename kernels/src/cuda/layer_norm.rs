//! Norms of rows: `layer_norm.cu`.

use super::address::{Accesses, Address};
use super::kernel::Kernel;
use super::launch::Launch;
use super::norm::NormParams;
use super::params::{Params, params};
use super::prefetch::Prefetch;
use super::work;

params! {
    /// `layer_norm.cu`
    LayerNormParams {
        /// (M, L) f16
        input: Address,
        /// (M, L) i8 or f16
        output: Address,
        /// What rows are normalized by
        norm: NormParams,
        /// What is asked for on behalf of the next launch
        next: Prefetch,
        /// M
        rows: u32,
        /// Unused
        padding: u32,
    }
}

impl Params for LayerNormParams {
    fn accesses(&self, kernel: Kernel, _: [u32; 3]) -> Accesses {
        let elements = self.rows as usize * self.norm.width as usize;
        let bytes = match kernel {
            Kernel::LayerNormHalf { .. } => 2,
            _ => 1,
        };
        let accesses = Accesses::new().read(self.input, 2 * elements);
        self.norm
            .read(self.next.read(accesses))
            .write(self.output, bytes * elements)
    }
}

/// Rows of a block: one a warp.
pub(super) const ROWS: u32 = 4;

/// Normalizes and quantizes `rows` rows.
pub fn layer_norm(params: &LayerNormParams) -> Launch {
    let rows = params.norm.row_width();
    launch(Kernel::LayerNorm { rows }, params)
}

/// Normalizes `rows` rows to f16.
pub fn layer_norm_half(params: &LayerNormParams) -> Launch {
    let rows = params.norm.row_width();
    launch(Kernel::LayerNormHalf { rows }, params)
}

fn launch(kernel: Kernel, params: &LayerNormParams) -> Launch {
    let grid = [params.rows.div_ceil(ROWS), 1, 1];
    let quantized = matches!(kernel, Kernel::LayerNorm { .. });
    let work = work::layer_norm(params.rows, &params.norm, quantized);
    Launch::new(kernel, grid, 32 * ROWS, 0, params).with_work(work)
}
