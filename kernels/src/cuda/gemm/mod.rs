//! Linear layers: `gemm.cuh` and the four sources that include it.

pub(super) mod epilogue;
pub(super) mod tile;
pub(super) mod tiling;

pub use epilogue::{Epilogue, EpilogueKind};
pub use tile::Tile;
pub use tiling::{MAX_SPLITS, Shape, Tiling};

use super::address::{Accesses, Address};
use super::kernel::Kernel;
use super::launch::Launch;
use super::params::{Params, params};
use super::work;

params! {
    /// `gemm.cuh`
    GemmParams {
        /// (M, K) i8
        input: Address,
        /// (N, K) i8
        weights: Address,
        /// (N) f32
        scale: Address,
        /// (N) f32
        bias: Address,
        /// (M, N) i8, or the residual stream, f16
        output: Address,
        /// Embedding: (T, N) f32
        position: Address,
        /// Embedding: (B, T) u32, set to 1
        sizes: Address,
        /// More than one part: (tiles, parts, BM x BN) i32
        partial: Address,
        /// More than one part: (tiles) u32, zero before and after
        arrived: Address,
        /// M
        rows: u32,
        /// N
        outputs: u32,
        /// K
        inputs: u32,
        /// GELU: one over the output's quantization step
        inverse_scale: f32,
        /// GELU: the integer that stands for zero
        zero_point: f32,
        /// Embedding: B
        batch: u32,
        /// Embedding: rows of an image
        patches: u32,
        /// Embedding: 1 if row 0 of an image is a class token, else 0
        class_token: u32,
    }
}

impl Params for GemmParams {
    fn accesses(&self, kernel: Kernel, grid: [u32; 3]) -> Accesses {
        let Kernel::Gemm { tile, epilogue } = kernel else {
            unreachable!("{kernel:?} has other parameters");
        };
        let (rows, outputs, inputs) = (
            self.rows as usize,
            self.outputs as usize,
            self.inputs as usize,
        );
        let tokens = (self.patches + self.class_token) as usize;
        let embedded = self.batch as usize * tokens;
        let operands = Accesses::new()
            .read(self.input, rows * inputs)
            .read(self.weights, outputs * inputs)
            .read(self.scale, 4 * outputs)
            .read(self.bias, 4 * outputs);
        let with_output = match epilogue {
            EpilogueKind::Requantize | EpilogueKind::Gelu => {
                operands.write(self.output, rows * outputs)
            }
            EpilogueKind::Residual => operands.update(self.output, 2 * rows * outputs),
            EpilogueKind::Embed => operands
                .write(self.output, 2 * embedded * outputs)
                .read(self.position, 4 * tokens * outputs)
                .write(self.sizes, 4 * embedded),
        };
        let [tile_rows, tile_columns, splits] = grid.map(|blocks| blocks as usize);
        if splits == 1 {
            return with_output;
        }
        let tiles = tile_rows * tile_columns;
        let sums = tiles * (tile.rows() * tile.columns()) as usize;
        with_output
            .update(self.partial, size_of::<i32>() * splits * sums)
            .update(self.arrived, size_of::<u32>() * tiles)
    }
}

/// The arrays of a linear layer in device memory.
#[derive(Clone, Copy, Debug)]
pub struct Operands {
    /// (M, K) i8
    pub input: Address,
    /// (N, K) i8
    pub weights: Address,
    /// (N) f32
    pub scale: Address,
    /// (N) f32
    pub bias: Address,
    /// (M, N) i8, or the residual stream, f16
    pub output: Address,
    /// Scratch space of [`Tiling::partial_bytes`].
    pub partial: Address,
    /// [`Tiling::tiles`] counters, u32, zero before the first launch; every launch leaves them zero.
    pub arrived: Address,
}

/// One linear layer.
///
/// # Panics
/// If the tiling does not fit the shape.
pub fn linear(shape: &Shape, tiling: &Tiling, operands: &Operands, epilogue: &Epilogue) -> Launch {
    assert!(tiling.fits(shape), "{tiling:?} for {shape:?}");
    let mut params = GemmParams {
        input: operands.input,
        weights: operands.weights,
        scale: operands.scale,
        bias: operands.bias,
        output: operands.output,
        partial: operands.partial,
        arrived: operands.arrived,
        rows: shape.rows,
        outputs: shape.outputs,
        inputs: shape.inputs,
        ..GemmParams::default()
    };
    match *epilogue {
        Epilogue::Requantize | Epilogue::Residual => {}
        Epilogue::Gelu {
            inverse_scale,
            zero_point,
        } => (params.inverse_scale, params.zero_point) = (inverse_scale, zero_point),
        Epilogue::Embed {
            position,
            sizes,
            batch,
            class_token,
        } => {
            (params.position, params.sizes) = (position, sizes);
            (params.batch, params.patches) = (batch, shape.rows / batch);
            params.class_token = class_token.into();
        }
    }
    let Tiling { tile, splits } = *tiling;
    let epilogue = epilogue.kind();
    let grid = [
        shape.rows.div_ceil(tile.rows()),
        shape.outputs / tile.columns(),
        splits,
    ];
    let kernel = Kernel::Gemm { tile, epilogue };
    Launch::new(kernel, grid, tile.threads(), tile.shared_bytes(), &params)
        .with_work(work::gemm(shape, tiling, epilogue))
}
