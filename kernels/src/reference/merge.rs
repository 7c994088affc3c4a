use super::class_share::class_shares;
use crate::ops::{MAX_HEAD_WIDTH, MAX_TOKENS, Merge, MergeInput, MergeOutput};
use half::f16;

/// A token's metric; channels beyond the head's width stay 0.
type Metric = [i32; MAX_HEAD_WIDTH];

/// Most tokens in the set A.
const MAX_SOURCES: usize = MAX_TOKENS.div_ceil(2);

/// Which tokens of one image merge into which.
#[derive(Debug)]
pub struct Matching {
    /// Per A token: similarity to its best B token; `-inf` for the prefix.
    pub similarity: Box<[f32]>,
    /// Per A token: index of its best B token.
    pub partner: Box<[u16]>,
    /// Per A token: what ranks it, the largest first; `-inf` for the prefix.
    pub priority: Box<[f32]>,
    /// Per A token: whether it merges.
    pub merges: Box<[bool]>,
    metric: Box<[Metric]>,
    inverse_norm: Box<[f32]>,
    /// Per token behind the prefix: its share of the class token's attention.
    share: Box<[f32]>,
    /// Per token behind the prefix: its score in one head.
    score: Box<[f32]>,
}

/// What decides which tokens of one image merge.
#[derive(Clone, Copy, Debug)]
pub struct MatchInput<'a> {
    /// (T, 3A)
    pub qkv: &'a [i8],
    /// (T)
    pub sizes: &'a [u32],
    /// As in [`MergeInput`].
    pub score_scale: Option<&'a [f32]>,
}

impl Default for Matching {
    fn default() -> Self {
        Self::new()
    }
}

impl Matching {
    /// Space for the largest image.
    pub fn new() -> Self {
        Self {
            similarity: vec![0.0; MAX_SOURCES].into(),
            partner: vec![0; MAX_SOURCES].into(),
            priority: vec![0.0; MAX_SOURCES].into(),
            merges: vec![false; MAX_SOURCES].into(),
            metric: vec![[0; MAX_HEAD_WIDTH]; MAX_TOKENS].into(),
            inverse_norm: vec![0.0; MAX_TOKENS].into(),
            share: vec![0.0; MAX_TOKENS].into(),
            score: vec![0.0; MAX_TOKENS].into(),
        }
    }
}

fn dot(a: &Metric, b: &Metric) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| a * b).sum()
}

/// Bipartite soft matching (Bolya et al., arXiv 2210.09461) on the keys of one image.
///
/// Even tokens are A, odd tokens are B; the prefix takes no part. The metric of a token is the sum of its quantized
/// keys over heads. Each A token's partner is the B token of largest cosine similarity, ties to the lower
/// index; the `merged` A tokens of highest priority merge, ties to the lower index.
///
/// The priority is the similarity; with a score scale it is the distance of the pair, negative, times the square root
/// of what the class token's attention gives the one of them to which it gives more.
pub fn match_tokens(shape: &Merge, input: MatchInput<'_>, out: &mut Matching) {
    assert!(shape.merged >= 1 && shape.merged <= Merge::limit(shape.tokens, shape.prefix));
    measure(shape, input.qkv, out);
    find_partners(shape, out);
    let sources = shape.sources();
    out.priority[..sources].copy_from_slice(&out.similarity[..sources]);
    if let Some(score_scale) = input.score_scale {
        weigh(shape, input, score_scale, out);
    }
    let priority = &out.priority[..sources];
    for (a, &own) in priority.iter().enumerate() {
        let ahead = |(other, &p): (usize, &f32)| p > own || (p == own && other < a);
        let rank = priority.iter().enumerate().filter(|&x| ahead(x)).count();
        out.merges[a] = rank < shape.merged;
    }
}

/// Metric of every token, and its inverse norm.
fn measure(shape: &Merge, qkv: &[i8], out: &mut Matching) {
    let width = shape.heads * shape.head_width;
    for (token, row) in qkv.chunks_exact(3 * width).enumerate() {
        let metric = &mut out.metric[token];
        metric.fill(0);
        for head in row[width..2 * width].chunks_exact(shape.head_width) {
            for (sum, &k) in metric.iter_mut().zip(head) {
                *sum += i32::from(k);
            }
        }
        let norm = dot(metric, metric);
        out.inverse_norm[token] = if norm == 0 {
            0.0
        } else {
            1.0 / (norm as f32).sqrt()
        };
    }
}

/// Most similar target of every source.
fn find_partners(shape: &Merge, out: &mut Matching) {
    for a in 0..shape.sources() {
        let (mut best, mut partner) = (f32::NEG_INFINITY, 0);
        if a >= shape.protected_sources() {
            for b in shape.protected_targets()..shape.targets() {
                let product = dot(&out.metric[2 * a], &out.metric[2 * b + 1]) as f32;
                let s = product * out.inverse_norm[2 * a] * out.inverse_norm[2 * b + 1];
                if s > best {
                    (best, partner) = (s, b);
                }
            }
        }
        (out.similarity[a], out.partner[a]) = (best, partner as u16);
    }
}

/// Makes priorities from similarities and the class token's attention.
fn weigh(shape: &Merge, input: MatchInput<'_>, score_scale: &[f32], out: &mut Matching) {
    assert!(shape.prefix >= 1, "the first token is the class token");
    assert_eq!(score_scale.len(), shape.heads);
    let share = &mut out.share[..shape.tokens - shape.prefix];
    let tokens = (input.qkv, input.sizes);
    class_shares(shape, tokens, score_scale, &mut out.score, share);
    for a in shape.protected_sources()..shape.sources() {
        let target = 2 * usize::from(out.partner[a]) + 1;
        let pair = share[2 * a - shape.prefix].max(share[target - shape.prefix]);
        out.priority[a] = (out.similarity[a] - 1.0).min(0.0) * pair.sqrt();
    }
}

/// Writes where each token of the image goes: the row of the output that it becomes, or becomes a part of, (T).
///
/// `matching` is what [`match_tokens`] found for this shape.
pub fn destinations(shape: &Merge, matching: &Matching, rows: &mut [u16]) {
    assert_eq!(rows.len(), shape.tokens);
    let (first, last) = (shape.protected_sources(), shape.sources());
    let kept = (first..last).filter(|&a| !matching.merges[a]).count();
    let target = |b: usize| (shape.prefix + kept + b - shape.protected_targets()) as u16;
    let mut next = shape.prefix as u16;
    for (token, row) in rows.iter_mut().enumerate() {
        *row = match (token < shape.prefix, token % 2 == 0) {
            (true, _) => token as u16,
            (false, false) => target(token / 2),
            (false, true) if matching.merges[token / 2] => {
                target(usize::from(matching.partner[token / 2]))
            }
            (false, true) => {
                next += 1;
                next - 1
            }
        };
    }
}

/// Merges tokens of every image: the prefix, then kept A tokens in ascending order, then all of B.
///
/// A merged token is the mean of its parts weighted by size: `fma` in f32, the B token first, then its A
/// tokens in ascending index; one division; one rounding to f16. Its position is such a mean too, not rounded.
pub fn merge(
    shape: &Merge,
    tokens: MergeInput<'_>,
    output: &mut MergeOutput<'_>,
    matching: &mut Matching,
) {
    let count = shape.tokens;
    let attention_width = shape.heads * shape.head_width;
    let kept = count - shape.merged;
    assert_eq!(tokens.qkv.len(), shape.batch * count * 3 * attention_width);
    assert_eq!(output.residual.len(), shape.batch * kept * shape.width);
    for image in 0..shape.batch {
        let qkv = &tokens.qkv[image * count * 3 * attention_width..][..count * 3 * attention_width];
        let input = MatchInput {
            qkv,
            sizes: &tokens.sizes[image * count..][..count],
            score_scale: tokens.score_scale,
        };
        match_tokens(shape, input, matching);
        for row in 0..kept {
            let token = origin(shape, matching, row);
            mean_of(
                shape,
                matching,
                &tokens,
                (image, token),
                (image * kept + row, output),
            );
        }
    }
}

/// The token that output row `row` starts from.
fn origin(shape: &Merge, matching: &Matching, row: usize) -> usize {
    if row < shape.prefix {
        return row;
    }
    let staying = (shape.protected_sources()..shape.sources()).filter(|&a| !matching.merges[a]);
    let targets = shape.protected_targets()..shape.targets();
    let sources = staying.map(|a| 2 * a);
    let mut rows = sources.chain(targets.map(|b| 2 * b + 1));
    rows.nth(row - shape.prefix)
        .expect("r tokens merge, so T - r rows are left")
}

/// Writes row `at` of the output: token `token` of the image and what merges into it.
fn mean_of(
    shape: &Merge,
    matching: &Matching,
    tokens: &MergeInput<'_>,
    (image, token): (usize, usize),
    (at, output): (usize, &mut MergeOutput<'_>),
) {
    let (count, width) = (shape.tokens, shape.width);
    let merges_here = |a: &usize| {
        matching.merges[*a] && token % 2 == 1 && usize::from(matching.partner[*a]) == token / 2
    };
    let parts = || (0..shape.sources()).filter(merges_here).map(|a| 2 * a);
    let size = |token: usize| tokens.sizes[image * count + token];
    let total = size(token) + parts().map(size).sum::<u32>();
    output.sizes[at] = total;
    let alone = parts().next().is_none();
    let mean = |value: &dyn Fn(usize) -> f32| {
        if alone {
            return value(token);
        }
        let own = size(token) as f32 * value(token);
        parts().fold(own, |sum, a| (size(a) as f32).mul_add(value(a), sum)) / total as f32
    };
    for (c, x) in output.residual[at * width..][..width]
        .iter_mut()
        .enumerate()
    {
        let channel = |token: usize| tokens.residual[(image * count + token) * width + c].to_f32();
        *x = f16::from_f32(mean(&channel));
    }
    if let Some(positions) = &mut output.positions {
        for (axis, to) in positions[2 * at..][..2].iter_mut().enumerate() {
            let of = |token| tokens.positions.of(image, token, count, shape.prefix)[axis];
            *to = mean(&of);
        }
    }
}
