//! Linear layers: which tile shape, how many parts of K, and the launch.

use super::modules::Module;
use super::params::GemmParams;
use super::{Address, Kernel, Launch, Target, Work};

/// A tile shape of `gemm.cuh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// Rows of the output.
    pub rows: u32,
    /// Columns of the output.
    pub columns: u32,
    /// Threads of a block.
    pub threads: u32,
    /// Steps of K in flight.
    stages: u32,
    /// Blocks that an SM holds at once, by its registers and shared memory.
    resident: u32,
    /// Instructions that a warp issues in a step, beside those for its fragments.
    warp_step: u64,
    names: [&'static str; 4],
}

macro_rules! tile {
    ($rows:literal, $columns:literal, $threads:literal, $stages:literal, $resident:literal, $step:literal) => {
        Tile {
            rows: $rows,
            columns: $columns,
            threads: $threads,
            stages: $stages,
            resident: $resident,
            warp_step: $step,
            names: [
                concat!("gemm_", $rows, "x", $columns, "_requantize"),
                concat!("gemm_", $rows, "x", $columns, "_gelu"),
                concat!("gemm_", $rows, "x", $columns, "_residual"),
                concat!("gemm_", $rows, "x", $columns, "_embed"),
            ],
        }
    };
}

/// All tile shapes, largest first.
pub const TILES: [Tile; 4] = [
    tile!(128, 128, 256, 4, 2, 61),
    tile!(64, 128, 256, 4, 3, 59),
    tile!(64, 64, 128, 5, 4, 67),
    tile!(32, 64, 128, 6, 4, 93),
];

/// Bytes of K a step.
const STEP: u32 = 64;

/// Most parts that K is split into.
pub const MAX_SPLITS: u32 = 8;

/// What happens to the sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Epilogue {
    /// To i8.
    Requantize,
    /// GELU, then to i8.
    Gelu {
        /// One over the output's quantization step.
        inverse_scale: f32,
        /// The integer that stands for zero.
        zero_point: f32,
    },
    /// Added to the residual stream.
    Residual,
    /// The residual stream's first content, and token sizes of 1.
    Embed {
        /// (T, N) f32
        position: Address,
        /// (B, T) u32
        sizes: Address,
        /// B
        batch: u32,
        /// Whether row 0 of an image is a class token.
        class_token: bool,
    },
}

/// (M, N, K) of a linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// M
    pub rows: u32,
    /// N, a multiple of 64.
    pub outputs: u32,
    /// K, a multiple of 64.
    pub inputs: u32,
}

/// How a linear layer is spread over a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tiling {
    /// Tile shape.
    pub tile: Tile,
    /// Parts of K.
    pub splits: u32,
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

impl Tile {
    /// Dynamic shared memory of a block, in bytes.
    pub const fn shared_bytes(&self) -> u32 {
        self.stages * (self.rows + self.columns) * STEP
    }
}

impl Tiling {
    /// Whether this tiling can compute the shape at all.
    pub const fn fits(&self, shape: &Shape) -> bool {
        shape.outputs.is_multiple_of(self.tile.columns)
            && self.splits >= 1
            && self.splits <= MAX_SPLITS
            && self.splits <= shape.inputs / STEP
    }

    /// Tiles of the output.
    pub const fn tiles(&self, shape: &Shape) -> u32 {
        shape.rows.div_ceil(self.tile.rows) * (shape.outputs / self.tile.columns)
    }

    /// Bytes of scratch space for sums of parts.
    pub const fn partial_bytes(&self, shape: &Shape) -> usize {
        if self.splits == 1 {
            return 0;
        }
        let sums = self.tiles(shape) as usize * (self.tile.rows * self.tile.columns) as usize;
        sums * self.splits as usize * size_of::<i32>()
    }

    fn all(shape: &Shape) -> impl Iterator<Item = Self> {
        let all = TILES
            .iter()
            .flat_map(|&tile| [1, 2, 3, 4, 6, 8].map(|splits| Self { tile, splits }));
        all.filter(|tiling| tiling.fits(shape))
    }

    /// The tiling that should take the least time on a device.
    pub fn best(shape: &Shape, target: &Target) -> Self {
        Self::all(shape)
            .min_by_key(|tiling| tiling.clocks(shape, target))
            .expect("64 divides the outputs, so the smallest tiles fit")
    }

    /// The tilings that a device may in truth be fastest with: the best one first, then those that should take at
    /// most half as long again. All give the same bits.
    pub fn candidates(shape: &Shape, target: &Target) -> Vec<Self> {
        let mut all: Vec<_> = Self::all(shape)
            .map(|tiling| (tiling.clocks(shape, target), tiling))
            .collect();
        all.sort_by_key(|&(clocks, _)| clocks);
        let most = all[0].0 * 3 / 2;
        all.retain(|&(clocks, _)| clocks <= most);
        all.into_iter().map(|(_, tiling)| tiling).collect()
    }

    /// What a launch with this epilogue costs: a part for each warp and step, and a part for each fragment of
    /// 16 x 32 sums; those of rows that are all beyond the last are skipped.
    fn work(&self, shape: &Shape, epilogue: usize) -> Work {
        const FRAGMENT_STEP: u64 = 16;
        const FRAGMENT_REDUCE: u64 = 35;
        const FRAGMENT_FINISH: [u64; 4] = [189, 568, 155, 148];
        const WARP: u64 = 95;
        let splits = u64::from(self.splits);
        let steps = u64::from(shape.inputs / STEP);
        let warps = u64::from(self.tiles(shape) * self.tile.threads / 32);
        let fragments = u64::from(shape.rows.div_ceil(16) * (shape.outputs / 32));
        // Parts are added up for whole tiles.
        let summed = match splits {
            1 => 0,
            _ => splits * u64::from(self.tiles(shape) * self.tile.rows * self.tile.columns / 512),
        };
        let fragment = steps * FRAGMENT_STEP + FRAGMENT_FINISH[epilogue];
        Work {
            tensor_macs: fragments * 16 * 32 * u64::from(shape.inputs),
            instructions: warps * (steps * self.tile.warp_step + splits * WARP)
                + fragments * fragment
                + summed * FRAGMENT_REDUCE,
        }
    }

    /// Clocks that a launch takes by a simple model: the blocks of the busiest SM one after another, each
    /// step bound by its multiplications (2048 a clock and SM) or by its fill of shared memory (48 bytes a
    /// clock), longer where an SM has a single block and nothing hides its latency; then what filling the
    /// pipeline, adding parts and the epilogue cost.
    fn clocks(&self, shape: &Shape, target: &Target) -> u64 {
        let tile = &self.tile;
        let blocks = u64::from(self.tiles(shape) * self.splits);
        let per_sm = blocks.div_ceil(target.multiprocessors.into());
        let steps = u64::from((shape.inputs / STEP).div_ceil(self.splits));
        // Groups of 16 rows beyond the last are skipped: what a block multiplies on average.
        let rows = shape.rows.next_multiple_of(16) / shape.rows.div_ceil(tile.rows);
        let multiply = u64::from(rows * tile.columns * STEP) / 2048;
        let fill = u64::from((rows + tile.columns) * STEP) / 48;
        let step = multiply.max(fill) * if per_sm == 1 { 3 } else { 2 } / 2;
        let sums = u64::from(rows * tile.columns);
        let reduce = if self.splits > 1 { sums / 8 + 1500 } else { 0 };
        let rounds = per_sm.div_ceil(tile.resident.into());
        per_sm * (steps * step + sums / 16 + reduce) + rounds * 800
    }
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
    let (module, name) = match *epilogue {
        Epilogue::Requantize => (Module::GemmRequantize, 0),
        Epilogue::Gelu {
            inverse_scale,
            zero_point,
        } => {
            (params.inverse_scale, params.zero_point) = (inverse_scale, zero_point);
            (Module::GemmGelu, 1)
        }
        Epilogue::Residual => (Module::GemmResidual, 2),
        Epilogue::Embed {
            position,
            sizes,
            batch,
            class_token,
        } => {
            (params.position, params.sizes) = (position, sizes);
            (params.batch, params.patches) = (batch, shape.rows / batch);
            params.class_token = class_token.into();
            (Module::GemmEmbed, 3)
        }
    };
    let kernel = Kernel {
        module,
        name: tiling.tile.names[name],
    };
    let grid = [
        shape.rows.div_ceil(tiling.tile.rows),
        shape.outputs / tiling.tile.columns,
        tiling.splits,
    ];
    let tile = &tiling.tile;
    let work = tiling.work(shape, name);
    Launch::new(kernel, grid, tile.threads, tile.shared_bytes(), &params).with_work(work)
}
