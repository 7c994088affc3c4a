//! Every CPU implementation gives the scalar reference's bits, over awkward shapes and values.

mod common;

use common::checks::{
    Candidates, check_attention, check_embedding, check_layer_norm, check_linear, check_merge,
    check_patchify, check_pool_and_head,
};
use mergevit_kernels::ops::{Capacity, Merge};
use mergevit_kernels::{Kernels, cpu};
use proptest::prelude::*;

/// Every implementation this machine has, on one, two and three threads.
///
/// Compiled into the crate's own unit tests, only the one that those emulate where the machine lacks it;
/// none without AVX-512.
struct Cpu;

impl Candidates for Cpu {
    fn candidates(capacity: &Capacity) -> Vec<Box<dyn Kernels>> {
        let mut all = Vec::new();
        let inside = module_path!().starts_with("mergevit_kernels::");
        for implementation in cpu::implementations() {
            if inside && implementation.name != "cpu/amx-int8" {
                continue;
            }
            for threads in 1..=3 {
                all.extend(implementation.make(threads, capacity));
            }
        }
        assert!(inside || !all.is_empty());
        all
    }
}

#[test]
fn linear_over_every_row_count_up_to_66() {
    for rows in 1..=66 {
        check_linear::<Cpu>(rows as u64, rows, 64, 64, 1e-3);
    }
}

#[test]
fn linear_over_inner_and_outer_sizes() {
    for (rows, outputs, inputs) in [
        (197, 64, 192),
        (5, 192, 64),
        (17, 384, 640),
        (33, 128, 3072),
        (50, 64, 8192),
        (3, 1152, 384),
    ] {
        check_linear::<Cpu>(7, rows, outputs, inputs, 3e-4);
    }
}

#[test]
fn linear_with_extreme_scales() {
    for scale in [0.0, 1e-30, 1e-3, 1e30, f32::MAX] {
        check_linear::<Cpu>(11, 19, 64, 128, scale);
    }
}

#[test]
fn layer_norm_over_widths_and_magnitudes() {
    for width in (64..=2048).step_by(64) {
        check_layer_norm::<Cpu>(width as u64, 3, width, 1.0);
    }
    for magnitude in [0.0, 1e-7, 1e-3, 1500.0, 65504.0] {
        check_layer_norm::<Cpu>(5, 37, 192, magnitude);
    }
}

#[test]
fn attention_over_token_counts() {
    for tokens in (1..=70).chain([127, 128, 129, 196, 197, 256, 257]) {
        check_attention::<Cpu>(tokens as u64, 1, tokens, 1, 3e-4);
    }
}

#[test]
fn attention_over_batches_heads_and_sharpness() {
    for (batch, heads) in [(1, 3), (2, 2), (8, 1)] {
        for scale in [0.0, 1e-5, 1e-3, 1.0, 1e30] {
            check_attention::<Cpu>(9, batch, 21, heads, scale);
        }
    }
}

#[test]
fn attention_at_the_token_limit() {
    check_attention::<Cpu>(1, 1, 1025, 1, 2e-4);
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
                    check_merge::<Cpu>((tokens * 100 + merged) as u64, shape, variety);
                }
            }
        }
    }
}

#[test]
fn merging_batches_and_wide_tokens() {
    for (batch, tokens, width, merged) in
        [(3, 197, 192, 13), (2, 41, 768, 20), (1, 1025, 2048, 512)]
    {
        check_merge::<Cpu>(
            4,
            Merge {
                batch,
                tokens,
                width,
                merged,
                class_token: true,
            },
            5,
        );
    }
}

#[test]
fn embedding_without_class_token_and_with_batches() {
    check_embedding::<Cpu>(3, 9, 64, 192);
}

#[test]
fn patches_pooling_and_head() {
    for (image_size, patch_size) in [(16, 8), (28, 14), (48, 16), (64, 32)] {
        check_patchify::<Cpu>(image_size, patch_size);
    }
    check_pool_and_head::<Cpu>(3, 11, 192, 103);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn linear_of_random_shape(seed: u64, rows in 1usize..90, n in 1usize..6, k in 1usize..9, e in -12i32..4) {
        check_linear::<Cpu>(seed, rows, 64 * n, 64 * k, 10f32.powi(e));
    }

    #[test]
    fn layer_norm_of_random_shape(seed: u64, rows in 1usize..40, c in 1usize..20, e in -6i32..4) {
        check_layer_norm::<Cpu>(seed, rows, 64 * c, 10f32.powi(e));
    }

    #[test]
    fn attention_of_random_shape(seed: u64, batch in 1usize..4, tokens in 1usize..100, heads in 1usize..4, e in -7i32..3) {
        check_attention::<Cpu>(seed, batch, tokens, heads, 10f32.powi(e));
    }

    #[test]
    fn merge_of_random_shape(seed: u64, batch in 1usize..4, tokens in 3usize..90, heads in 1usize..4,
                             share in 0.0f64..1.0, class_token: bool, variety in 1usize..12) {
        let limit = Merge::limit(tokens, class_token);
        let merged = 1 + (share * (limit - 1) as f64) as usize;
        check_merge::<Cpu>(seed, Merge { batch, tokens, width: 64 * heads, merged, class_token }, variety);
    }
}
