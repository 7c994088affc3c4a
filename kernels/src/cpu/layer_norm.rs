//! Norms, one row at a time, in the contract's summation order, to every output.

use super::isa::{Isa, MAX_LANES};
use super::shared::SharedMut;
use super::threads::Team;
use crate::ops::{LayerNorm, NormKind, ROW_ALIGN};
use crate::reference::WIDE_MAX;
use half::f16;

/// Accumulators of the canonical row sum; see [`crate::reference::tree_sum`].
const ACCUMULATORS: usize = 256;

/// Channels of a task: some 10 microseconds of work.
const TASK: usize = 16 * 768;

/// What normalized values are rounded to, and where they go.
pub(super) trait Output: Sync {
    /// Elements in all.
    fn len(&self) -> usize;

    /// Writes the vector of elements from `at` on.
    ///
    /// # Safety
    /// No other thread writes these elements.
    unsafe fn store<I: Isa>(&self, isa: I, at: usize, y: I::F32);
}

/// An [`Output`] to one slice.
macro_rules! output {
    ($element:ty, |$isa:ident, $y:ident, $to:ident| $store:expr) => {
        impl Output for SharedMut<'_, $element> {
            fn len(&self) -> usize {
                self.len()
            }

            #[inline(always)]
            unsafe fn store<I: Isa>(&self, $isa: I, at: usize, $y: I::F32) {
                // SAFETY: the caller's.
                let $to = unsafe { self.part(at..at + I::LANES) };
                $store;
            }
        }
    };
}

output!(i8, |isa, y, to| isa.store_i8(isa.sat8(y), to));
output!(f16, |isa, y, to| isa.store_f16(y, to));
output!(f32, |isa, y, to| isa.store_f32(y, to));

/// 16 bits in two bytes, `256 * high + low`.
pub(super) struct Wide<'a> {
    pub(super) high: SharedMut<'a, i8>,
    pub(super) low: SharedMut<'a, i8>,
}

impl Output for Wide<'_> {
    fn len(&self) -> usize {
        assert_eq!(self.high.len(), self.low.len());
        self.high.len()
    }

    #[inline(always)]
    unsafe fn store<I: Isa>(&self, isa: I, at: usize, y: I::F32) {
        let y = isa.max(y, isa.splat_f32(-WIDE_MAX));
        let q = isa.to_i32(isa.min(y, isa.splat_f32(WIDE_MAX)));
        // The integer nearest to q / 256, ties up: the quarter of a step decides ties alone, and all is exact.
        let (step, tie) = (isa.splat_f32(1.0 / 256.0), isa.splat_f32(0.25 / 256.0));
        let high = isa.to_i32(isa.fma(isa.to_f32(q), step, tie));
        // SAFETY: the caller's.
        unsafe {
            isa.store_i8(high, self.high.part(at..at + I::LANES));
            // What is left of q is its low byte, read as signed.
            isa.store_i8(q, self.low.part(at..at + I::LANES));
        }
    }
}

/// Normalizes every row of `input` (M, L).
pub(super) fn layer_norm<I: Isa>(
    isa: I,
    team: &mut Team,
    norm: &LayerNorm<'_>,
    input: &[f16],
    output: &impl Output,
) {
    let width = norm.gain.len();
    assert_eq!(input.len(), output.len());
    assert!(width.is_multiple_of(ROW_ALIGN) && norm.bias.len() == width);
    assert!((1..=width).contains(&norm.count));
    let rows = input.len() / width;
    let task_rows = TASK.div_ceil(width);
    team.run(rows.div_ceil(task_rows), &|_, task| {
        isa.vectorize(
            #[inline(always)]
            || {
                for row in task * task_rows..((task + 1) * task_rows).min(rows) {
                    let at = row * width;
                    // SAFETY: one task a range of rows.
                    unsafe { normalize(isa, norm, &input[at..at + width], output, at) };
                }
            },
        );
    });
}

/// Normalizes one row, whose elements of the output start at `at`.
///
/// # Safety
/// No other thread writes these elements.
#[inline(always)]
unsafe fn normalize<I: Isa>(
    isa: I,
    norm: &LayerNorm<'_>,
    row: &[f16],
    output: &impl Output,
    at: usize,
) {
    let vectors = row
        .chunks_exact(I::LANES)
        .zip(norm.gain.chunks_exact(I::LANES))
        .zip(norm.bias.chunks_exact(I::LANES))
        .enumerate();
    if norm.kind == NormKind::None {
        for (i, ((x, gain), bias)) in vectors {
            let y = isa.fma(isa.load_f16(x), isa.load_f32(gain), isa.load_f32(bias));
            // SAFETY: the caller's.
            unsafe { output.store(isa, at + i * I::LANES, y) };
        }
        return;
    }
    let (mean, rstd) = moments(isa, norm, &row[..norm.count]);
    let (mean, rstd) = (isa.splat_f32(mean), isa.splat_f32(rstd));
    for (i, ((x, gain), bias)) in vectors {
        let x = isa.mul(isa.sub(isa.load_f16(x), mean), rstd);
        let y = isa.fma(x, isa.load_f32(gain), isa.load_f32(bias));
        // SAFETY: the caller's.
        unsafe { output.store(isa, at + i * I::LANES, y) };
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
