//! Every barrier, fence, wait and group of copies in the shipped kernels is needed, and its absence is noticed: what
//! passes the equality tests on the emulator does synchronise.

mod common;
#[path = "common/on_device.rs"]
mod on_device;

use common::checks::{
    Candidates, check_attention, check_embedding, check_linear, check_merge, check_pool_and_head,
};
use mergevit_emulator::{BlockOrder, Emulated, Options, unnoticed_mutants};
use mergevit_kernels::Kernels;
use mergevit_kernels::cuda::gemm::TILES;
use mergevit_kernels::cuda::{Image, Target};
use mergevit_kernels::ops::{Capacity, Merge};
use on_device::OnDevice;
use std::cell::Cell;

thread_local! {
    static TILE: Cell<usize> = const { Cell::new(0) };
}

/// K in one part and in three, on this thread's tile.
struct Cuda;

impl Candidates for Cuda {
    fn candidates(_: &Capacity) -> Vec<Box<dyn Kernels>> {
        let options = Options::default().with_order(BlockOrder::Shuffled(1));
        let on_device = |splits| -> Box<dyn Kernels> {
            Box::new(OnDevice {
                device: Box::new(Emulated::new(Target::ORIN_NANO, options)),
                tile: TILE.get(),
                splits,
            })
        };
        [1, 3].map(on_device).into()
    }
}

/// All broken kernels are noticed but those that are not worse for it: kernels and instructions.
#[track_caller]
fn noticed_but(image: Image, exercise: impl Fn(&str), harmless: &[(&str, &str)]) {
    let unnoticed = unnoticed_mutants(image, exercise);
    let found: Vec<_> = unnoticed
        .iter()
        .map(|mutant| (mutant.kernel.as_str(), mutant.instruction.as_str()))
        .collect();
    let lines: Vec<_> = unnoticed.iter().map(|mutant| mutant.line).collect();
    assert_eq!(found, harmless, "{image:?}, lines {lines:?}");
}

/// Takes the tile of `gemm_64x128_gelu` and the like.
fn take_tile(kernel: &str) {
    let named = |tile: usize| {
        kernel.contains(&format!(
            "gemm_{}x{}_",
            TILES[tile].rows, TILES[tile].columns
        ))
    };
    TILE.set((0..TILES.len()).find(|&tile| named(tile)).unwrap());
}

fn linear(image: Image, narrow: &str) {
    let exercise = |kernel: &str| {
        take_tile(kernel);
        check_linear::<Cuda>(1, 40, 128, 704, 1e-3);
        check_embedding::<Cuda>(1, 40, 128, 704);
    };
    // The compiler has unrolled the loop: the last of an odd number of steps closes a group that none waits for.
    noticed_but(image, exercise, &[(narrow, "cp.async.commit_group;")]);
}

#[test]
fn requantize() {
    linear(Image::GemmRequantize, "gemm_32x64_requantize");
}

#[test]
fn gelu() {
    linear(Image::GemmGelu, "gemm_32x64_gelu");
}

#[test]
fn residual() {
    linear(Image::GemmResidual, "gemm_32x64_residual");
}

#[test]
fn embed() {
    linear(Image::GemmEmbed, "gemm_32x64_embed");
}

#[test]
fn attention() {
    let exercise = |_: &str| check_attention::<Cuda>(1, 1, 70, 1, 3e-4);
    noticed_but(Image::Attention, exercise, &[]);
}

#[test]
fn merging() {
    let exercise = |_: &str| {
        let shape = Merge {
            batch: 1,
            tokens: 90,
            width: 128,
            merged: 20,
            class_token: true,
        };
        check_merge::<Cuda>(2, shape, 6);
    };
    // The warp that tells of the block's results is the one that wrote them.
    noticed_but(
        Image::MergeMatch,
        exercise,
        &[("merge_match", "bar.sync 0;")],
    );
    noticed_but(Image::MergeNorm, exercise, &[]);
}

#[test]
fn pooling_and_head() {
    let exercise = |_: &str| check_pool_and_head::<Cuda>(1, 9, 512, 7);
    noticed_but(Image::PoolNorm, exercise, &[]);
    noticed_but(Image::Head, exercise, &[]);
}
