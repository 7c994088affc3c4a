//! The equality tests that every set of implementations passes, over shapes of its own where they matter to it.

use super::common::checks::{
    Candidates, check_attention, check_embedding, check_layer_norm, check_linear, check_merge,
    check_patchify, check_pool_and_head,
};
use mergevit_kernels::ops::Merge;
use std::ops::RangeInclusive;

/// Shapes that are awkward for one set of implementations.
pub(crate) struct Shapes {
    /// Linear layers of so many rows, M, ...
    pub(crate) rows: &'static [RangeInclusive<usize>],
    /// ... and (N, K).
    pub(crate) rows_of: (usize, usize),
    /// Linear layers, (M, N, K).
    pub(crate) linear: &'static [(usize, usize, usize)],
    /// Magnitudes of scales, for 19 rows ...
    pub(crate) scales: &'static [f32],
    /// ... and (N, K).
    pub(crate) scales_of: (usize, usize),
    /// Embeddings: (images, patches, N, K).
    pub(crate) embeddings: &'static [(usize, usize, usize, usize)],
    /// Tokens of attention.
    pub(crate) tokens: &'static [RangeInclusive<usize>],
    /// Merging: (images, tokens, channels, merged tokens).
    pub(crate) merges: &'static [(usize, usize, usize, usize)],
    /// The network's end: (images, tokens, channels, classes).
    pub(crate) ends: &'static [(usize, usize, usize, usize)],
}

/// One test for each function below: `suite!(SHAPES, linear: Candidates, others: Candidates)`.
macro_rules! suite {
    ($shapes:ident, linear: $linear:ty, others: $others:ty) => {
        #[test]
        fn linear_over_row_counts() {
            suite::linear_over_row_counts::<$linear>(&$shapes);
        }

        #[test]
        fn linear_over_inner_and_outer_sizes() {
            suite::linear_over_inner_and_outer_sizes::<$linear>(&$shapes);
        }

        #[test]
        fn linear_with_extreme_scales() {
            suite::linear_with_extreme_scales::<$linear>(&$shapes);
        }

        #[test]
        fn embedding_of_batches() {
            suite::embedding_of_batches::<$linear>(&$shapes);
        }

        #[test]
        fn layer_norm_over_widths_and_magnitudes() {
            suite::layer_norm_over_widths_and_magnitudes::<$others>();
        }

        #[test]
        fn attention_over_token_counts() {
            suite::attention_over_token_counts::<$others>(&$shapes);
        }

        #[test]
        fn attention_over_batches_heads_and_sharpness() {
            suite::attention_over_batches_heads_and_sharpness::<$others>();
        }

        #[test]
        fn attention_at_the_token_limit() {
            suite::attention_at_the_token_limit::<$others>();
        }

        #[test]
        fn merging_every_amount_with_ties_and_zero_vectors() {
            suite::merging_every_amount_with_ties_and_zero_vectors::<$others>();
        }

        #[test]
        fn merging_batches_and_wide_tokens() {
            suite::merging_batches_and_wide_tokens::<$others>(&$shapes);
        }

        #[test]
        fn patches_pooling_and_head() {
            suite::patches_pooling_and_head::<$others>(&$shapes);
        }
    };
}
pub(crate) use suite;

pub(crate) fn linear_over_row_counts<S: Candidates>(shapes: &Shapes) {
    let (outputs, inputs) = shapes.rows_of;
    for rows in shapes.rows.iter().cloned().flatten() {
        check_linear::<S>(rows as u64, rows, outputs, inputs, 1e-3);
    }
}

pub(crate) fn linear_over_inner_and_outer_sizes<S: Candidates>(shapes: &Shapes) {
    for &(rows, outputs, inputs) in shapes.linear {
        check_linear::<S>(7, rows, outputs, inputs, 3e-4);
    }
}

pub(crate) fn linear_with_extreme_scales<S: Candidates>(shapes: &Shapes) {
    let (outputs, inputs) = shapes.scales_of;
    for &scale in shapes.scales {
        check_linear::<S>(11, 19, outputs, inputs, scale);
    }
}

pub(crate) fn embedding_of_batches<S: Candidates>(shapes: &Shapes) {
    for &(batch, patches, width, inputs) in shapes.embeddings {
        check_embedding::<S>(batch, patches, width, inputs);
    }
}

pub(crate) fn layer_norm_over_widths_and_magnitudes<S: Candidates>() {
    for width in (64..=2048).step_by(64) {
        check_layer_norm::<S>(width as u64, 3, width, 1.0);
    }
    for magnitude in [0.0, 1e-7, 1e-3, 1500.0, 65504.0] {
        check_layer_norm::<S>(5, 37, 192, magnitude);
    }
}

pub(crate) fn attention_over_token_counts<S: Candidates>(shapes: &Shapes) {
    for tokens in shapes.tokens.iter().cloned().flatten() {
        check_attention::<S>(tokens as u64, 1, tokens, 1, 3e-4);
    }
}

pub(crate) fn attention_over_batches_heads_and_sharpness<S: Candidates>() {
    for (batch, heads) in [(1, 3), (2, 2), (8, 1)] {
        for scale in [0.0, 1e-5, 1e-3, 1.0, 1e30] {
            check_attention::<S>(9, batch, 21, heads, scale);
        }
    }
}

pub(crate) fn attention_at_the_token_limit<S: Candidates>() {
    check_attention::<S>(1, 1, 1025, 1, 2e-4);
}

pub(crate) fn merging_every_amount_with_ties_and_zero_vectors<S: Candidates>() {
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
                    check_merge::<S>((tokens * 100 + merged) as u64, shape, variety);
                }
            }
        }
    }
}

pub(crate) fn merging_batches_and_wide_tokens<S: Candidates>(shapes: &Shapes) {
    for &(batch, tokens, width, merged) in shapes.merges {
        let shape = Merge {
            batch,
            tokens,
            width,
            merged,
            class_token: true,
        };
        check_merge::<S>(4, shape, 5);
    }
}

pub(crate) fn patches_pooling_and_head<S: Candidates>(shapes: &Shapes) {
    for (image_size, patch_size) in [(16, 8), (28, 14), (48, 16), (64, 32)] {
        check_patchify::<S>(image_size, patch_size);
    }
    for &(batch, tokens, width, classes) in shapes.ends {
        check_pool_and_head::<S>(batch, tokens, width, classes);
    }
}
