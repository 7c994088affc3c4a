//! Token merging in full precision (Bolya et al., arXiv 2210.09461).

use super::Tokens;
use super::product::{Matrix, multiply};
use mergevit_kernels::ops::Merge;

/// What is the same in every layer.
pub(super) struct Shape {
    /// C
    pub(super) width: usize,
    /// H
    pub(super) heads: usize,
    /// D
    pub(super) head_width: usize,
    /// P
    pub(super) prefix: usize,
}

/// Merges up to `wanted` tokens by the mean over heads of `keys` (T, A). The prefix stays in front, then come the
/// kept even tokens, then the odd ones.
pub(super) fn merge(shape: &Shape, wanted: usize, keys: &[f32], tokens: Tokens) -> Tokens {
    let count = tokens.sizes.len();
    let merged = wanted.min(Merge::limit(count, shape.prefix));
    if merged == 0 {
        return tokens;
    }
    let partner = partners(shape, merged, keys, count);
    let left = count - merged;
    let mut out = Tokens {
        residual: Vec::with_capacity(left * shape.width),
        sizes: Vec::with_capacity(left),
        positions: Vec::with_capacity(left),
    };
    let unprotected = |token: &usize| *token >= shape.prefix;
    let even = (0..count).step_by(2).filter(unprotected);
    let odd = (1..count).step_by(2).filter(unprotected);
    for token in (0..shape.prefix).chain(even.filter(|token| partner[token / 2].is_none())) {
        push(shape, &tokens, token, &[], &mut out);
    }
    for token in odd {
        let joins = |a: &usize| partner[*a] == Some(token / 2);
        let sources: Vec<usize> = (0..partner.len()).filter(joins).map(|a| 2 * a).collect();
        push(shape, &tokens, token, &sources, &mut out);
    }
    out
}

/// Appends the mean of `token` and `sources`, weighted by size.
fn push(shape: &Shape, tokens: &Tokens, token: usize, sources: &[usize], out: &mut Tokens) {
    let row = |token: usize| &tokens.residual[token * shape.width..][..shape.width];
    if sources.is_empty() {
        out.residual.extend_from_slice(row(token));
        out.sizes.push(tokens.sizes[token]);
        out.positions.push(tokens.positions[token]);
        return;
    }
    let mut size = 0;
    let mut sum = vec![0.0f32; shape.width];
    let mut position = [0.0; 2];
    for &part in [token].iter().chain(sources) {
        let weight = tokens.sizes[part];
        size += weight;
        for (s, x) in sum.iter_mut().zip(row(part)) {
            *s += weight as f32 * x;
        }
        for (p, x) in position.iter_mut().zip(tokens.positions[part]) {
            *p += f64::from(weight) * x;
        }
    }
    out.residual.extend(sum.iter().map(|s| s / size as f32));
    out.sizes.push(size);
    out.positions.push(position.map(|p| p / f64::from(size)));
}

/// For every even token: the odd token that it merges into, if any.
fn partners(shape: &Shape, merged: usize, keys: &[f32], tokens: usize) -> Vec<Option<usize>> {
    let channels = shape.head_width;
    let mut metric = vec![0.0f32; tokens * channels];
    for (metric, keys) in metric
        .chunks_exact_mut(channels)
        .zip(keys.chunks_exact(shape.heads * channels))
    {
        for head in keys.chunks_exact(channels) {
            metric.iter_mut().zip(head).for_each(|(m, k)| *m += k);
        }
        let norm = metric.iter().map(|m| m * m).sum::<f32>().sqrt();
        if norm > 0.0 {
            metric.iter_mut().for_each(|m| *m /= norm);
        }
    }
    // Rows of two tokens: A's columns, then B's.
    let (sources, targets) = (tokens.div_ceil(2), tokens / 2);
    metric.resize(2 * sources * channels, 0.0);
    let a = Matrix::columns(&metric, 2 * channels, 0, channels);
    let b = Matrix::columns(
        &metric[..2 * targets * channels],
        2 * channels,
        channels,
        channels,
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
        .skip(shape.prefix.div_ceil(2))
        .map(|(a, row)| {
            let start = (0, f32::NEG_INFINITY);
            let unprotected = row.iter().enumerate().skip(shape.prefix / 2);
            let best = unprotected.fold(
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
