//! The roundings of a pack, each of which may be left out, in a pass over real numbers.

use super::quantizer::{LeftOut, Quantizer};
use crate::fp32::{Change, Point};
use crate::quantize::WIDE_LIMIT;
use half::f16;
use mergevit_kernels::math::{sat8, softmax_offset, softmax_weight};

/// What turns integers of one attention into others.
#[derive(Clone, Debug, Default)]
pub(super) struct AttentionUnits {
    /// (H) from integer scores to units of e.
    pub(super) score: Vec<f32>,
    /// (H) from the values' integers to the context's.
    pub(super) context: Vec<f32>,
}

/// What a pack's integers mean inside one layer.
#[derive(Clone, Debug, Default)]
pub(super) struct LayerUnits {
    pub(super) attention: AttentionUnits,
    /// (2, F) one over the steps of the hidden channels, then their zero points; none where fc1 brings the steps.
    pub(super) hidden: Option<Vec<f32>>,
    /// Whether a norm follows the gate, so that hidden channels are halves.
    pub(super) has_inner_norm: bool,
}

/// What a pack's integers mean.
#[derive(Clone, Debug, Default)]
pub(super) struct Units {
    pub(super) layers: Vec<LayerUnits>,
    /// Of the pooling that attends, with its hidden channels.
    pub(super) pooling: Option<LayerUnits>,
    pub(super) has_head: bool,
}

/// Rounds what a pack rounds, but for what is left out.
pub(super) struct Rounding<'a> {
    pub(super) units: &'a Units,
    pub(super) left_out: LeftOut,
}

impl Rounding<'_> {
    fn bytes(&self, quantizer: Quantizer, layer: Option<usize>, values: &mut [f32]) {
        if !self.left_out.has(quantizer, layer) {
            values.iter_mut().for_each(|x| *x = f32::from(sat8(*x)));
        }
    }

    fn halves(&self, quantizer: Quantizer, layer: Option<usize>, values: &mut [f32]) {
        if !self.left_out.has(quantizer, layer) {
            values
                .iter_mut()
                .for_each(|x| *x = f16::from_f32(*x).to_f32());
        }
    }

    /// Rounds the context, which comes in units of the values.
    fn context(
        &self,
        which: (Quantizer, Option<usize>),
        units: &AttentionUnits,
        values: &mut [f32],
        width: usize,
    ) {
        scale_heads(values, width, &units.context);
        self.bytes(which.0, which.1, values);
    }

    fn hidden(&self, which: (Quantizer, Option<usize>), units: &LayerUnits, values: &mut [f32]) {
        if let Some(hidden) = &units.hidden {
            let (inverse, zero_point) = hidden.split_at(hidden.len() / 2);
            for row in values.chunks_exact_mut(inverse.len()) {
                for ((x, &inverse), &zero) in row.iter_mut().zip(inverse).zip(zero_point) {
                    *x = x.mul_add(inverse, zero);
                }
            }
        }
        match units.has_inner_norm {
            true => self.halves(which.0, which.1, values),
            false => self.bytes(which.0, which.1, values),
        }
    }

    /// Rounds the weights of one head, (Q, T).
    fn weights(&self, quantizer: Quantizer, layer: Option<usize>, rows: &mut [f32], width: usize) {
        if !self.left_out.has(quantizer, layer) {
            for (query, row) in rows.chunks_exact_mut(width).enumerate() {
                round_attention_weights(query, row);
            }
        }
    }

    /// Points of a layer.
    fn in_layer(&self, layer: usize, point: Point, values: &mut [f32], width: usize) {
        let (units, at) = (&self.units.layers[layer], Some(layer));
        match point {
            Point::Norm1(_) => self.bytes(Quantizer::Norm1, at, values),
            Point::Query(_) => {
                self.bytes(Quantizer::Query, at, values);
                scale_heads(values, width, &units.attention.score);
            }
            Point::Key(_) => self.bytes(Quantizer::Key, at, values),
            Point::Value(_) => self.bytes(Quantizer::Value, at, values),
            Point::AttentionWeights(_) => {
                self.weights(Quantizer::AttentionWeights, at, values, width);
            }
            Point::Context(_) => {
                self.context((Quantizer::Context, at), &units.attention, values, width);
            }
            Point::AttentionResidual(_) | Point::MlpResidual(_) => {
                self.halves(Quantizer::Residual, at, values);
            }
            Point::Norm2(_) => self.bytes(Quantizer::Norm2, at, values),
            Point::MlpHidden(_) => self.hidden((Quantizer::Hidden, at), units, values),
            Point::InnerNorm(_) => self.bytes(Quantizer::Hidden, at, values),
            _ => {}
        }
    }

    /// Points of the pooling that attends.
    fn in_pooling(&self, units: &LayerUnits, point: Point, values: &mut [f32], width: usize) {
        let own = (Quantizer::Pooling, None);
        match point {
            Point::TokenNorm | Point::PoolKeyValue | Point::PoolNorm => {
                self.bytes(own.0, own.1, values);
            }
            Point::PoolAttentionWeights => self.weights(own.0, own.1, values, width),
            Point::PoolContext => self.context(own, &units.attention, values, width),
            Point::PoolHidden => self.hidden(own, units, values),
            _ => {}
        }
    }
}

impl Change for Rounding<'_> {
    fn change(&mut self, point: Point, values: &mut [f32], width: usize) {
        match (point.layer(), &self.units.pooling, point) {
            (Some(layer), _, _) => self.in_layer(layer, point, values, width),
            (None, _, Point::PatchEmbed) => self.halves(Quantizer::Residual, None, values),
            (None, _, Point::FinalNorm) if self.units.has_head => {
                if !self.left_out.has(Quantizer::ClassifierInput, None) {
                    let round = |x: f32| x.round_ties_even().clamp(-WIDE_LIMIT, WIDE_LIMIT);
                    values.iter_mut().for_each(|x| *x = round(*x));
                }
            }
            (None, Some(pooling), _) => self.in_pooling(pooling, point, values, width),
            (None, None, Point::TokenNorm) => self.halves(Quantizer::Residual, None, values),
            (None, None, _) => {}
        }
    }
}

/// Multiplies every head's channels by its factor.
fn scale_heads(rows: &mut [f32], width: usize, factors: &[f32]) {
    let head = width / factors.len();
    for row in rows.chunks_exact_mut(width) {
        for (channels, factor) in row.chunks_exact_mut(head).zip(factors) {
            channels.iter_mut().for_each(|x| *x *= factor);
        }
    }
}

/// The row of attention's weights of query number `query` as the kernels round it: bytes, of which the largest is 255,
/// over their sum.
fn round_attention_weights(query: usize, row: &mut [f32]) {
    let largest = row.iter().copied().fold(0.0, f32::max);
    let mut sum = 0;
    for (key, p) in row.iter_mut().enumerate() {
        let rounded = softmax_weight((*p / largest).log2(), softmax_offset(query, key));
        sum += rounded;
        *p = rounded as f32;
    }
    row.iter_mut().for_each(|p| *p /= sum as f32);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_weights_are_bytes_over_their_sum() {
        // Offsets of the first query's keys, in 1/256: 0, 152, 48, 200.
        let mut row = [0.5, 0.25, 0.249, 0.001];
        round_attention_weights(0, &mut row);
        let expected = [255.0, 128.0, 127.0, 1.0].map(|p| p / 511.0);
        assert_eq!(row, expected);
        let mut row = [0.5, 0.25, 0.249, 0.0001];
        round_attention_weights(1, &mut row);
        // 97, 249, 145, 41: 128.47, 127.56 and 0.21.
        let expected = [255.0, 128.0, 127.0, 0.0].map(|p| p / 510.0);
        assert_eq!(row, expected);
    }

    #[test]
    fn heads_have_factors_of_their_own() {
        let mut rows = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0];
        scale_heads(&mut rows, 4, &[10.0, 1.0]);
        assert_eq!(rows, [10.0, 20.0, 3.0, 4.0, 50.0, 60.0, 7.0, 8.0]);
    }
}
