//! Every CPU implementation gives the scalar reference's bits, over awkward shapes and values.

mod common;
#[path = "common/suite.rs"]
mod suite;

use common::checks::{
    Candidates, Places, check_activation, check_attention, check_linear, check_merge, check_norm,
    check_pool_attention, check_rotary, check_rotation,
};
use mergevit_kernels::ops::{Capacity, HEAD_WIDTHS, Merge, NormKind};
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
        (2, 64, 16384),
    ],
    scales: &[0.0, 1e-30, 1e-3, 1e30, f32::MAX],
    scales_of: (64, 128),
    rotations: &[
        (1, 1, 64, 64),
        (50, 3, 64, 64),
        (19, 4, 32, 128),
        (17, 2, 96, 64),
        (33, 2, 128, 64),
    ],
    embeddings: &[(3, 9, 0, 64, 192), (3, 9, 1, 64, 192), (2, 16, 5, 128, 64)],
    tokens: &[1..=70, 127..=129, 196..=197, 256..=257],
    merges: &[(3, 197, 192, 13), (2, 41, 768, 20), (1, 1025, 2048, 512)],
    ends: &[(3, 11, 192, 103), (1, 2, 64, 5), (2, 40, 4096, 9)],
};

suite!(SHAPES, linear: Cpu, others: Cpu);

proptest! {
    // Each case is some forty linear layers.
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn activation_of_random_shape(seed: u64, rows in 1usize..30, n in 1usize..3, k in 1usize..3) {
        check_activation::<Cpu>(seed, rows, 64 * n, 64 * k);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn linear_of_random_shape(seed: u64, rows in 1usize..90, n in 1usize..6, k in 1usize..9, e in -12i32..4) {
        check_linear::<Cpu>(seed, rows, 64 * n, 64 * k, 10f32.powi(e));
    }

    #[test]
    fn rotation_of_random_shape(seed: u64, rows in 1usize..60, pairs in 1usize..3, width in 0usize..4, k in 1usize..4) {
        check_rotation::<Cpu>(seed, rows, 2 * pairs, HEAD_WIDTHS[width], 64 * k);
    }

    #[test]
    fn norm_of_random_shape(seed: u64, kind in 0usize..3, rows in 1usize..40, c in 1usize..70, padding in 0usize..64,
                            e in -6i32..4) {
        let kind = [NormKind::Layer, NormKind::Rms, NormKind::None][kind];
        check_norm::<Cpu>(seed, kind, (rows, 64 * c, 64 * c - padding), 10f32.powi(e));
    }

    #[test]
    fn attention_of_random_shape(seed: u64, batch in 1usize..4, tokens in 1usize..100, pairs in 1usize..3,
                                 width in 0usize..4, e in -7i32..3) {
        let heads = (2 * pairs, HEAD_WIDTHS[width]);
        check_attention::<Cpu>(seed, (batch, tokens), heads, 10f32.powi(e));
        check_pool_attention::<Cpu>(seed, (batch, tokens), heads, 10f32.powi(e));
    }

    #[test]
    fn merge_of_random_shape(seed: u64, batch in 1usize..4, patches in 2usize..90, prefix in 0usize..=16,
                             heads in 1usize..4, head_width in 0usize..4, c in 1usize..4, share in 0.0f64..1.0,
                             variety in 1usize..12) {
        let tokens = prefix + patches;
        let limit = Merge::limit(tokens, prefix);
        let merged = 1 + (share * (limit - 1) as f64) as usize;
        let head_width = HEAD_WIDTHS[head_width];
        let shape = Merge { batch, tokens, width: 64 * c, heads, head_width, merged, prefix };
        check_merge::<Cpu>(seed, shape, variety, Places::of(seed));
    }

    #[test]
    fn rotary_of_random_shape(seed: u64, batch in 1usize..4, patches in 0usize..90, prefix in 0usize..=16,
                              tables in 1usize..4, width in 0usize..4) {
        prop_assume!(patches + prefix > 0);
        check_rotary::<Cpu>(seed, (batch, patches + prefix, prefix), (tables, HEAD_WIDTHS[width]));
    }
}
