//! Norms, one row at a time, in the contract's summation order, to every output.

use super::isa::{Isa, MAX_LANES};
use super::shared::SharedMut;
use super::simd_math::sat8;
use super::threads::Team;
use crate::ops::{LayerNorm, NormKind, ROW_ALIGN};
use half::f16;

/// Accumulators of the canonical row sum; see [`crate::reference::tree_sum`].
const ACCUMULATORS: usize = 256;

/// Channels of a task: some 10 microseconds of work.
const TASK: usize = 16 * 768;

/// What a normalized value is rounded to.
pub(super) trait Output: Copy + Send {
    /// Writes a vector of values to as many elements.
    fn store<I: Isa>(isa: I, y: I::F32, to: &mut [Self]);
}

impl Output for i8 {
    #[inline(always)]
    fn store<I: Isa>(isa: I, y: I::F32, to: &mut [i8]) {
        isa.store_i8(sat8(isa, y), to);
    }
}

impl Output for f16 {
    #[inline(always)]
    fn store<I: Isa>(isa: I, y: I::F32, to: &mut [f16]) {
        isa.store_f16(y, to);
    }
}

impl Output for f32 {
    #[inline(always)]
    fn store<I: Isa>(isa: I, y: I::F32, to: &mut [f32]) {
        isa.store_f32(y, to);
    }
}

/// Normalizes every row of `input` (M, L).
pub(super) fn layer_norm<I: Isa, T: Output>(
    isa: I,
    team: &mut Team,
    norm: &LayerNorm<'_>,
    input: &[f16],
    output: &mut [T],
) {
    let width = norm.gain.len();
    assert_eq!(input.len(), output.len());
    assert!(width.is_multiple_of(ROW_ALIGN) && norm.bias.len() == width);
    assert!((1..=width).contains(&norm.count));
    let rows = input.len() / width;
    let output = SharedMut::new(output);
    let task_rows = TASK.div_ceil(width);
    team.run(rows.div_ceil(task_rows), &|_, task| {
        let range = task * task_rows * width..((task + 1) * task_rows).min(rows) * width;
        // SAFETY: one task a range of rows.
        let output = unsafe { output.part(range.clone()) };
        isa.vectorize(
            #[inline(always)]
            || {
                let rows = input[range].chunks_exact(width);
                for (row, output) in rows.zip(output.chunks_exact_mut(width)) {
                    normalize(isa, norm, row, output);
                }
            },
        );
    });
}

#[inline(always)]
fn normalize<I: Isa, T: Output>(isa: I, norm: &LayerNorm<'_>, row: &[f16], output: &mut [T]) {
    let vectors = row
        .chunks_exact(I::LANES)
        .zip(output.chunks_exact_mut(I::LANES))
        .zip(norm.gain.chunks_exact(I::LANES))
        .zip(norm.bias.chunks_exact(I::LANES));
    if norm.kind == NormKind::None {
        for (((x, to), gain), bias) in vectors {
            let (gain, bias) = (isa.load_f32(gain), isa.load_f32(bias));
            T::store(isa, isa.fma(isa.load_f16(x), gain, bias), to);
        }
        return;
    }
    let (mean, rstd) = moments(isa, norm, &row[..norm.count]);
    let (mean, rstd) = (isa.splat_f32(mean), isa.splat_f32(rstd));
    for (((x, to), gain), bias) in vectors {
        let x = isa.mul(isa.sub(isa.load_f16(x), mean), rstd);
        let y = isa.fma(x, isa.load_f32(gain), isa.load_f32(bias));
        T::store(isa, y, to);
    }
}

/// Mean, which is 0 where it is not taken off, and one over the standard deviation.
#[inline(always)]
fn moments<I: Isa>(isa: I, norm: &LayerNorm<'_>, row: &[f16]) -> (f32, f32) {
    let count = row.len() as f32;
    let mean = if norm.kind == NormKind::Layer {
        let sum = tree_sum(
            isa,
            row,
            #[inline(always)]
            |sum, x| isa.add(sum, x),
        );
        sum / count
    } else {
        0.0
    };
    let center = isa.splat_f32(mean);
    let squares = tree_sum(
        isa,
        row,
        #[inline(always)]
        |sum, x| {
            let d = isa.sub(x, center);
            isa.fma(d, d, sum)
        },
    );
    (mean, 1.0 / (squares / count + norm.epsilon).sqrt())
}

#[inline(always)]
fn tree_sum<I: Isa>(isa: I, row: &[f16], step: impl Fn(I::F32, I::F32) -> I::F32) -> f32 {
    // Accumulators that no element reaches stay +0, and adding +0 to a sum that began at +0 changes
    // nothing; they are added all the same, for the contract's sake, where they share a vector level.
    let mut sums = [0.0f32; ACCUMULATORS];
    let (whole, rest) = row.split_at(row.len() / I::LANES * I::LANES);
    for (a, sum) in sums.chunks_exact_mut(I::LANES).enumerate() {
        let mut acc = isa.splat_f32(0.0);
        for at in (a * I::LANES..whole.len()).step_by(ACCUMULATORS) {
            acc = step(acc, isa.load_f16(&whole[at..]));
        }
        isa.store_f32(acc, sum);
    }
    if !rest.is_empty() {
        // The last elements of the accumulators that they belong to; their neighbours' stay as they are.
        let sums = &mut sums[whole.len() % ACCUMULATORS..][..I::LANES];
        let (mut last, mut with) = ([f16::ZERO; MAX_LANES], [0.0f32; MAX_LANES]);
        last[..rest.len()].copy_from_slice(rest);
        let acc = step(isa.load_f32(sums), isa.load_f16(&last));
        isa.store_f32(acc, &mut with);
        sums[..rest.len()].copy_from_slice(&with[..rest.len()]);
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
