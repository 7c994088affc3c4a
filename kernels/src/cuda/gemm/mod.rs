//! Linear layers: `gemm.cuh` and the sources that include it.

pub(super) mod epilogue;
pub(super) mod tile;
pub(super) mod tiling;
mod weights;

pub use epilogue::{Epilogue, EpilogueKind};
pub use tile::Tile;
pub use tiling::{MAX_SPLITS, Shape, Tiling};
pub use weights::arrange;

use super::address::{Accesses, Address};
use super::kernel::Kernel;
use super::launch::Launch;
use super::params::{Params, params};
use super::work;
use crate::math::{ACTIVATION_TERMS, Activation};

params! {
    /// `gemm.cuh`
    GemmParams {
        /// (M, K) i8
        input: Address,
        /// (N, K) i8, in the order of [`arrange`]
        weights: Address,
        /// (N) f32
        scale: Address,
        /// (N) f32
        bias: Address,
        /// (M, N) i8, half as many columns of i8 or f16, or the residual stream, f16
        output: Address,
        /// Embedding: (T, N) f32, or null where none are added
        position: Address,
        /// Rotation: (M, R D) f32, cosine and sine of each pair of columns
        rotation: Address,
        /// Embedding: (B, T) u32, set to 1, or null
        sizes: Address,
        /// More than one part: (tiles, parts, BM x BN) i32
        partial: Address,
        /// How many tiles blocks have drawn, then, of more than one part, how many of each tile have arrived: (1 + tiles)
        /// u32, zero before and after
        arrived: Address,
        /// Activation: (2, N) f32, one over each column's quantization step, then the integers that stand for zero
        steps: Address,
        /// M
        rows: u32,
        /// N
        outputs: u32,
        /// K
        inputs: u32,
        /// Embedding: B
        batch: u32,
        /// Embedding: rows of an image
        patches: u32,
        /// Embedding: P, rows of an image before its patches
        prefix: u32,
        /// Rotation: 2 A, columns of queries and keys
        rotated: u32,
        /// Rotation: R D
        rotation_row: u32,
        /// Gate: 1 for f16, 0 for i8
        halves: u32,
        /// Activation, gate: limit, map, polynomial
        activation: [f32; 12],
        /// Parts of K
        splits: u32,
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
        let tokens = (self.patches + self.prefix) as usize;
        let embedded = self.batch as usize * tokens;
        let operands = Accesses::new()
            .read(self.input, rows * inputs)
            .read(self.weights, outputs * inputs)
            .read(self.scale, 4 * outputs)
            .read(self.bias, 4 * outputs);
        let with_output = match epilogue {
            EpilogueKind::Requantize => operands.write(self.output, rows * outputs),
            EpilogueKind::Activate => operands
                .write(self.output, rows * outputs)
                .read(self.steps, 8 * outputs),
            EpilogueKind::Rotate => operands
                .write(self.output, rows * outputs)
                .read(self.rotation, 4 * rows * self.rotation_row as usize),
            EpilogueKind::Gate => {
                let bytes = 1 + self.halves as usize;
                operands.write(self.output, bytes * rows * outputs / 2)
            }
            EpilogueKind::Residual => operands.update(self.output, 2 * rows * outputs),
            EpilogueKind::Embed => operands
                .write(self.output, 2 * embedded * outputs)
                .read(self.position, 4 * tokens * outputs)
                .write(self.sizes, 4 * embedded),
        };
        let shape = Shape {
            rows: self.rows,
            outputs: self.outputs,
            inputs: self.inputs,
        };
        let tiling = Tiling::new(tile, self.splits).with_blocks(grid[0]);
        with_output
            .update(self.partial, tiling.partial_bytes(&shape))
            .update(self.arrived, size_of::<u32>() * tiling.counters(&shape))
    }
}

/// The arrays of a linear layer in device memory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Operands {
    /// (M, K) i8
    pub input: Address,
    /// (N, K) i8, in the order of [`arrange`]
    pub weights: Address,
    /// (N) f32
    pub scale: Address,
    /// (N) f32
    pub bias: Address,
    /// (M, N) i8, half as many columns of i8 or f16, or the residual stream, f16
    pub output: Address,
    /// Scratch space of [`Tiling::partial_bytes`].
    pub partial: Address,
    /// [`Tiling::counters`], u32, zero before the first launch; every launch leaves them zero.
    pub arrived: Address,
}

/// One linear layer.
///
/// # Panics
/// If the tiling does not fit the shape, or the heads of a rotation are not thirds of its columns.
pub fn linear(shape: &Shape, tiling: &Tiling, operands: &Operands, epilogue: &Epilogue) -> Launch {
    assert!(tiling.fits(shape), "{tiling:?} for {shape:?}");
    let params = GemmParams {
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
        splits: tiling.splits,
        ..GemmParams::default()
    };
    let params = params.with_epilogue(epilogue);
    let (tile, epilogue) = (tiling.tile, epilogue.kind());
    let items = tiling.items(shape);
    let grid = [items.min(tiling.blocks), 1, 1];
    let kernel = Kernel::Gemm { tile, epilogue };
    Launch::new(kernel, grid, tile.threads(), tile.shared_bytes(), &params)
        .with_work(work::gemm(shape, tiling, epilogue))
        .with_items(items)
}

impl GemmParams {
    /// These with the operands of an epilogue.
    fn with_epilogue(self, epilogue: &Epilogue) -> Self {
        match *epilogue {
            Epilogue::Requantize | Epilogue::Residual => self,
            Epilogue::Rotate {
                table,
                heads,
                head_width,
                shared,
            } => {
                let width = heads * head_width;
                assert_eq!(self.outputs, 3 * width, "{heads} heads of {head_width}");
                Self {
                    rotation: table,
                    rotated: 2 * width,
                    rotation_row: if shared { head_width } else { width },
                    ..self
                }
            }
            Epilogue::Activate { activation, steps } => Self {
                activation: words(&activation),
                steps,
                ..self
            },
            Epilogue::Gate { activation } => Self {
                activation: words(&activation),
                ..self
            },
            Epilogue::GateHalf { activation } => Self {
                activation: words(&activation),
                halves: 1,
                ..self
            },
            // An embedding of one image without prefix, positions and sizes.
            Epilogue::Half => Self {
                batch: 1,
                patches: self.rows,
                ..self
            },
            Epilogue::Embed {
                position,
                sizes,
                batch,
                prefix,
            } => Self {
                position,
                sizes,
                batch,
                patches: self.rows / batch,
                prefix,
                ..self
            },
        }
    }
}

/// An activation as kernels take it.
fn words(activation: &Activation) -> [f32; 2 + ACTIVATION_TERMS] {
    let mut words = [activation.limit; 2 + ACTIVATION_TERMS];
    words[1] = activation.map;
    words[2..].copy_from_slice(&activation.poly);
    words
}
