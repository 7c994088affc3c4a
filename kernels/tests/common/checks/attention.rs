//! Attention, among tokens and of constant queries.

use super::{Candidates, compare, sizes};
use mergevit_kernels::ops::{Attention, Capacity};
use mergevit_kernels::testing::Random;

/// One attention's scales.
struct Scales {
    score: Vec<f32>,
    context: Vec<f32>,
}

impl Scales {
    fn new(random: &mut Random, heads: usize, scale: f32) -> Self {
        Self {
            score: random.f32s(heads, scale),
            context: (0..heads).map(|_| 1.5 + random.unit()).collect(),
        }
    }

    fn shape(&self, batch: usize, tokens: usize, head_width: usize) -> Attention<'_> {
        Attention {
            batch,
            tokens,
            queries: tokens,
            heads: self.score.len(),
            head_width,
            score_scale: &self.score,
            context_scale: &self.context,
        }
    }
}

fn room(shape: &Attention<'_>) -> Capacity {
    Capacity {
        batch: shape.batch,
        tokens: shape.tokens,
        width: shape.width(),
        head_width: shape.head_width,
        inner: shape.width(),
    }
}

/// With and without sizes, of all queries and of few; `scale` is how sharp it is.
pub fn check_attention<S: Candidates>(
    seed: u64,
    (batch, tokens): (usize, usize),
    (heads, head_width): (usize, usize),
    scale: f32,
) {
    let mut random = Random(seed);
    let width = head_width * heads;
    let qkv = random.i8s(batch * tokens * 3 * width, false);
    let sizes = sizes(&mut random, batch * tokens, 1025);
    let scales = Scales::new(&mut random, heads, scale);
    let all = scales.shape(batch, tokens, head_width);
    let sizes = Some(&sizes[..]);
    for (queries, sizes) in [
        (tokens, None),
        (tokens, sizes),
        (1, sizes),
        (tokens.min(2), None),
        (tokens.min(19), sizes),
    ] {
        let shape = Attention { queries, ..all };
        compare::<S, _>(&room(&shape), &shape, |kernels| {
            let mut context = vec![0i8; batch * queries * width];
            kernels.attention(&shape, &qkv, sizes, &mut context);
            context
        });
    }
}

/// Likewise, of one constant query a head.
pub fn check_pool_attention<S: Candidates>(
    seed: u64,
    (batch, tokens): (usize, usize),
    (heads, head_width): (usize, usize),
    scale: f32,
) {
    let mut random = Random(seed);
    let width = head_width * heads;
    let query = random.i8s(width, false);
    let key_value = random.i8s(batch * tokens * 2 * width, false);
    let sizes = sizes(&mut random, batch * tokens, 1025);
    let scales = Scales::new(&mut random, heads, scale);
    let shape = Attention {
        queries: 1,
        ..scales.shape(batch, tokens, head_width)
    };
    for sizes in [None, Some(&sizes[..])] {
        compare::<S, _>(&room(&shape), &shape, |kernels| {
            let mut context = vec![0i8; batch * width];
            kernels.pool_attention(&shape, &query, &key_value, sizes, &mut context);
            context
        });
    }
}
