//! The ends of the network: pixels to patches, and the residual stream to classes.

use super::modules::Module;
use super::norm::row_instructions;
use super::params::{HeadParams, PatchifyParams, PoolNormParams, TopParams};
use super::{Kernel, Launch, Work};

const PATCHIFY: Kernel = Kernel {
    module: Module::Patchify,
    name: "patchify",
};

const POOL_NORM: Kernel = Kernel {
    module: Module::PoolNorm,
    name: "pool_norm",
};

const HEAD: Kernel = Kernel {
    module: Module::Head,
    name: "head",
};

const TOP: Kernel = Kernel {
    module: Module::TopClasses,
    name: "top_classes",
};

/// Classes, and images, of a block of `head`.
const HEAD_BLOCK: u32 = 8;

/// Cuts `batch` images into patches.
pub fn patchify(batch: u32, params: &PatchifyParams) -> Launch {
    let side = params.image_size / params.patch_size;
    let rounds = u64::from(params.row / 4).div_ceil(128);
    let work = Work {
        tensor_macs: 0,
        instructions: u64::from(side * side * batch) * (140 + 104 * rounds),
    };
    Launch::new(PATCHIFY, [side * side, batch, 1], 128, 0, params).with_work(work)
}

/// Pools `batch` images and normalizes what comes of it to 16 bits.
pub fn pool_norm(batch: u32, params: &PoolNormParams) -> Launch {
    let columns = u64::from(params.width.div_ceil(32));
    let chain = u64::from(params.tokens * params.mean) * 16;
    let work = Work {
        tensor_macs: 0,
        instructions: u64::from(batch)
            * (columns * (36 + chain) + 180 + row_instructions(params.width)),
    };
    Launch::new(POOL_NORM, [batch, 1, 1], 256, 0, params).with_work(work)
}

/// The classifier.
pub fn head(params: &HeadParams) -> Launch {
    let grid = [
        params.classes.div_ceil(HEAD_BLOCK),
        params.batch.div_ceil(HEAD_BLOCK),
        1,
    ];
    // Rows of a product are the high and the low bytes of eight images.
    let products = u64::from(grid[0] * grid[1]) * u64::from(2 * HEAD_BLOCK * HEAD_BLOCK);
    let work = Work {
        tensor_macs: products * u64::from(params.inputs),
        instructions: u64::from(grid[0] * grid[1]) * (248 + 18 * u64::from(params.inputs / 64)),
    };
    Launch::new(HEAD, grid, 128, 0, params).with_work(work)
}

/// A class and its logit, as `top_classes` writes them.
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct Best {
    /// Index of the class, `u32::MAX` where classes run out.
    pub class: u32,
    /// Its logit.
    pub logit: f32,
}

/// The results of `batch` images: best classes, copies of logits and sizes.
pub fn top_classes(batch: u32, params: &TopParams) -> Launch {
    let per_warp = |elements: u32| u64::from(elements.div_ceil(32));
    let scan = 18 * per_warp(params.classes) + 8 * 75;
    let copies = 9 * (per_warp(params.classes) + per_warp(params.tokens)) + 8 * 40;
    let work = Work {
        tensor_macs: 0,
        instructions: u64::from(batch) * (u64::from(params.count) * scan + copies),
    };
    Launch::new(TOP, [batch, 1, 1], 256, 0, params).with_work(work)
}
