use crate::ops::{Pool, Pooling};
use half::f16;

/// `residual` (B, T, C) to `pooled` (B, [`Pool::pooled_width`]).
pub fn pool(shape: &Pool, residual: &[f16], sizes: &[u32], pooled: &mut [f16]) {
    let (tokens, width) = (shape.tokens, shape.width);
    assert_eq!(residual.len(), shape.batch * tokens * width);
    assert_eq!(sizes.len(), shape.batch * tokens);
    assert_eq!(pooled.len(), shape.batch * shape.pooled_width());
    for (image, pooled) in pooled.chunks_exact_mut(shape.pooled_width()).enumerate() {
        let residual = &residual[image * tokens * width..][..tokens * width];
        let sizes = &sizes[image * tokens..][..tokens];
        match shape.pooling {
            Pooling::First(rows) => pooled.copy_from_slice(&residual[..rows * width]),
            Pooling::Mean { first } => mean(residual, sizes, first, pooled),
            Pooling::FirstAndMean { first } => {
                let (row, rest) = pooled.split_at_mut(width);
                row.copy_from_slice(&residual[..width]);
                mean(residual, sizes, first, rest);
            }
        }
    }
}

/// The mean of the rows from `first` on, weighted by `sizes`: an f32 `fma` chain over tokens in ascending order,
/// divided by the sum of sizes, rounded once to f16.
fn mean(residual: &[f16], sizes: &[u32], first: usize, out: &mut [f16]) {
    let width = out.len();
    let total = sizes[first..].iter().sum::<u32>() as f32;
    for (c, x) in out.iter_mut().enumerate() {
        let mut sum = 0.0f32;
        for token in first..sizes.len() {
            sum = (sizes[token] as f32).mul_add(residual[token * width + c].to_f32(), sum);
        }
        *x = f16::from_f32(sum / total);
    }
}
