//! Token merging in full precision (Bolya et al., arXiv 2210.09461).

use super::Tokens;
use super::elementwise::softmax_rows;
use super::encoder::log_sizes;
use super::product::{Matrix, multiply};
use mergevit_kernels::ops::Merge;
use mergevit_runtime::Ranking;

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
    /// Factor of attention's scores.
    pub(super) score_factor: f32,
    /// Which tokens merge.
    pub(super) ranking: Ranking,
}

/// [`merge`] of each image of a batch; `queries` and `keys` hold the rows of one image after the other.
pub(super) fn merge_each(
    shape: &Shape,
    wanted: usize,
    (queries, keys): (&[f32], &[f32]),
    batch: Vec<Tokens>,
) -> Vec<Tokens> {
    let image = keys.len() / batch.len();
    let rows = queries.chunks_exact(image).zip(keys.chunks_exact(image));
    let images = batch.into_iter().zip(rows);
    images
        .map(|(tokens, rows)| merge(shape, wanted, rows, tokens))
        .collect()
}

/// Merges up to `wanted` tokens by the mean over heads of the keys; `queries` and `keys` (T, A). The prefix stays in
/// front, then come the kept even tokens, then the odd ones.
fn merge(
    shape: &Shape,
    wanted: usize,
    (queries, keys): (&[f32], &[f32]),
    tokens: Tokens,
) -> Tokens {
    let count = tokens.sizes.len();
    let merged = wanted.min(Merge::limit(count, shape.prefix));
    if merged == 0 {
        return tokens;
    }
    let mut pairs = most_similar(shape, keys, count);
    if shape.ranking == Ranking::ClassAttention {
        let shares = class_shares(shape, queries, keys, &tokens.sizes);
        for pair in &mut pairs {
            let share = shares[2 * pair.source].max(shares[2 * pair.target + 1]);
            pair.priority = (pair.priority - 1.0).min(0.0) * share.sqrt();
        }
    }
    // Stable: the lower index of equals comes first.
    pairs.sort_by(|x, y| y.priority.total_cmp(&x.priority));
    let mut partner = vec![None; count.div_ceil(2)];
    for pair in &pairs[..merged] {
        partner[pair.source] = Some(pair.target);
    }
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

/// An even token and the odd one that it would merge into, as their numbers among even and odd tokens.
struct Pair {
    source: usize,
    target: usize,
    /// The largest merges first: at first the similarity.
    priority: f32,
}

/// The most similar odd token of every even one behind the prefix.
fn most_similar(shape: &Shape, keys: &[f32], tokens: usize) -> Vec<Pair> {
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

    let rows = similarity.chunks_exact(targets).enumerate();
    rows.skip(shape.prefix.div_ceil(2))
        .map(|(source, row)| {
            let start = (0, f32::NEG_INFINITY);
            let unprotected = row.iter().enumerate().skip(shape.prefix / 2);
            let best = unprotected.fold(
                start,
                |best, (b, &s)| {
                    if s > best.1 { (b, s) } else { best }
                },
            );
            Pair {
                source,
                target: best.0,
                priority: best.1,
            }
        })
        .collect()
}

/// The softmax of the first token's queries over the tokens behind the prefix, sizes included, summed over heads: (T), of
/// which those of the prefix mean nothing.
fn class_shares(shape: &Shape, queries: &[f32], keys: &[f32], sizes: &[u32]) -> Vec<f32> {
    let (width, prefix) = (shape.heads * shape.head_width, shape.prefix);
    let bias = log_sizes(sizes);
    let mut shares = vec![0.0; sizes.len()];
    for head in (0..width).step_by(shape.head_width) {
        let channels = head..head + shape.head_width;
        let query = &queries[channels.clone()];
        let score = |key: &[f32]| -> f32 {
            let products = query.iter().zip(&key[channels.clone()]);
            products.map(|(q, k)| q * k).sum()
        };
        let rows = keys.chunks_exact(width).skip(prefix);
        let mut scores: Vec<f32> = rows.map(score).collect();
        softmax_rows(&mut scores, shape.score_factor, &bias[prefix..]);
        for (share, score) in shares[prefix..].iter_mut().zip(scores) {
            *share += score;
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A class token and four patches; of the first two the keys are most alike.
    const KEYS: [f32; 10] = [0.0, 0.0, 1.0, 0.0, 1.0, 0.1, 0.0, 1.0, 0.3, 1.0];

    fn shape(ranking: Ranking) -> Shape {
        Shape {
            width: 1,
            heads: 1,
            head_width: 2,
            prefix: 1,
            score_factor: 1.0,
            ranking,
        }
    }

    /// Merges one of the two pairs; the class token's query is `query`.
    fn merged(ranking: Ranking, query: [f32; 2]) -> Tokens {
        let mut queries = [0.0; 10];
        queries[..2].copy_from_slice(&query);
        let tokens = Tokens {
            residual: vec![0.0, 1.0, 3.0, 5.0, 9.0],
            sizes: vec![1; 5],
            positions: vec![[0.0; 2]; 5],
        };
        merge(&shape(ranking), 1, (&queries, &KEYS), tokens)
    }

    #[test]
    fn what_the_class_token_looks_at_stays() {
        let first_pair = [0.0, 9.0, 2.0, 5.0];
        let second_pair = [0.0, 3.0, 1.0, 7.0];
        for (ranking, query, residual) in [
            (Ranking::Similarity, [8.0, 0.0], first_pair),
            (Ranking::ClassAttention, [0.0, 0.0], first_pair),
            (Ranking::ClassAttention, [8.0, 0.0], second_pair),
            (Ranking::ClassAttention, [0.0, 8.0], first_pair),
        ] {
            let tokens = merged(ranking, query);
            assert_eq!(tokens.residual, residual, "{ranking:?} {query:?}");
            assert_eq!(tokens.sizes.iter().sum::<u32>(), 5);
        }
    }

    #[test]
    fn shares_are_a_softmax_of_what_is_behind_the_prefix() {
        let query = [2.0, -1.0];
        let sizes = [1, 1, 3, 1, 2];
        let shares = class_shares(&shape(Ranking::ClassAttention), &query, &KEYS, &sizes);
        let terms: Vec<f64> = (1..5)
            .map(|token| {
                let key = &KEYS[2 * token..][..2];
                let score = f64::from(query[0] * key[0] + query[1] * key[1]);
                f64::from(sizes[token]) * score.exp()
            })
            .collect();
        let total: f64 = terms.iter().sum();
        for (share, term) in shares[1..].iter().zip(terms) {
            assert!((f64::from(*share) - term / total).abs() < 1e-6);
        }
    }
}
