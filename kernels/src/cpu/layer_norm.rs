//! Layer norm and quantization, one row at a time, in the contract's summation order.

use super::isa::Isa;
use super::shared::SharedMut;
use super::simd_math::sat8;
use super::threads::Team;
use crate::ops::{LayerNorm, NormKind};
use crate::reference;
use half::f16;

/// Accumulators of the canonical row sum; see [`crate::reference::tree_sum`].
const ACCUMULATORS: usize = 256;

/// Longest row that is kept in a buffer.
const MAX_WIDTH: usize = 2048;

/// Rows of a task: some 10 microseconds of work.
const ROWS: usize = 16;

/// Normalizes and quantizes every row of `input` (M, C).
pub(super) fn layer_norm<I: Isa>(
    isa: I,
    team: &mut Team,
    norm: &LayerNorm<'_>,
    input: &[f16],
    output: &mut [i8],
) {
    let width = norm.gain.len();
    assert_eq!(input.len(), output.len());
    if norm.kind != NormKind::Layer || norm.count != width || width > MAX_WIDTH {
        return reference::layer_norm(norm, input, output);
    }
    assert!(width.is_multiple_of(64) && width <= MAX_WIDTH && norm.bias.len() == width);
    let rows = input.len() / width;
    let output = SharedMut::new(output);
    team.run(rows.div_ceil(ROWS), &|_, task| {
        let range = task * ROWS * width..((task + 1) * ROWS).min(rows) * width;
        // SAFETY: one task a range of rows.
        let output = unsafe { output.part(range.clone()) };
        isa.vectorize(
            #[inline(always)]
            || {
                let input = &input[range];
                for (row, output) in input
                    .chunks_exact(width)
                    .zip(output.chunks_exact_mut(width))
                {
                    normalize(
                        isa,
                        norm,
                        row,
                        #[inline(always)]
                        |c, y| isa.store_i8(sat8(isa, y), &mut output[c..]),
                    );
                }
            },
        );
    });
}

/// Calls `write(column, values)` for every `LANES` columns of the normalized row.
#[inline(always)]
pub(super) fn normalize<I: Isa>(
    isa: I,
    norm: &LayerNorm<'_>,
    row: &[f16],
    mut write: impl FnMut(usize, I::F32),
) {
    let mut buffer = [0.0f32; MAX_WIDTH];
    let values = &mut buffer[..row.len()];
    for (x, half) in values
        .chunks_exact_mut(I::LANES)
        .zip(row.chunks_exact(I::LANES))
    {
        isa.store_f32(isa.load_f16(half), x);
    }
    let count = values.len() as f32;
    let mean = tree_sum(
        isa,
        values,
        #[inline(always)]
        |sum, x| isa.add(sum, x),
    ) / count;
    let mean_vector = isa.splat_f32(mean);
    let squares = tree_sum(
        isa,
        values,
        #[inline(always)]
        |sum, x| {
            let d = isa.sub(x, mean_vector);
            isa.fma(d, d, sum)
        },
    );
    let rstd = isa.splat_f32(1.0 / (squares / count + norm.epsilon).sqrt());
    for c in (0..values.len()).step_by(I::LANES) {
        let x = isa.mul(isa.sub(isa.load_f32(&values[c..]), mean_vector), rstd);
        write(
            c,
            isa.fma(
                x,
                isa.load_f32(&norm.gain[c..]),
                isa.load_f32(&norm.bias[c..]),
            ),
        );
    }
}

#[inline(always)]
fn tree_sum<I: Isa>(isa: I, row: &[f32], step: impl Fn(I::F32, I::F32) -> I::F32) -> f32 {
    // Accumulators that no element reaches stay +0, and adding +0 to a sum that began at +0 changes
    // nothing; they are added all the same, for the contract's sake, where they share a vector level.
    let mut sums = [0.0f32; ACCUMULATORS];
    for (a, sum) in sums.chunks_exact_mut(I::LANES).enumerate() {
        let mut acc = isa.splat_f32(0.0);
        for at in (a * I::LANES..row.len()).step_by(ACCUMULATORS) {
            acc = step(acc, isa.load_f32(&row[at..]));
        }
        isa.store_f32(acc, sum);
    }
    let mut half = ACCUMULATORS / 2;
    while half >= I::LANES {
        for j in (0..half).step_by(I::LANES) {
            let pair = isa.add(isa.load_f32(&sums[j..]), isa.load_f32(&sums[j + half..]));
            isa.store_f32(pair, &mut sums[j..]);
        }
        half /= 2;
    }
    while half > 0 {
        for j in 0..half {
            sums[j] += sums[j + half];
        }
        half /= 2;
    }
    sums[0]
}
