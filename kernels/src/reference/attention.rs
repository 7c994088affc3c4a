use crate::math::{sat8, softmax_offset, softmax_weight};
use crate::ops::{Attention, MAX_HEAD_WIDTH};

/// Keys and values of one image and head.
struct Memory<'a> {
    /// The image's rows.
    rows: &'a [i8],
    /// Channels from row to row.
    stride: usize,
    /// Where in a row the head's key starts.
    key: usize,
    /// Where in a row the head's value starts.
    value: usize,
    /// log2 of each token's size.
    bias: &'a dyn Fn(usize) -> f32,
}

/// Attention of one query, number `index` of its image, over the tokens of `memory`, into the head's channels of a
/// context row.
///
/// `log2 size` is added to every score (proportional attention, Bolya et al., arXiv 2210.09461, eq. 1).
fn attend(
    (index, query): (usize, &[i8]),
    memory: &Memory<'_>,
    (score_scale, context_scale): (f32, f32),
    scores: &mut [f32],
    context: &mut [i8],
) {
    let row = |token: usize, at: usize| &memory.rows[token * memory.stride + at..][..query.len()];
    let mut max = f32::NEG_INFINITY;
    for (j, score) in scores.iter_mut().enumerate() {
        let products = query.iter().zip(row(j, memory.key));
        let acc: i32 = products.map(|(&q, &k)| i32::from(q) * i32::from(k)).sum();
        *score = (acc as f32).mul_add(score_scale, (memory.bias)(j));
        max = max.max(*score);
    }
    let mut sum = 0u32;
    let mut acc = [0i32; MAX_HEAD_WIDTH];
    for (j, &score) in scores.iter().enumerate() {
        let p = softmax_weight(score - max, softmax_offset(index, j));
        sum += p;
        for (acc, &v) in acc.iter_mut().zip(row(j, memory.value)) {
            *acc += p as i32 * i32::from(v);
        }
    }
    let scale = context_scale / sum as f32;
    for (out, &acc) in context.iter_mut().zip(&acc) {
        *out = sat8(acc as f32 * scale);
    }
}

/// Multi-head attention of the first Q tokens over all T: `qkv` (B, T, 3A) into `context` (B, Q, A).
///
/// `log2_size` maps a token's size to its logarithm; without `sizes` every token stands for itself. `scores` is
/// scratch of T or more.
pub fn attention(
    shape: &Attention<'_>,
    qkv: &[i8],
    sizes: Option<&[u32]>,
    log2_size: &[f32],
    scores: &mut [f32],
    context: &mut [i8],
) {
    let (tokens, width, head_width) = (shape.tokens, shape.width(), shape.head_width);
    assert_eq!(qkv.len(), shape.batch * tokens * 3 * width);
    assert!(shape.queries <= tokens);
    assert_eq!(context.len(), shape.batch * shape.queries * width);
    for image in 0..shape.batch {
        let rows = &qkv[image * tokens * 3 * width..][..tokens * 3 * width];
        let bias = |j: usize| sizes.map_or(0.0, |s| log2_size[s[image * tokens + j] as usize]);
        for head in 0..shape.heads {
            let column = head * head_width;
            let memory = Memory {
                rows,
                stride: 3 * width,
                key: width + column,
                value: 2 * width + column,
                bias: &bias,
            };
            for i in 0..shape.queries {
                attend(
                    (i, &rows[i * 3 * width + column..][..head_width]),
                    &memory,
                    (shape.score_scale[head], shape.context_scale[head]),
                    &mut scores[..tokens],
                    &mut context[(image * shape.queries + i) * width + column..][..head_width],
                );
            }
        }
    }
}

/// Attention of one constant query a head, `query` (A), over `key_value` (B, T, 2A) into `context` (B, A).
///
/// The arithmetic and the other arguments are those of [`attention`].
pub fn pool_attention(
    shape: &Attention<'_>,
    query: &[i8],
    key_value: &[i8],
    sizes: Option<&[u32]>,
    log2_size: &[f32],
    scores: &mut [f32],
    context: &mut [i8],
) {
    let (tokens, width, head_width) = (shape.tokens, shape.width(), shape.head_width);
    assert_eq!((query.len(), shape.queries), (width, 1));
    assert_eq!(key_value.len(), shape.batch * tokens * 2 * width);
    assert_eq!(context.len(), shape.batch * width);
    for image in 0..shape.batch {
        let bias = |j: usize| sizes.map_or(0.0, |s| log2_size[s[image * tokens + j] as usize]);
        for head in 0..shape.heads {
            let column = head * head_width;
            attend(
                (0, &query[column..][..head_width]),
                &Memory {
                    rows: &key_value[image * tokens * 2 * width..][..tokens * 2 * width],
                    stride: 2 * width,
                    key: column,
                    value: width + column,
                    bias: &bias,
                },
                (shape.score_scale[head], shape.context_scale[head]),
                &mut scores[..tokens],
                &mut context[image * width + column..][..head_width],
            );
        }
    }
}
