//! The beginning and the end of a network, and its positions.

use super::super::Weights;
use super::{Candidates, bits, bits32, capacity, compare, sizes};
use half::f16;
use mergevit_kernels::ops::{Patchify, Pool, Pooling, Positions, Rotary};
use mergevit_kernels::testing::Random;

/// Two images cut into patches.
pub fn check_patchify<S: Candidates>(image_size: usize, patch_size: usize) {
    let mut random = Random(12);
    let shape = Patchify {
        batch: 2,
        image_size,
        patch_size,
    };
    let pixels = random.bytes(2 * image_size * image_size * 3);
    compare::<S, _>(&capacity(2, 5, 64, 64), shape, |kernels| {
        let mut patches = vec![1i8; 2 * shape.patches() * shape.row()];
        kernels.patchify(&shape, &pixels, &mut patches);
        patches
    });
}

/// Every pooling that so many tokens have.
pub fn check_pool<S: Candidates>(batch: usize, tokens: usize, width: usize) {
    let mut random = Random(12);
    let residual = random.f16s(batch * tokens * width, 2.0);
    let sizes = sizes(&mut random, batch * tokens, 5);
    let poolings = [
        Pooling::First(1),
        Pooling::First(2),
        Pooling::Mean { first: 0 },
        Pooling::Mean { first: 1 },
        Pooling::Mean { first: 5 },
        Pooling::FirstAndMean { first: 0 },
        Pooling::FirstAndMean { first: 1 },
        Pooling::FirstAndMean { first: 5 },
    ];
    for pooling in poolings {
        let needed = match pooling {
            Pooling::First(rows) => rows,
            Pooling::Mean { first } | Pooling::FirstAndMean { first } => first + 1,
        };
        if needed > tokens {
            continue;
        }
        let shape = Pool {
            batch,
            tokens,
            width,
            pooling,
        };
        compare::<S, _>(&capacity(batch, tokens, width, width), shape, |kernels| {
            let mut pooled = vec![f16::ZERO; batch * shape.pooled_width()];
            kernels.pool(&shape, &residual, &sizes, &mut pooled);
            bits(&pooled)
        });
    }
}

/// The classifier.
pub fn check_head<S: Candidates>(batch: usize, classes: usize, inputs: usize) {
    let mut random = Random(12);
    let (high, low) = (
        random.i8s(batch * inputs, false),
        random.i8s(batch * inputs, true),
    );
    let weights = Weights::new(&mut random, classes, inputs, 1e-4, 1.0);
    let what = (batch, classes, inputs);
    compare::<S, _>(&capacity(batch, 1, inputs, inputs), what, |kernels| {
        let mut logits = vec![0f32; batch * classes];
        kernels.head(&high, &low, &weights.view(), &mut logits);
        bits32(&logits)
    });
}

/// Tables of `tables` heads, or of one that all share, on the grid and off it.
pub fn check_rotary<S: Candidates>(
    seed: u64,
    (batch, tokens, prefix): (usize, usize, usize),
    (tables, head_width): (usize, usize),
) {
    let mut random = Random(seed);
    let frequencies = random.f32s(tables * head_width / 2 * 3, 0.4);
    let at = random.f32s(batch * tokens * 2, 64.0);
    let shape = Rotary {
        batch,
        tokens,
        prefix,
        head_width,
        frequencies: &frequencies,
    };
    let side = (tokens - prefix).isqrt().max(1);
    for positions in [Positions::Grid { side }, Positions::At(&at)] {
        let room = capacity(batch, tokens, tables * head_width, tables * head_width);
        compare::<S, _>(&room, (&shape, tables), |kernels| {
            let mut table = vec![0f32; batch * tokens * tables * head_width];
            kernels.rotary(&shape, positions, &mut table);
            bits32(&table)
        });
    }
}
