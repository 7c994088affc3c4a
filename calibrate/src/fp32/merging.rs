//! Token merging in full precision (Bolya et al., arXiv 2210.09461).

use super::product::{Matrix, multiply};
use mergevit_kernels::ops::{HEAD_WIDTH, Merge};

/// What is the same in every layer.
pub(super) struct Shape {
    pub(super) width: usize,
    pub(super) class_token: bool,
}

/// Merges up to `wanted` tokens by the mean over heads of `keys` (T, C). Returns `residual` (T - r, C) and
/// `sizes` (T - r).
pub(super) fn merge(
    shape: &Shape,
    wanted: usize,
    keys: &[f32],
    residual: Vec<f32>,
    sizes: Vec<u32>,
) -> (Vec<f32>, Vec<u32>) {
    let tokens = sizes.len();
    let merged = wanted.min(Merge::limit(tokens, shape.class_token));
    if merged == 0 {
        return (residual, sizes);
    }
    let partner = partners(shape, merged, keys, tokens);
    let (sources, targets) = (tokens.div_ceil(2), tokens / 2);
    let row = |token: usize| &residual[token * shape.width..][..shape.width];
    let mut out = Vec::with_capacity((tokens - merged) * shape.width);
    let mut out_sizes = Vec::with_capacity(tokens - merged);
    for a in (0..sources).filter(|&a| partner[a].is_none()) {
        out.extend_from_slice(row(2 * a));
        out_sizes.push(sizes[2 * a]);
    }
    for b in 0..targets {
        let token = 2 * b + 1;
        let mut size = sizes[token];
        let mut sum: Vec<f32> = row(token).iter().map(|x| x * size as f32).collect();
        for a in (0..sources).filter(|&a| partner[a] == Some(b)) {
            let weight = sizes[2 * a] as f32;
            sum.iter_mut()
                .zip(row(2 * a))
                .for_each(|(s, x)| *s += weight * x);
            size += sizes[2 * a];
        }
        out.extend(sum.iter().map(|s| s / size as f32));
        out_sizes.push(size);
    }
    (out, out_sizes)
}

/// For every even token: the odd token that it merges into, if any.
fn partners(shape: &Shape, merged: usize, keys: &[f32], tokens: usize) -> Vec<Option<usize>> {
    let mut metric = vec![0.0f32; tokens * HEAD_WIDTH];
    for (metric, keys) in metric
        .chunks_exact_mut(HEAD_WIDTH)
        .zip(keys.chunks_exact(shape.width))
    {
        for head in keys.chunks_exact(HEAD_WIDTH) {
            metric.iter_mut().zip(head).for_each(|(m, k)| *m += k);
        }
        let norm = metric.iter().map(|m| m * m).sum::<f32>().sqrt();
        if norm > 0.0 {
            metric.iter_mut().for_each(|m| *m /= norm);
        }
    }
    // Rows of two tokens: A's columns, then B's.
    let (sources, targets) = (tokens.div_ceil(2), tokens / 2);
    metric.resize(2 * sources * HEAD_WIDTH, 0.0);
    let a = Matrix::columns(&metric, 2 * HEAD_WIDTH, 0, HEAD_WIDTH);
    let b = Matrix::columns(
        &metric[..2 * targets * HEAD_WIDTH],
        2 * HEAD_WIDTH,
        HEAD_WIDTH,
        HEAD_WIDTH,
    );
    let mut similarity = vec![0.0; sources * targets];
    multiply(
        &mut Matrix::whole_mut(&mut similarity, targets),
        a,
        b.transposed(),
    );

    let mut best: Vec<(usize, f32, usize)> = similarity
        .chunks_exact(targets)
        .enumerate()
        .skip(usize::from(shape.class_token))
        .map(|(a, row)| {
            let start = (0, f32::NEG_INFINITY);
            let best = row.iter().enumerate().fold(
                start,
                |best, (b, &s)| {
                    if s > best.1 { (b, s) } else { best }
                },
            );
            (a, best.1, best.0)
        })
        .collect();
    best.sort_by(|x, y| y.1.total_cmp(&x.1));
    let mut partner = vec![None; sources];
    for &(a, _, b) in &best[..merged] {
        partner[a] = Some(b);
    }
    partner
}
