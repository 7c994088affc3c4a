//! The equality tests that every set of implementations passes, over shapes of its own where they matter to it.

use super::common::checks::{
    Candidates, Places, check_activation, check_attention, check_embedding, check_head,
    check_linear, check_merge, check_norm, check_patchify, check_pool, check_pool_attention,
    check_rotary, check_rotation,
};
use mergevit_kernels::ops::{HEAD_WIDTHS, Merge, NormKind};
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
    /// Rotations: (rows, heads, channels of a head, K).
    pub(crate) rotations: &'static [(usize, usize, usize, usize)],
    /// Embeddings: (images, patches, rows before them, N, K).
    pub(crate) embeddings: &'static [(usize, usize, usize, usize, usize)],
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
        suite!(@of $linear, ($shapes),
            linear_over_row_counts,
            linear_over_inner_and_outer_sizes,
            linear_with_extreme_scales,
            rotation_over_heads,
            embedding_of_batches,
        );
        suite!(@of $linear, (), linear_with_every_activation,);
        suite!(@of $others, ($shapes),
            attention_over_token_counts,
            merging_batches_and_wide_tokens,
            patches_pooling_and_head,
        );
        suite!(@of $others, (),
            norms_over_widths_and_magnitudes,
            norms_of_padded_and_long_rows,
            attention_over_batches_heads_and_sharpness,
            attention_over_head_widths,
            attention_of_many_tokens,
            attention_of_constant_queries,
            merging_every_amount_with_ties_and_zero_vectors,
            merging_beside_prefixes,
            merging_over_head_widths,
            rotary_tables,
        );
    };
    (@of $set:ty, $shapes:tt, $($name:ident,)*) => {$(
        #[test]
        fn $name() {
            suite!(@call $name, $set, $shapes);
        }
    )*};
    (@call $name:ident, $set:ty, ($shapes:ident)) => { suite::$name::<$set>(&$shapes) };
    (@call $name:ident, $set:ty, ()) => { suite::$name::<$set>() };
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

pub(crate) fn linear_with_every_activation<S: Candidates>() {
    for seed in 0..4 {
        check_activation::<S>(seed, 19, 128, 64);
    }
}

pub(crate) fn rotation_over_heads<S: Candidates>(shapes: &Shapes) {
    for &(rows, heads, head_width, inputs) in shapes.rotations {
        check_rotation::<S>(13, rows, heads, head_width, inputs);
    }
}

pub(crate) fn embedding_of_batches<S: Candidates>(shapes: &Shapes) {
    for &(batch, patches, prefix, width, inputs) in shapes.embeddings {
        check_embedding::<S>(batch, patches, prefix, width, inputs);
    }
}

const NORMS: [NormKind; 3] = [NormKind::Layer, NormKind::Rms, NormKind::None];

pub(crate) fn norms_over_widths_and_magnitudes<S: Candidates>() {
    for kind in NORMS {
        for width in (64..=2048).step_by(64) {
            check_norm::<S>(width as u64, kind, (3, width, width), 1.0);
        }
        for magnitude in [0.0, 1e-7, 1e-3, 1500.0, 65504.0] {
            check_norm::<S>(5, kind, (37, 192, 192), magnitude);
        }
    }
}

pub(crate) fn norms_of_padded_and_long_rows<S: Candidates>() {
    for kind in NORMS {
        let in_one_row = (1..=192).step_by(7).map(|count| (192, count));
        let long = [
            (320, 257),
            (2112, 2112),
            (2752, 2730),
            (4096, 4096),
            (8192, 8000),
            (16384, 16384),
        ];
        for (width, count) in in_one_row.chain(long) {
            check_norm::<S>(count as u64, kind, (3, width, count), 2.0);
        }
    }
}

pub(crate) fn attention_over_token_counts<S: Candidates>(shapes: &Shapes) {
    for tokens in shapes.tokens.iter().cloned().flatten() {
        check_attention::<S>(tokens as u64, (1, tokens), (1, 64), 3e-4);
    }
}

pub(crate) fn attention_over_batches_heads_and_sharpness<S: Candidates>() {
    for (batch, heads) in [(1, 3), (2, 2), (8, 1)] {
        for scale in [0.0, 1e-5, 1e-3, 1.0, 1e30] {
            check_attention::<S>(9, (batch, 21), (heads, 64), scale);
        }
    }
}

pub(crate) fn attention_over_head_widths<S: Candidates>() {
    for head_width in HEAD_WIDTHS {
        for (batch, tokens, heads) in [(1, 1, 2), (1, 17, 4), (2, 50, 2), (1, 129, 2)] {
            check_attention::<S>(6, (batch, tokens), (heads, head_width), 2e-4);
        }
    }
}

pub(crate) fn attention_of_many_tokens<S: Candidates>() {
    check_attention::<S>(1, (1, 1025), (1, 64), 2e-4);
    check_attention::<S>(2, (1, 2305), (2, 32), 2e-4);
}

pub(crate) fn attention_of_constant_queries<S: Candidates>() {
    for head_width in HEAD_WIDTHS {
        for (batch, tokens, heads) in [(1, 1, 2), (3, 49, 4), (1, 197, 12), (2, 64, 2)] {
            check_pool_attention::<S>(8, (batch, tokens), (heads, head_width), 2e-4);
        }
    }
    for scale in [0.0, 1.0, 1e30] {
        check_pool_attention::<S>(8, (2, 21), (2, 64), scale);
    }
    check_pool_attention::<S>(8, (1, 4112), (2, 64), 2e-4);
}

/// One image of `tokens` tokens with one head of 64 channels.
fn narrow(tokens: usize, merged: usize, prefix: usize) -> Merge {
    Merge {
        batch: 1,
        tokens,
        width: 64,
        heads: 1,
        head_width: 64,
        merged,
        prefix,
    }
}

pub(crate) fn merging_every_amount_with_ties_and_zero_vectors<S: Candidates>() {
    for prefix in [0, 1] {
        for tokens in [2, 3, 4, 5, 16, 17, 33, 50] {
            for merged in 1..=Merge::limit(tokens, prefix) {
                let shape = narrow(tokens, merged, prefix);
                for variety in [1, 2, 8] {
                    let seed = (tokens * 100 + merged) as u64;
                    check_merge::<S>(seed, shape, variety, Places::Nowhere);
                }
            }
        }
    }
}

pub(crate) fn merging_beside_prefixes<S: Candidates>() {
    for prefix in (0..=5).chain([16]) {
        for patches in [2, 3, 9, 16, 36] {
            let tokens = prefix + patches;
            for merged in [1, patches / 4, patches / 2] {
                if merged == 0 || merged > Merge::limit(tokens, prefix) {
                    continue;
                }
                for places in [Places::Nowhere, Places::Grid, Places::Merged] {
                    let seed = (tokens * 50 + merged) as u64;
                    check_merge::<S>(seed, narrow(tokens, merged, prefix), 4, places);
                }
            }
        }
    }
}

pub(crate) fn merging_over_head_widths<S: Candidates>() {
    for head_width in HEAD_WIDTHS {
        for (heads, width) in [(2, 64), (4, 192), (32, 320)] {
            let shape = Merge {
                batch: 2,
                tokens: 41,
                width,
                heads,
                head_width,
                merged: 11,
                prefix: 1,
            };
            check_merge::<S>(head_width as u64, shape, 6, Places::of(width as u64 / 64));
        }
    }
}

pub(crate) fn merging_batches_and_wide_tokens<S: Candidates>(shapes: &Shapes) {
    for &(batch, tokens, width, merged) in shapes.merges {
        let shape = Merge {
            batch,
            tokens,
            width,
            heads: width / 64,
            head_width: 64,
            merged,
            prefix: 1,
        };
        check_merge::<S>(4, shape, 5, Places::Nowhere);
    }
}

pub(crate) fn rotary_tables<S: Candidates>() {
    for (tables, head_width) in [(1, 64), (6, 64), (1, 32), (3, 96), (2, 128)] {
        for (batch, tokens, prefix) in [(1, 1, 0), (1, 1, 1), (2, 50, 1), (1, 201, 5)] {
            check_rotary::<S>(17, (batch, tokens, prefix), (tables, head_width));
        }
    }
}

pub(crate) fn patches_pooling_and_head<S: Candidates>(shapes: &Shapes) {
    for (image_size, patch_size) in [(16, 8), (28, 14), (48, 16), (64, 32), (33, 14), (47, 16)] {
        check_patchify::<S>(image_size, patch_size);
    }
    for &(batch, tokens, width, classes) in shapes.ends {
        check_pool::<S>(batch, tokens, width);
        check_head::<S>(batch, classes, width);
    }
}
