use crate::math::exp2_255;
use crate::ops::Merge;

/// What the class token's attention gives each token behind the prefix of one image, summed over heads: `shares` gets
/// one value a token, the prefix left out, (T - P).
///
/// It is the softmax of attention itself, log sizes included, but over these tokens alone and without its rounding.
/// `qkv` (T, 3A), `sizes` (T), `score_scale` (H) as in [`Attention`](crate::ops::Attention); `scores` is scratch of
/// T - P or more.
pub(super) fn class_shares(
    shape: &Merge,
    (qkv, sizes): (&[i8], &[u32]),
    score_scale: &[f32],
    scores: &mut [f32],
    shares: &mut [f32],
) {
    let width = shape.heads * shape.head_width;
    let (query, sizes) = (&qkv[..width], &sizes[shape.prefix..]);
    let scores = &mut scores[..sizes.len()];
    shares.fill(0.0);
    for (head, (query, &scale)) in query
        .chunks_exact(shape.head_width)
        .zip(score_scale)
        .enumerate()
    {
        let mut max = f32::NEG_INFINITY;
        let rows = qkv.chunks_exact(3 * width).skip(shape.prefix);
        for (row, score) in rows.zip(&mut *scores) {
            let key = &row[width + head * shape.head_width..][..shape.head_width];
            let products = query.iter().zip(key);
            let acc: i32 = products.map(|(&q, &k)| i32::from(q) * i32::from(k)).sum();
            *score = acc as f32 * scale;
            max = max.max(*score);
        }
        let mut total = 0u32;
        for (score, &size) in scores.iter_mut().zip(sizes) {
            *score = exp2_255(*score - max);
            total += size * score.round_ties_even() as u32;
        }
        let inverse = 1.0 / total as f32;
        for (share, &score) in shares.iter_mut().zip(&*scores) {
            *share = score.mul_add(inverse, *share);
        }
    }
    for (share, &size) in shares.iter_mut().zip(sizes) {
        *share *= size as f32;
    }
}
