use crate::math::{exp2_255, sat8};
use crate::ops::{Attention, HEAD_WIDTH};

/// Multi-head attention over `qkv` (B, T, 3C) into `context` (B, T, C).
///
/// `log2_size` maps a token's size to its logarithm (proportional attention, Bolya et al., arXiv
/// 2210.09461, eq. 1); without `sizes` every token stands for itself. `scores` is scratch of T or more.
pub fn attention(
    shape: &Attention<'_>,
    qkv: &[i8],
    sizes: Option<&[u32]>,
    log2_size: &[f32],
    scores: &mut [f32],
    context: &mut [i8],
) {
    let (tokens, width) = (shape.tokens, shape.heads * HEAD_WIDTH);
    assert_eq!(qkv.len(), shape.batch * tokens * 3 * width);
    assert_eq!(context.len(), shape.batch * tokens * width);
    for image in 0..shape.batch {
        let row = |token: usize, part: usize, head: usize| {
            let start = (image * tokens + token) * 3 * width + part * width + head * HEAD_WIDTH;
            &qkv[start..][..HEAD_WIDTH]
        };
        let bias =
            |token: usize| sizes.map_or(0.0, |s| log2_size[s[image * tokens + token] as usize]);
        for head in 0..shape.heads {
            for i in 0..tokens {
                let query = row(i, 0, head);
                let mut max = f32::NEG_INFINITY;
                for (j, score) in scores[..tokens].iter_mut().enumerate() {
                    let key = row(j, 1, head);
                    let acc: i32 = query
                        .iter()
                        .zip(key)
                        .map(|(&q, &k)| i32::from(q) * i32::from(k))
                        .sum();
                    *score = (acc as f32).mul_add(shape.score_scale[head], bias(j));
                    max = max.max(*score);
                }
                let mut sum = 0u32;
                let mut acc = [0i32; HEAD_WIDTH];
                for (j, &score) in scores[..tokens].iter().enumerate() {
                    let p = exp2_255(score - max);
                    sum += p;
                    for (acc, &v) in acc.iter_mut().zip(row(j, 2, head)) {
                        *acc += p as i32 * i32::from(v);
                    }
                }
                let scale = shape.context_scale[head] / sum as f32;
                let start = (image * tokens + i) * width + head * HEAD_WIDTH;
                for (out, &acc) in context[start..][..HEAD_WIDTH].iter_mut().zip(&acc) {
                    *out = sat8(acc as f32 * scale);
                }
            }
        }
    }
}
