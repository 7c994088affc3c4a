//! Every CUDA kernel gives the scalar reference's bits, over awkward shapes and values.
//!
//! The kernels run on an emulator of the shipped PTX, or, with `MERGEVIT_TEST_DEVICE=cuda`, on a GPU.

mod common;
#[path = "common/on_device.rs"]
mod on_device;

use common::checks::{
    Candidates, check_attention, check_embedding, check_layer_norm, check_linear, check_merge,
    check_patchify, check_pool_and_head,
};
use mergevit_emulator::{BlockOrder, Options, test_device};
use mergevit_kernels::Kernels;
use mergevit_kernels::cuda::Device;
use mergevit_kernels::cuda::gemm::TILES;
use mergevit_kernels::ops::{Capacity, Merge};
use on_device::OnDevice;

/// A device whose blocks run in this order: no result may depend on it.
fn device(order: BlockOrder) -> Box<dyn Device> {
    test_device(Options::default().with_order(order))
}

/// For operations other than linear layers.
struct Cuda;

impl Candidates for Cuda {
    fn candidates(_: &Capacity) -> Vec<Box<dyn Kernels>> {
        let orders = [BlockOrder::Ascending, BlockOrder::Descending];
        let on_device = |order| -> Box<dyn Kernels> {
            Box::new(OnDevice {
                device: device(order),
                tile: 3,
                splits: 1,
            })
        };
        orders.map(on_device).into()
    }
}

/// Every tile shape, with K in one part and in three.
struct Tilings;

impl Candidates for Tilings {
    fn candidates(_: &Capacity) -> Vec<Box<dyn Kernels>> {
        let all = (0..TILES.len()).flat_map(|tile| [1, 3].map(|splits| (tile, splits)));
        all.map(|(tile, splits)| -> Box<dyn Kernels> {
            Box::new(OnDevice {
                device: device(BlockOrder::Shuffled(tile as u64)),
                tile,
                splits,
            })
        })
        .collect()
    }
}

/// Around every multiple of the groups of rows that a warp takes or skips, for all tiles.
#[test]
fn linear_over_row_counts() {
    for rows in [
        1, 2, 15, 16, 17, 31, 33, 48, 63, 64, 65, 81, 113, 127, 129, 197,
    ] {
        check_linear::<Tilings>(rows as u64, rows, 128, 128, 1e-3);
    }
}

#[test]
fn linear_over_inner_and_outer_sizes() {
    for (rows, outputs, inputs) in [
        (5, 64, 64),
        (21, 192, 192),
        (33, 384, 320),
        (17, 128, 3072),
        (50, 64, 8192),
        (197, 256, 448),
    ] {
        check_linear::<Tilings>(7, rows, outputs, inputs, 3e-4);
    }
}

#[test]
fn linear_with_extreme_scales() {
    for scale in [0.0, 1e-30, 1e30, f32::MAX] {
        check_linear::<Tilings>(11, 19, 128, 128, scale);
    }
}

#[test]
fn embedding_of_batches() {
    check_embedding::<Tilings>(3, 9, 64, 192);
    check_embedding::<Tilings>(2, 49, 128, 64);
}

#[test]
fn layer_norm_over_widths_and_magnitudes() {
    for width in (64..=2048).step_by(64) {
        check_layer_norm::<Cuda>(width as u64, 3, width, 1.0);
    }
    for magnitude in [0.0, 1e-7, 1e-3, 1500.0, 65504.0] {
        check_layer_norm::<Cuda>(5, 37, 192, magnitude);
    }
}

#[test]
fn attention_over_token_counts() {
    for tokens in 1..=257 {
        check_attention::<Cuda>(tokens as u64, 1, tokens, 1, 3e-4);
    }
}

#[test]
fn attention_over_batches_heads_and_sharpness() {
    for (batch, heads) in [(1, 3), (2, 2), (8, 1)] {
        for scale in [0.0, 1e-5, 1e-3, 1.0, 1e30] {
            check_attention::<Cuda>(9, batch, 21, heads, scale);
        }
    }
}

#[test]
fn attention_at_the_token_limit() {
    check_attention::<Cuda>(1, 1, 1025, 1, 2e-4);
}

#[test]
fn merging_every_amount_with_ties_and_zero_vectors() {
    for class_token in [false, true] {
        for tokens in [2, 3, 4, 5, 16, 17, 33, 50] {
            for merged in 1..=Merge::limit(tokens, class_token) {
                let shape = Merge {
                    batch: 1,
                    tokens,
                    width: 64,
                    merged,
                    class_token,
                };
                for variety in [1, 2, 8] {
                    check_merge::<Cuda>((tokens * 100 + merged) as u64, shape, variety);
                }
            }
        }
    }
}

#[test]
fn merging_over_token_counts() {
    for tokens in 2..=257 {
        let class_token = tokens % 2 == 1;
        let shape = Merge {
            batch: 1,
            tokens,
            width: 64,
            merged: Merge::limit(tokens, class_token).div_ceil(2),
            class_token,
        };
        check_merge::<Cuda>(tokens as u64, shape, 6);
    }
}

#[test]
fn merging_batches_and_wide_tokens() {
    for (batch, tokens, width, merged) in [
        (3, 197, 192, 13),
        (2, 41, 768, 20),
        (1, 257, 384, 16),
        (1, 1025, 2048, 512),
    ] {
        let shape = Merge {
            batch,
            tokens,
            width,
            merged,
            class_token: true,
        };
        check_merge::<Cuda>(4, shape, 5);
    }
}

#[test]
fn patches_pooling_and_head() {
    for (image_size, patch_size) in [(16, 8), (28, 14), (48, 16), (64, 32)] {
        check_patchify::<Cuda>(image_size, patch_size);
    }
    for (batch, tokens, width, classes) in [
        (1, 2, 64, 1),
        (3, 11, 192, 103),
        (8, 5, 768, 10),
        (9, 3, 2048, 7),
        (32, 2, 128, 1000),
    ] {
        check_pool_and_head::<Cuda>(batch, tokens, width, classes);
    }
}
