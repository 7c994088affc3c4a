//! What every implementation must do as the scalar reference does: one function an operation, each over
//! all candidates of a set.

use super::{Weights, bits};
use half::f16;
use mergevit_kernels::Kernels;
use mergevit_kernels::ops::{
    Attention, Capacity, Embed, Epilogue, LayerNorm, Merge, MergeInput, MergeOutput, Patchify,
    Pool, Pooling,
};
use mergevit_kernels::reference::Reference;
use mergevit_kernels::testing::Random;

/// Implementations to be compared with the reference.
pub trait Candidates {
    fn candidates(capacity: &Capacity) -> Vec<Box<dyn Kernels>>;
}

fn capacity(batch: usize, tokens: usize, width: usize, inner: usize) -> Capacity {
    Capacity {
        batch,
        tokens,
        width,
        inner,
    }
}

/// All four epilogues of one linear layer.
pub fn check_linear<S: Candidates>(
    seed: u64,
    rows: usize,
    outputs: usize,
    inputs: usize,
    scale: f32,
) {
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
    for mut kernels in S::candidates(&capacity(1, rows, outputs, inputs)) {
        let got = run(&mut *kernels);
        assert!(
            got == want,
            "{} on {} threads",
            kernels.name(),
            kernels.threads()
        );
    }
}

pub fn check_layer_norm<S: Candidates>(seed: u64, rows: usize, width: usize, magnitude: f32) {
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
    for mut kernels in S::candidates(&capacity(1, rows, width, width)) {
        assert!(
            run(&mut *kernels) == want,
            "{} width {width}",
            kernels.name()
        );
    }
}

pub fn check_attention<S: Candidates>(
    seed: u64,
    batch: usize,
    tokens: usize,
    heads: usize,
    scale: f32,
) {
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
        for mut kernels in S::candidates(&capacity(batch, tokens, width, width)) {
            let same = run(&mut *kernels) == want;
            assert!(
                same,
                "{} T {tokens} H {heads} scale {scale}",
                kernels.name()
            );
        }
    }
}

/// Keys with `variety` different values: few make ties, and all-zero rows make zero vectors.
pub fn check_merge<S: Candidates>(seed: u64, shape: Merge, variety: usize) {
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
    for mut kernels in S::candidates(&capacity(batch, tokens, width, width)) {
        assert!(run(&mut *kernels) == want, "{} {shape:?}", kernels.name());
    }
}

/// The patch embedding of a batch, with and without class tokens.
pub fn check_embedding<S: Candidates>(batch: usize, patches: usize, width: usize, inputs: usize) {
    let mut random = Random(3);
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
        for mut kernels in S::candidates(&capacity(batch, tokens, width, inputs)) {
            assert_eq!(run(&mut *kernels), want, "{}", kernels.name());
        }
    }
}

/// Two images cut into patches.
pub fn check_patchify<S: Candidates>(image_size: usize, patch_size: usize) {
    let mut random = Random(12);
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
    for mut kernels in S::candidates(&capacity(2, 5, 64, 64)) {
        assert!(
            run(&mut *kernels) == want,
            "{} patch {patch_size}",
            kernels.name()
        );
    }
}

/// Both kinds of pooling, and the classifier.
pub fn check_pool_and_head<S: Candidates>(
    batch: usize,
    tokens: usize,
    width: usize,
    classes: usize,
) {
    let mut random = Random(12);
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
        let weights = Weights::new(&mut random, classes, width, 1e-4, 1.0);
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
            let mut logits = vec![0f32; batch * classes];
            kernels.head(&high, &low, &weights.view(), &mut logits);
            (
                bits(&pooled),
                logits.iter().map(|l| l.to_bits()).collect::<Vec<_>>(),
            )
        };
        let want = run(&mut Reference::new());
        for mut kernels in S::candidates(&capacity(batch, tokens, width, width)) {
            assert!(run(&mut *kernels) == want, "{}", kernels.name());
        }
    }
}
