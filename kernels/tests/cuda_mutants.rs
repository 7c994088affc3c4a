//! Every barrier, fence, wait and group of copies in the shipped kernels is needed, and its absence is noticed: what
//! passes the equality tests on the emulator does synchronise.

mod common;
#[path = "common/on_device.rs"]
mod on_device;

use common::checks::{
    Candidates, Places, Product, check_attention, check_embedding, check_head, check_merge,
    check_pool, check_product, check_rotation,
};
use mergevit_kernels::Kernels;
use mergevit_kernels::cuda::gemm::{Tile, Tiling};
use mergevit_kernels::cuda::testing::{BlockOrder, Emulated, Options, unnoticed_mutants};
use mergevit_kernels::cuda::{HeadWidth, Kernel, Module, RowWidth, Target};
use mergevit_kernels::ops::{Capacity, Merge};
use on_device::OnDevice;
use std::cell::Cell;

thread_local! {
    static TILE: Cell<Tile> = const { Cell::new(Tile::T32x64) };
}

/// K in one part and in three, a block for each and several for a block, on this thread's tile.
struct Cuda;

impl Candidates for Cuda {
    fn candidates(_: &Capacity) -> Vec<Box<dyn Kernels>> {
        let options = Options::default().with_order(BlockOrder::Shuffled(1));
        let on_device = |(splits, blocks)| -> Box<dyn Kernels> {
            Box::new(OnDevice::new(
                Box::new(Emulated::new(Target::ORIN_NANO, options)),
                Tiling::new(TILE.get(), splits).with_blocks(blocks),
            ))
        };
        [(1, u32::MAX), (3, u32::MAX), (1, 1), (3, 2)]
            .map(on_device)
            .into()
    }
}

/// All broken kernels are noticed but the harmless ones: kernels and the instructions broken.
#[track_caller]
fn noticed_but(module: Module, exercise: impl Fn(Kernel), harmless: &[(Kernel, &str)]) {
    let unnoticed = unnoticed_mutants(module, exercise);
    let found: Vec<_> = unnoticed
        .iter()
        .map(|mutant| (mutant.kernel, mutant.instruction.as_str()))
        .collect();
    let lines: Vec<_> = unnoticed.iter().map(|mutant| mutant.line).collect();
    assert_eq!(found, harmless, "{module:?}, lines {lines:?}");
}

/// Columns and inputs of the layers that broken kernels compute, of [`ROWS`] rows: long sums, and several tiles of sums
/// that are shorter than the ring of copies.
const SHAPES: [[usize; 2]; 2] = [[128, 704], [256, 64]];
const ROWS: usize = 40;

fn linear(module: Module, check: impl Fn([usize; 2])) {
    let exercise = |kernel: Kernel| {
        let Kernel::Gemm { tile, .. } = kernel else {
            panic!("{kernel:?} is no linear layer");
        };
        TILE.set(tile);
        SHAPES.into_iter().for_each(&check);
    };
    noticed_but(module, exercise, &[]);
}

fn product(product: Product, [outputs, inputs]: [usize; 2]) {
    check_product::<Cuda>(product, [ROWS, outputs, inputs]);
}

#[test]
fn requantize() {
    let check = |shape| product(Product::Requantize, shape);
    linear(Module::GemmRequantize, check);
}

#[test]
fn rotate() {
    let check = |[_, inputs]: [usize; 2]| check_rotation::<Cuda>(1, ROWS, 2, 64, inputs);
    linear(Module::GemmRotate, check);
}

#[test]
fn activate() {
    let check = |shape| product(Product::Activate, shape);
    linear(Module::GemmActivate, check);
}

#[test]
fn gate() {
    let check = |shape| product(Product::Gate, shape);
    linear(Module::GemmGate, check);
}

#[test]
fn residual() {
    let check = |shape| product(Product::Residual, shape);
    linear(Module::GemmResidual, check);
}

#[test]
fn embed() {
    let check =
        |[outputs, inputs]: [usize; 2]| check_embedding::<Cuda>(1, ROWS, 2, outputs, inputs);
    linear(Module::GemmEmbed, check);
}

#[test]
fn attention() {
    let exercise = |kernel: Kernel| {
        let Kernel::Attention { head_width } = kernel else {
            panic!("{kernel:?} is no attention");
        };
        // Keys and values that fit into shared memory, and three tiles or more.
        let tiled = match head_width {
            HeadWidth::W32 => 705,
            HeadWidth::W64 => 353,
            HeadWidth::W96 | HeadWidth::W128 => 225,
        };
        for tokens in [70, tiled] {
            let heads = (1, head_width.channels() as usize);
            check_attention::<Cuda>(1, (1, tokens), heads, 3e-4);
        }
    };
    // Keys that come a second time are waited for together with their values.
    let one_group = |head_width| (Kernel::Attention { head_width }, "cp.async.commit_group;");
    noticed_but(Module::Attention, exercise, &HeadWidth::ALL.map(one_group));
}

#[test]
fn merging() {
    let exercise = |kernel: Kernel| {
        let head_width = match kernel {
            Kernel::MergeMatch { head_width } => head_width.channels() as usize,
            _ => 64,
        };
        // More than a narrow kernel's rows hold, for the wide one.
        let width = match kernel {
            Kernel::MergeNorm {
                rows: RowWidth::Wide,
            } => 1280,
            _ => 128,
        };
        // One group of sources a block and one tile of targets, and several of both.
        for tokens in [90, 400] {
            let shape = Merge {
                batch: 1,
                tokens,
                width,
                heads: 2,
                head_width,
                merged: 20,
                prefix: 1,
            };
            check_merge::<Cuda>(2, shape, 6, Places::Nowhere);
        }
    };
    noticed_but(Module::MergeMatch, exercise, &[]);
    noticed_but(Module::MergeNorm, exercise, &[]);
}

#[test]
fn pooling_and_head() {
    let exercise = |_: Kernel| {
        check_pool::<Cuda>(1, 9, 512);
        check_head::<Cuda>(1, 7, 512);
    };
    noticed_but(Module::PoolNorm, exercise, &[]);
    noticed_but(Module::Head, exercise, &[]);
}
