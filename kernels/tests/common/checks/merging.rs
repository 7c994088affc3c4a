//! Token merging.

use super::{Candidates, bits, bits32, compare, sizes};
use half::f16;
use mergevit_kernels::ops::{Capacity, Merge, MergeInput, MergeOutput, Positions};
use mergevit_kernels::testing::Random;

/// Where tokens are before they merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// Nobody asks.
    Nowhere,
    /// On the grid of patches.
    Grid,
    /// Where earlier merges have left them.
    Merged,
}

impl Places {
    /// Of every three seeds one each.
    pub fn of(seed: u64) -> Self {
        [Self::Nowhere, Self::Grid, Self::Merged][seed as usize % 3]
    }
}

/// Queries, keys and values. Keys have `variety` different values, and some are unlike all others: few make ties, and
/// the all-zero one makes zero vectors.
fn qkv(random: &mut Random, shape: &Merge, variety: usize) -> Vec<i8> {
    let width = shape.heads * shape.head_width;
    let prototypes: Vec<Vec<i8>> = (0..variety)
        .map(|i| match i {
            0 => vec![0; width],
            _ => random.i8s(width, false),
        })
        .collect();
    let mut qkv = random.i8s(shape.batch * shape.tokens * 3 * width, false);
    for row in qkv.chunks_exact_mut(3 * width) {
        let i = random.below(variety + 1);
        if let Some(prototype) = prototypes.get(i) {
            row[width..2 * width].copy_from_slice(prototype);
        }
    }
    qkv
}

/// One merging of tokens whose keys have `variety` different values, ranked by similarity and, where there is a class
/// token, by its attention too.
pub fn check_merge<S: Candidates>(seed: u64, shape: Merge, variety: usize, places: Places) {
    check_ranking::<S>(seed, shape, variety, places, None);
    if shape.prefix > 0 {
        // From attention that is all but even to one that sees a single token.
        let steepest = [1e-6, 3e-4, 4e-3][seed as usize % 3];
        let scale: Vec<f32> = (1..=shape.heads).map(|h| steepest / h as f32).collect();
        check_ranking::<S>(seed, shape, variety, places, Some(&scale));
    }
}

fn check_ranking<S: Candidates>(
    seed: u64,
    shape: Merge,
    variety: usize,
    places: Places,
    score_scale: Option<&[f32]>,
) {
    let mut random = Random(seed);
    let count = shape.batch * shape.tokens;
    let qkv = qkv(&mut random, &shape, variety);
    let residual = random.f16s(count * shape.width, 4.0);
    let sizes = sizes(&mut random, count, 9);
    let at = random.f32s(count * 2, 40.0);
    let kept = shape.batch * (shape.tokens - shape.merged);
    let positions = match places {
        Places::Nowhere => Positions::None,
        Places::Grid => Positions::Grid {
            side: (shape.tokens - shape.prefix).isqrt().max(1),
        },
        Places::Merged => Positions::At(&at),
    };
    let room = Capacity {
        batch: shape.batch,
        tokens: shape.tokens,
        width: shape.width,
        head_width: shape.head_width,
        inner: shape.width,
    };
    let want = compare::<S, _>(&room, (shape, places, score_scale), |kernels| {
        let (mut out, mut out_sizes) = (vec![f16::ZERO; kept * shape.width], vec![0; kept]);
        let mut out_positions = vec![f32::NAN; 2 * kept];
        let input = MergeInput {
            qkv: &qkv,
            residual: &residual,
            sizes: &sizes,
            score_scale,
            positions,
        };
        let output = MergeOutput {
            residual: &mut out,
            sizes: &mut out_sizes,
            positions: (places != Places::Nowhere).then_some(&mut out_positions[..]),
        };
        kernels.merge(&shape, input, output);
        (bits(&out), out_sizes, bits32(&out_positions))
    });
    let total = |sizes: &[u32]| sizes.iter().sum::<u32>();
    assert_eq!(total(&want.1), total(&sizes), "sizes must be conserved");
}
