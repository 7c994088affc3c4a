//! Every CPU implementation gives the scalar reference's bits, over awkward shapes and values.

mod common;

use common::{Random, Weights, bits, candidates};
use half::f16;
use mergevit_kernels::Kernels;
use mergevit_kernels::ops::{
    Attention, Capacity, Embed, Epilogue, LayerNorm, Merge, MergeInput, MergeOutput, Patchify,
    Pool, Pooling,
};
use mergevit_kernels::reference::Reference;
use proptest::prelude::*;

fn capacity(batch: usize, tokens: usize, width: usize, inner: usize) -> Capacity {
    Capacity {
        batch,
        tokens,
        width,
        inner,
    }
}

/// All four epilogues of one linear layer.
fn check_linear(seed: u64, rows: usize, outputs: usize, inputs: usize, scale: f32) {
    let mut random = Random(seed);
    let input = random.i8s(rows * inputs, true);
    let weights = Weights::new(&mut random, outputs, inputs, scale, 2.0);
    let residual = random.f16s(rows * outputs, 3.0);
    let position = random.f32s((rows + 1) * outputs, 1.0);
    let run = |kernels: &mut dyn Kernels| {
        let mut plain = vec![0i8; rows * outputs];
        let mut hidden = vec![0i8; rows * outputs];
        let mut added = residual.clone();
        let mut embedded = vec![f16::ZERO; (rows + 1) * outputs];
        let view = weights.view();
        kernels.linear(
            rows,
            &input,
            &view,
            Epilogue::Requantize { output: &mut plain },
        );
        let gelu = Epilogue::GeluRequantize {
            inverse_scale: 31.0,
            zero_point: -117.0,
            output: &mut hidden,
        };
        kernels.linear(rows, &input, &view, gelu);
        kernels.linear(
            rows,
            &input,
            &view,
            Epilogue::ResidualAdd {
                residual: &mut added,
            },
        );
        let embed = Embed {
            batch: 1,
            class_token: true,
            position: &position,
            residual: &mut embedded,
        };
        kernels.linear(rows, &input, &view, Epilogue::Embed(embed));
        (plain, hidden, bits(&added), bits(&embedded))
    };
    let want = run(&mut Reference::new());
    for mut kernels in candidates(&capacity(1, rows, outputs, inputs)) {
        let got = run(&mut *kernels);
        assert!(
            got == want,
            "{} on {} threads",
            kernels.name(),
            kernels.threads()
        );
    }
}

#[test]
fn linear_over_every_row_count_up_to_66() {
    for rows in 1..=66 {
        check_linear(rows as u64, rows, 64, 64, 1e-3);
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
        check_linear(7, rows, outputs, inputs, 3e-4);
    }
}

#[test]
fn linear_with_extreme_scales() {
    for scale in [0.0, 1e-30, 1e-3, 1e30, f32::MAX] {
        check_linear(11, 19, 64, 128, scale);
    }
}

#[test]
fn embedding_without_class_token_and_with_batches() {
    let mut random = Random(3);
    let (batch, patches, width, inputs) = (3, 9, 64, 192);
    let input = random.i8s(batch * patches * inputs, true);
    let weights = Weights::new(&mut random, width, inputs, 1e-3, 1.0);
    for class_token in [false, true] {
        let tokens = patches + usize::from(class_token);
        let position = random.f32s(tokens * width, 1.0);
        let run = |kernels: &mut dyn Kernels| {
            let mut residual = vec![f16::ZERO; batch * tokens * width];
            let embed = Embed {
                batch,
                class_token,
                position: &position,
                residual: &mut residual,
            };
            kernels.linear(
                batch * patches,
                &input,
                &weights.view(),
                Epilogue::Embed(embed),
            );
            bits(&residual)
        };
        let want = run(&mut Reference::new());
        for mut kernels in candidates(&capacity(batch, tokens, width, inputs)) {
            assert_eq!(run(&mut *kernels), want, "{}", kernels.name());
        }
    }
}

fn check_layer_norm(seed: u64, rows: usize, width: usize, magnitude: f32) {
    let mut random = Random(seed);
    let mut input = random.f16s(rows * width, magnitude);
    input[..width].fill(f16::from_f32(magnitude)); // a row without variance
    let (gain, bias) = (random.f32s(width, 40.0), random.f32s(width, 20.0));
    let wide: Vec<f32> = gain.iter().map(|g| g * 200.0).collect();
    let run = |kernels: &mut dyn Kernels| {
        let norm = LayerNorm {
            gain: &gain,
            bias: &bias,
            epsilon: 1e-6,
        };
        let mut output = vec![0i8; rows * width];
        let (mut high, mut low) = (output.clone(), output.clone());
        kernels.layer_norm(&norm, &input, &mut output);
        kernels.layer_norm_wide(
            &LayerNorm {
                gain: &wide,
                ..norm
            },
            &input,
            &mut high,
            &mut low,
        );
        (output, high, low)
    };
    let want = run(&mut Reference::new());
    for mut kernels in candidates(&capacity(1, rows, width, width)) {
        assert!(
            run(&mut *kernels) == want,
            "{} width {width}",
            kernels.name()
        );
    }
}

#[test]
fn layer_norm_over_widths_and_magnitudes() {
    for width in (64..=2048).step_by(64) {
        check_layer_norm(width as u64, 3, width, 1.0);
    }
    for magnitude in [0.0, 1e-7, 1e-3, 1500.0, 65504.0] {
        check_layer_norm(5, 37, 192, magnitude);
    }
}

fn check_attention(seed: u64, batch: usize, tokens: usize, heads: usize, scale: f32) {
    let mut random = Random(seed);
    let width = 64 * heads;
    let qkv = random.i8s(batch * tokens * 3 * width, false);
    let sizes: Vec<u32> = (0..batch * tokens)
        .map(|_| 1 + random.below(1025) as u32)
        .collect();
    let score_scale = random.f32s(heads, scale);
    let context_scale: Vec<f32> = (0..heads).map(|_| 1.5 + random.unit()).collect();
    let shape = Attention {
        batch,
        tokens,
        heads,
        score_scale: &score_scale,
        context_scale: &context_scale,
    };
    for sizes in [None, Some(&sizes[..])] {
        let run = |kernels: &mut dyn Kernels| {
            let mut context = vec![0i8; batch * tokens * width];
            kernels.attention(&shape, &qkv, sizes, &mut context);
            context
        };
        let want = run(&mut Reference::new());
        for mut kernels in candidates(&capacity(batch, tokens, width, width)) {
            let same = run(&mut *kernels) == want;
            assert!(
                same,
                "{} T {tokens} H {heads} scale {scale}",
                kernels.name()
            );
        }
    }
}

#[test]
fn attention_over_token_counts() {
    for tokens in (1..=70).chain([127, 128, 129, 196, 197, 256, 257]) {
        check_attention(tokens as u64, 1, tokens, 1, 3e-4);
    }
}

#[test]
fn attention_over_batches_heads_and_sharpness() {
    for (batch, heads) in [(1, 3), (2, 2), (8, 1)] {
        for scale in [0.0, 1e-5, 1e-3, 1.0, 1e30] {
            check_attention(9, batch, 21, heads, scale);
        }
    }
}

#[test]
fn attention_at_the_token_limit() {
    check_attention(1, 1, 1025, 1, 2e-4);
}

/// Keys with `variety` different values: few make ties, and all-zero rows make zero vectors.
fn check_merge(seed: u64, shape: Merge, variety: usize) {
    let mut random = Random(seed);
    let Merge {
        batch,
        tokens,
        width,
        merged,
        ..
    } = shape;
    let prototypes: Vec<Vec<i8>> = (0..variety)
        .map(|i| {
            if i == 0 {
                vec![0; width]
            } else {
                random.i8s(width, false)
            }
        })
        .collect();
    let mut qkv = random.i8s(batch * tokens * 3 * width, false);
    for row in qkv.chunks_exact_mut(3 * width) {
        let i = random.below(variety + 1);
        if let Some(prototype) = prototypes.get(i) {
            row[width..2 * width].copy_from_slice(prototype);
        }
    }
    let residual = random.f16s(batch * tokens * width, 4.0);
    let sizes: Vec<u32> = (0..batch * tokens)
        .map(|_| 1 + random.below(9) as u32)
        .collect();
    let kept = batch * (tokens - merged);
    let run = |kernels: &mut dyn Kernels| {
        let (mut out, mut out_sizes) = (vec![f16::ZERO; kept * width], vec![0; kept]);
        kernels.merge(
            &shape,
            MergeInput {
                qkv: &qkv,
                residual: &residual,
                sizes: &sizes,
            },
            MergeOutput {
                residual: &mut out,
                sizes: &mut out_sizes,
            },
        );
        (bits(&out), out_sizes)
    };
    let want = run(&mut Reference::new());
    let total = |sizes: &[u32]| sizes.iter().sum::<u32>();
    assert_eq!(total(&want.1), total(&sizes), "sizes must be conserved");
    for mut kernels in candidates(&capacity(batch, tokens, width, width)) {
        assert!(run(&mut *kernels) == want, "{} {shape:?}", kernels.name());
    }
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
                    check_merge((tokens * 100 + merged) as u64, shape, variety);
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
        check_merge(
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
fn patches_pooling_and_head() {
    let mut random = Random(12);
    for (image_size, patch_size) in [(16, 8), (28, 14), (48, 16), (64, 32)] {
        let shape = Patchify {
            batch: 2,
            image_size,
            patch_size,
        };
        let pixels: Vec<u8> = (0..2 * image_size * image_size * 3)
            .map(|_| random.bits() as u8)
            .collect();
        let run = |kernels: &mut dyn Kernels| {
            let mut patches = vec![1i8; 2 * shape.patches() * shape.row()];
            kernels.patchify(&shape, &pixels, &mut patches);
            patches
        };
        let want = run(&mut Reference::new());
        for mut kernels in candidates(&capacity(2, 5, 64, 64)) {
            assert!(
                run(&mut *kernels) == want,
                "{} patch {patch_size}",
                kernels.name()
            );
        }
    }
    let (batch, tokens, width) = (3, 11, 192);
    let residual = random.f16s(batch * tokens * width, 2.0);
    let sizes: Vec<u32> = (0..batch * tokens)
        .map(|_| 1 + random.below(5) as u32)
        .collect();
    let (high, low) = (
        random.i8s(batch * width, false),
        random.i8s(batch * width, true),
    );
    for (class_token, pooling) in [
        (true, Pooling::ClassToken),
        (true, Pooling::Mean),
        (false, Pooling::Mean),
    ] {
        let weights = Weights::new(&mut random, 103, width, 1e-4, 1.0);
        let run = |kernels: &mut dyn Kernels| {
            let mut pooled = vec![f16::ZERO; batch * width];
            let shape = Pool {
                batch,
                tokens,
                width,
                class_token,
                pooling,
            };
            kernels.pool(&shape, &residual, &sizes, &mut pooled);
            let mut logits = vec![0f32; batch * 103];
            kernels.head(&high, &low, &weights.view(), &mut logits);
            (
                bits(&pooled),
                logits.iter().map(|l| l.to_bits()).collect::<Vec<_>>(),
            )
        };
        let want = run(&mut Reference::new());
        for mut kernels in candidates(&capacity(batch, tokens, width, width)) {
            assert!(run(&mut *kernels) == want, "{}", kernels.name());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn linear_of_random_shape(seed: u64, rows in 1usize..90, n in 1usize..6, k in 1usize..9, e in -12i32..4) {
        check_linear(seed, rows, 64 * n, 64 * k, 10f32.powi(e));
    }

    #[test]
    fn layer_norm_of_random_shape(seed: u64, rows in 1usize..40, c in 1usize..20, e in -6i32..4) {
        check_layer_norm(seed, rows, 64 * c, 10f32.powi(e));
    }

    #[test]
    fn attention_of_random_shape(seed: u64, batch in 1usize..4, tokens in 1usize..100, heads in 1usize..4, e in -7i32..3) {
        check_attention(seed, batch, tokens, heads, 10f32.powi(e));
    }

    #[test]
    fn merge_of_random_shape(seed: u64, batch in 1usize..4, tokens in 3usize..90, heads in 1usize..4,
                             share in 0.0f64..1.0, class_token: bool, variety in 1usize..12) {
        let limit = Merge::limit(tokens, class_token);
        let merged = 1 + (share * (limit - 1) as f64) as usize;
        check_merge(seed, Merge { batch, tokens, width: 64 * heads, merged, class_token }, variety);
    }
}
