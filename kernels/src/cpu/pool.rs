//! Pooling, with channels in the lanes: each channel's chain of sums runs over tokens in order.

use super::isa::Isa;
use crate::ops::{Pool, Pooling};
use half::f16;

/// See [`crate::reference::pool`].
#[inline(always)]
pub(super) fn pool<I: Isa>(
    isa: I,
    shape: &Pool,
    residual: &[f16],
    sizes: &[u32],
    pooled: &mut [f16],
) {
    let (tokens, width) = (shape.tokens, shape.width);
    assert_eq!(residual.len(), shape.batch * tokens * width);
    assert_eq!(sizes.len(), shape.batch * tokens);
    assert_eq!(pooled.len(), shape.batch * shape.pooled_width());
    let images = residual
        .chunks_exact(tokens * width)
        .zip(sizes.chunks_exact(tokens));
    for ((residual, sizes), pooled) in images.zip(pooled.chunks_exact_mut(shape.pooled_width())) {
        match shape.pooling {
            Pooling::First(rows) => pooled.copy_from_slice(&residual[..rows * width]),
            Pooling::Mean { first } => mean(isa, residual, sizes, first, pooled),
            Pooling::FirstAndMean { first } => {
                let (row, rest) = pooled.split_at_mut(width);
                row.copy_from_slice(&residual[..width]);
                mean(isa, residual, sizes, first, rest);
            }
        }
    }
}

/// The weighted mean of the rows from `first` on.
#[inline(always)]
fn mean<I: Isa>(isa: I, residual: &[f16], sizes: &[u32], first: usize, out: &mut [f16]) {
    let width = out.len();
    let total = isa.splat_f32(sizes[first..].iter().sum::<u32>() as f32);
    for (c, to) in out.chunks_exact_mut(I::LANES).enumerate() {
        let mut sum = isa.splat_f32(0.0);
        for (token, &size) in sizes.iter().enumerate().skip(first) {
            let x = isa.load_f16(&residual[token * width + c * I::LANES..]);
            sum = isa.fma(isa.splat_f32(size as f32), x, sum);
        }
        isa.store_f16(isa.div(sum, total), to);
    }
}
