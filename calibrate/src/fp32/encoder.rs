//! One encoder layer.

use super::batch::show;
use super::elementwise::{activate, gate, norm, norm_into, softmax_rows};
use super::product::{Matrix, linear_into, multiply};
use super::rotary::rotate;
use super::{Change, Forward, Point, Tokens};
use crate::checkpoint::{Affine, Block};
use mergevit_runtime::Mlp;
use std::borrow::Cow;

/// Tokens of an image that are computed at least: `gemm` has other ways, with other last bits, for products of up to
/// 16 × 16, and one image in a task is to give the same bits as several.
const LEAST_KEPT: usize = 16;

/// What the layers of a task compute in: fresh memory for each product would cost some per cent of its time.
#[derive(Default)]
pub(super) struct Work {
    /// A norm's output.
    x: Vec<f32>,
    /// (T, A) of one image after the other, as key and value are.
    pub(super) query: Vec<f32>,
    pub(super) key: Vec<f32>,
    value: Vec<f32>,
    context: Vec<f32>,
    hidden: Vec<f32>,
    /// What is added to the residual stream.
    y: Vec<f32>,
}

impl Forward<'_> {
    /// Adds attention to the residual streams of a batch; leaves queries and keys in `work`. With `kept`, only about so
    /// many of an image's first tokens have queries and go on.
    pub(super) fn attention<T: Change>(
        &self,
        layer: usize,
        batch: &mut [Tokens],
        kept: Option<usize>,
        work: &mut Work,
        taps: &mut [T],
    ) {
        let (model, block) = (&self.checkpoint.model, self.block(layer));
        let (width, inner) = (model.attention_width(), model.width);
        self.norms(&mut work.x, batch, &block.norm1);
        show(taps, Point::Norm1(layer), &mut work.x, inner);
        let tokens = batch[0].sizes.len();
        let kept = kept.map_or(tokens, |kept| kept.max(LEAST_KEPT).min(tokens));
        let queried = first_rows(&work.x, tokens * inner, kept * inner);
        let parts = [&mut work.query, &mut work.key, &mut work.value];
        let inputs: [&[f32]; 3] = [&queried, &work.x, &work.x];
        for (index, (out, x)) in parts.into_iter().zip(inputs).enumerate() {
            let weight = &block.qkv_weight[index * width * inner..][..width * inner];
            let bias = &block.qkv_bias[index * width..][..width];
            linear_into(out, x, inner, weight, bias);
        }
        let rows = [(&mut work.query, kept), (&mut work.key, tokens)];
        self.rotate(block, batch, rows);
        show(taps, Point::Query(layer), &mut work.query, width);
        show(taps, Point::Key(layer), &mut work.key, width);
        show(taps, Point::Value(layer), &mut work.value, width);
        self.attend_each(layer, batch, work, taps);
        show(taps, Point::Context(layer), &mut work.context, width);
        let (weight, bias) = (&block.proj_weight, &block.proj_bias);
        linear_into(&mut work.y, &work.context, width, weight, bias);
        let point = Point::AttentionResidual(layer);
        add_each(batch, &work.y, point, (inner, taps));
    }

    /// Attention of each image, from queries, keys and values to the context.
    fn attend_each<T: Change>(
        &self,
        layer: usize,
        batch: &[Tokens],
        work: &mut Work,
        taps: &mut [T],
    ) {
        let model = &self.checkpoint.model;
        let heads = Heads {
            width: model.attention_width(),
            head_width: model.head_width,
            factor: self.checkpoint.score_factor,
        };
        let images = batch.len();
        let part = |rows: &[f32]| rows.len() / images;
        let (queries, keys) = (part(&work.query), part(&work.key));
        work.context.clear();
        for (image, (tokens, tap)) in batch.iter().zip(taps).enumerate() {
            let query = &work.query[image * queries..][..queries];
            let [key, value] = [&work.key, &work.value].map(|rows| &rows[image * keys..][..keys]);
            let bias = log_sizes(&tokens.sizes);
            let shown = (Point::AttentionWeights(layer), tap);
            let context = attend(&heads, (query, key, value), &bias, shown);
            work.context.extend(context);
        }
    }

    /// Rotates the rows of a batch, so many of each image, if the model does.
    fn rotate<const N: usize>(
        &self,
        block: &Block,
        batch: &[Tokens],
        rows: [(&mut Vec<f32>, usize); N],
    ) {
        let (model, weights) = (&self.checkpoint.model, &self.checkpoint.weights);
        let frequencies = match block.rotary.is_empty() {
            true => &weights.rotary,
            false => &block.rotary,
        };
        if frequencies.is_empty() {
            return;
        }
        let width = model.attention_width();
        for (rows, count) in rows {
            for (rows, tokens) in rows.chunks_exact_mut(count * width).zip(batch) {
                rotate(rows, width, &tokens.positions, frequencies, model.prefix);
            }
        }
    }

    /// Adds the MLP to the residual streams of a batch.
    pub(super) fn mlp<T: Change>(
        &self,
        layer: usize,
        batch: &mut [Tokens],
        work: &mut Work,
        taps: &mut [T],
    ) {
        let (model, block) = (&self.checkpoint.model, self.block(layer));
        let Work { x, hidden, y, .. } = work;
        self.norms(x, batch, &block.norm2);
        show(taps, Point::Norm2(layer), x, model.width);
        linear_into(hidden, x, model.width, &block.fc1_weight, &block.fc1_bias);
        let (row, outputs) = (model.mlp_row(), model.fc1_outputs());
        show(taps, Point::MlpPreActivation(layer), hidden, outputs);
        match model.mlp {
            Mlp::Plain => activate(model.activation, hidden),
            Mlp::Gated | Mlp::GatedNorm => *hidden = gate(model.activation, hidden),
        }
        show(taps, Point::MlpHidden(layer), hidden, row);
        if let Some(affine) = &block.inner_norm {
            *hidden = norm(model.norm, hidden, affine, model.mlp_width, model.epsilon);
            show(taps, Point::InnerNorm(layer), hidden, row);
        }
        linear_into(y, hidden, row, &block.fc2_weight, &block.fc2_bias);
        add_each(batch, y, Point::MlpResidual(layer), (model.width, taps));
    }

    fn block(&self, layer: usize) -> &Block {
        &self.checkpoint.weights.blocks[layer]
    }

    /// A norm of the tokens of a batch: (T, C) of one image after the other.
    fn norms(&self, out: &mut Vec<f32>, batch: &[Tokens], affine: &Affine) {
        let model = &self.checkpoint.model;
        let rows = batch[0].residual.len();
        out.resize(batch.len() * rows, 0.0);
        for (out, tokens) in out.chunks_exact_mut(rows).zip(batch) {
            let rows = &tokens.residual;
            norm_into(out, model.norm, rows, affine, model.width, model.epsilon);
        }
    }

    /// A norm of tokens, (T, C).
    pub(super) fn norm(&self, rows: &[f32], affine: &Affine) -> Vec<f32> {
        let model = &self.checkpoint.model;
        norm(model.norm, rows, affine, model.width, model.epsilon)
    }
}

/// The first `kept` values of each `image`.
fn first_rows(values: &[f32], image: usize, kept: usize) -> Cow<'_, [f32]> {
    if kept == image {
        return Cow::Borrowed(values);
    }
    let first = values.chunks_exact(image).map(|image| &image[..kept]);
    Cow::Owned(first.collect::<Vec<_>>().concat())
}

/// Adds to each image's residual stream its part of `y`, and shows it. Tokens that `y` has no rows of end here.
fn add_each<T: Change>(
    batch: &mut [Tokens],
    y: &[f32],
    point: Point,
    (width, taps): (usize, &mut [T]),
) {
    let images = y.chunks_exact(y.len() / batch.len()).zip(taps);
    for (tokens, (y, tap)) in batch.iter_mut().zip(images) {
        tokens.residual.truncate(y.len());
        add(&mut tokens.residual, y);
        tap.change(point, &mut tokens.residual, width);
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
