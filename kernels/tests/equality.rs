//! Every CPU implementation gives the scalar reference's bits, over awkward shapes and values.

mod common;
#[path = "common/suite.rs"]
mod suite;

use common::checks::{Candidates, check_attention, check_layer_norm, check_linear, check_merge};
use mergevit_kernels::ops::{Capacity, Merge};
use mergevit_kernels::{Kernels, cpu};
use proptest::prelude::*;
use suite::{Shapes, suite};

/// Every implementation this machine has, on one, two and three threads.
///
/// In the crate's own unit tests only AMX, which they emulate where the machine lacks it; nothing without AVX-512.
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
                match implementation.make(threads, capacity) {
                    Ok(kernels) => all.push(kernels),
                    Err(error) => assert!(matches!(error, cpu::MakeError::Unavailable), "{error}"),
                }
            }
        }
        assert!(inside || !all.is_empty());
        all
    }
}

const SHAPES: Shapes = Shapes {
    rows: &[1..=66],
    rows_of: (64, 64),
    linear: &[
        (197, 64, 192),
        (5, 192, 64),
        (17, 384, 640),
        (33, 128, 3072),
        (50, 64, 8192),
        (3, 1152, 384),
    ],
    scales: &[0.0, 1e-30, 1e-3, 1e30, f32::MAX],
    scales_of: (64, 128),
    embeddings: &[(3, 9, 64, 192)],
    tokens: &[1..=70, 127..=129, 196..=197, 256..=257],
    merges: &[(3, 197, 192, 13), (2, 41, 768, 20), (1, 1025, 2048, 512)],
    ends: &[(3, 11, 192, 103)],
};

suite!(SHAPES, linear: Cpu, others: Cpu);

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
