use crate::ops::{HEAD_WIDTH, MAX_TOKENS, Merge, MergeInput, MergeOutput};
use half::f16;

/// Most tokens in the set A.
const MAX_SOURCES: usize = MAX_TOKENS.div_ceil(2);

/// Which tokens of one image merge into which.
#[derive(Debug)]
pub struct Matching {
    /// Per A token: similarity to its best B token; `-inf` for the class token.
    pub similarity: Box<[f32]>,
    /// Per A token: index of its best B token.
    pub partner: Box<[u16]>,
    /// Per A token: whether it merges.
    pub merges: Box<[bool]>,
    metric: Box<[[i32; HEAD_WIDTH]]>,
    inverse_norm: Box<[f32]>,
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
            merges: vec![false; MAX_SOURCES].into(),
            metric: vec![[0; HEAD_WIDTH]; MAX_TOKENS].into(),
            inverse_norm: vec![0.0; MAX_TOKENS].into(),
        }
    }
}

fn dot(a: &[i32; HEAD_WIDTH], b: &[i32; HEAD_WIDTH]) -> i32 {
    a.iter().zip(b).map(|(&a, &b)| a * b).sum()
}

/// Bipartite soft matching (Bolya et al., arXiv 2210.09461) on the keys of one image, `qkv` (T, 3C).
///
/// Even tokens are A, odd tokens are B. The metric of a token is the sum of its quantized keys over
/// heads. Each A token's partner is the B token of largest cosine similarity, ties to the lower index;
/// the `merged` most similar A tokens merge, ties to the lower index.
pub fn match_tokens(shape: &Merge, qkv: &[i8], out: &mut Matching) {
    let (tokens, width) = (shape.tokens, shape.width);
    assert!(shape.merged >= 1 && shape.merged <= Merge::limit(tokens, shape.class_token));
    for (token, row) in qkv.chunks_exact(3 * width).enumerate() {
        let metric = &mut out.metric[token];
        metric.fill(0);
        for head in row[width..2 * width].chunks_exact(HEAD_WIDTH) {
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
    let (sources, targets) = (tokens.div_ceil(2), tokens / 2);
    for a in 0..sources {
        let (mut best, mut partner) = (f32::NEG_INFINITY, 0);
        if !(shape.class_token && a == 0) {
            for b in 0..targets {
                let product = dot(&out.metric[2 * a], &out.metric[2 * b + 1]) as f32;
                let s = product * out.inverse_norm[2 * a] * out.inverse_norm[2 * b + 1];
                if s > best {
                    (best, partner) = (s, b);
                }
            }
        }
        (out.similarity[a], out.partner[a]) = (best, partner as u16);
    }
    let similarity = &out.similarity[..sources];
    for (a, &own) in similarity.iter().enumerate() {
        let ahead = |(other, &s): (usize, &f32)| s > own || (s == own && other < a);
        let rank = similarity.iter().enumerate().filter(|&x| ahead(x)).count();
        out.merges[a] = rank < shape.merged;
    }
}

/// Merges tokens of every image: kept A tokens in ascending order, then all of B.
///
/// A merged token is the mean of its parts weighted by size: `fma` in f32, the B token first, then its A
/// tokens in ascending index; one division; one rounding to f16.
pub fn merge(
    shape: &Merge,
    tokens: MergeInput<'_>,
    output: &mut MergeOutput<'_>,
    matching: &mut Matching,
) {
    let (count, width) = (shape.tokens, shape.width);
    let kept = count - shape.merged;
    assert_eq!(tokens.qkv.len(), shape.batch * count * 3 * width);
    assert_eq!(output.residual.len(), shape.batch * kept * width);
    for image in 0..shape.batch {
        match_tokens(
            shape,
            &tokens.qkv[image * count * 3 * width..][..count * 3 * width],
            matching,
        );
        apply(
            shape,
            matching,
            (
                &tokens.residual[image * count * width..][..count * width],
                &tokens.sizes[image * count..][..count],
            ),
            (
                &mut output.residual[image * kept * width..][..kept * width],
                &mut output.sizes[image * kept..][..kept],
            ),
        );
    }
}

fn apply(
    shape: &Merge,
    matching: &Matching,
    (residual, sizes): (&[f16], &[u32]),
    (out, out_sizes): (&mut [f16], &mut [u32]),
) {
    let width = shape.width;
    let (sources, targets) = (shape.tokens.div_ceil(2), shape.tokens / 2);
    let token = |index: usize| &residual[index * width..][..width];
    let mut rows = out.chunks_exact_mut(width).zip(out_sizes);
    for a in (0..sources).filter(|&a| !matching.merges[a]) {
        let (row, size) = rows.next().expect("r tokens merge, so T - r rows are left");
        row.copy_from_slice(token(2 * a));
        *size = sizes[2 * a];
    }
    for (b, (row, size)) in (0..targets).zip(rows) {
        let parts =
            || (0..sources).filter(|&a| matching.merges[a] && matching.partner[a] == b as u16);
        let own = sizes[2 * b + 1];
        *size = own + parts().map(|a| sizes[2 * a]).sum::<u32>();
        for (c, x) in row.iter_mut().enumerate() {
            let mut sum = own as f32 * token(2 * b + 1)[c].to_f32();
            for a in parts() {
                sum = (sizes[2 * a] as f32).mul_add(token(2 * a)[c].to_f32(), sum);
            }
            *x = f16::from_f32(sum / *size as f32);
        }
    }
}
