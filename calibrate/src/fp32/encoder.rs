//! One encoder layer.

use super::elementwise::{activate, gate, norm, softmax_rows};
use super::product::{Matrix, multiply};
use super::rotary::rotate;
use super::{Change, Forward, Point, Tokens, linear};
use crate::checkpoint::{Affine, Block};
use mergevit_runtime::Mlp;

impl Forward<'_> {
    /// Adds attention to the residual stream; returns queries and keys, (T, A) each.
    pub(super) fn attention(
        &self,
        layer: usize,
        block: &Block,
        tokens: &mut Tokens,
        tap: &mut impl Change,
    ) -> [Vec<f32>; 2] {
        let model = &self.checkpoint.model;
        let (width, inner) = (model.attention_width(), model.width);
        let mut x = self.norm(&tokens.residual, &block.norm1);
        tap.change(Point::Norm1(layer), &mut x, inner);
        let part = |index: usize| {
            let weight = &block.qkv_weight[index * width * inner..][..width * inner];
            linear(&x, inner, weight, &block.qkv_bias[index * width..][..width])
        };
        let (mut query, mut key, mut value) = (part(0), part(1), part(2));
        let frequencies = match block.rotary.is_empty() {
            true => &self.checkpoint.weights.rotary,
            false => &block.rotary,
        };
        if !frequencies.is_empty() {
            for rows in [&mut query, &mut key] {
                rotate(rows, width, &tokens.positions, frequencies, model.prefix);
            }
        }
        tap.change(Point::Query(layer), &mut query, width);
        tap.change(Point::Key(layer), &mut key, width);
        tap.change(Point::Value(layer), &mut value, width);
        let mut context = attend(
            &Heads {
                width,
                head_width: model.head_width,
                factor: self.checkpoint.score_factor,
            },
            (&query, &key, &value),
            &log_sizes(&tokens.sizes),
            (Point::AttentionWeights(layer), tap),
        );
        tap.change(Point::Context(layer), &mut context, width);
        let y = linear(&context, width, &block.proj_weight, &block.proj_bias);
        add(&mut tokens.residual, &y);
        tap.change(Point::AttentionResidual(layer), &mut tokens.residual, inner);
        [query, key]
    }

    /// Adds the MLP to the residual stream.
    pub(super) fn mlp(
        &self,
        layer: usize,
        block: &Block,
        residual: &mut [f32],
        tap: &mut impl Change,
    ) {
        let model = &self.checkpoint.model;
        let mut x = self.norm(residual, &block.norm2);
        tap.change(Point::Norm2(layer), &mut x, model.width);
        let mut hidden = linear(&x, model.width, &block.fc1_weight, &block.fc1_bias);
        let row = model.mlp_row();
        tap.change(
            Point::MlpPreActivation(layer),
            &mut hidden,
            model.fc1_outputs(),
        );
        match model.mlp {
            Mlp::Plain => activate(model.activation, &mut hidden),
            Mlp::Gated | Mlp::GatedNorm => hidden = gate(model.activation, &hidden),
        }
        tap.change(Point::MlpHidden(layer), &mut hidden, row);
        if let Some(affine) = &block.inner_norm {
            hidden = norm(model.norm, &hidden, affine, model.mlp_width, model.epsilon);
            tap.change(Point::InnerNorm(layer), &mut hidden, row);
        }
        add(
            residual,
            &linear(&hidden, row, &block.fc2_weight, &block.fc2_bias),
        );
        tap.change(Point::MlpResidual(layer), residual, model.width);
    }

    /// A norm of tokens, (T, C).
    pub(super) fn norm(&self, rows: &[f32], affine: &Affine) -> Vec<f32> {
        let model = &self.checkpoint.model;
        norm(model.norm, rows, affine, model.width, model.epsilon)
    }
}

pub(super) fn add(residual: &mut [f32], y: &[f32]) {
    residual.iter_mut().zip(y).for_each(|(x, y)| *x += y);
}

/// What is added to the scores of each key: the logarithm of its size (proportional attention, Bolya et al.,
/// arXiv 2210.09461, eq. 1).
pub(super) fn log_sizes(sizes: &[u32]) -> Vec<f32> {
    sizes.iter().map(|&size| (size as f32).ln()).collect()
}

/// Heads of an attention.
pub(super) struct Heads {
    /// Channels of all heads.
    pub(super) width: usize,
    /// Channels of one.
    pub(super) head_width: usize,
    /// Factor of the scores.
    pub(super) factor: f32,
}

/// Attention of `query` (Q, A) over `key` and `value` (T, A): (Q, A). `bias` (T) is added to the scores. A tap sees the
/// weights of each head.
pub(super) fn attend(
    heads: &Heads,
    (query, key, value): (&[f32], &[f32], &[f32]),
    bias: &[f32],
    (point, tap): (Point, &mut impl Change),
) -> Vec<f32> {
    let (width, tokens) = (heads.width, bias.len());
    let mut context = vec![0.0; query.len()];
    let mut scores = vec![0.0; query.len() / width * tokens];
    for head in (0..width).step_by(heads.head_width) {
        let view = |data| Matrix::columns(data, width, head, heads.head_width);
        multiply(
            &mut Matrix::whole_mut(&mut scores, tokens),
            view(query),
            view(key).transposed(),
        );
        softmax_rows(&mut scores, heads.factor, bias);
        tap.change(point, &mut scores, tokens);
        let mut out = Matrix::columns_mut(&mut context, width, head, heads.head_width);
        multiply(&mut out, Matrix::whole(&scores, tokens), view(value));
    }
    context
}
