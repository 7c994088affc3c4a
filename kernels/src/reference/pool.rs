use crate::ops::{Pool, Pooling};
use half::f16;

/// `residual` (B, T, C) to `pooled` (B, C).
///
/// The mean is weighted by `sizes` (B, T): an f32 `fma` chain over tokens in ascending order, divided by
/// the sum of sizes, rounded once to f16.
pub fn pool(shape: &Pool, residual: &[f16], sizes: &[u32], pooled: &mut [f16]) {
    let (tokens, width) = (shape.tokens, shape.width);
    assert_eq!(residual.len(), shape.batch * tokens * width);
    assert_eq!(sizes.len(), shape.batch * tokens);
    assert_eq!(pooled.len(), shape.batch * width);
    let first = usize::from(shape.class_token);
    for (image, pooled) in pooled.chunks_exact_mut(width).enumerate() {
        let residual = &residual[image * tokens * width..][..tokens * width];
        let sizes = &sizes[image * tokens..][..tokens];
        match shape.pooling {
            Pooling::ClassToken => pooled.copy_from_slice(&residual[..width]),
            Pooling::Mean => {
                let total = sizes[first..].iter().sum::<u32>() as f32;
                for (c, x) in pooled.iter_mut().enumerate() {
                    let mut sum = 0.0f32;
                    for token in first..tokens {
                        sum = (sizes[token] as f32)
                            .mul_add(residual[token * width + c].to_f32(), sum);
                    }
                    *x = f16::from_f32(sum / total);
                }
            }
        }
    }
}
