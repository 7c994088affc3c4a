//! The pack's tensors as the kernels take them, in place.

use crate::config::ModelConfig;
use crate::pack::{Linear, Norm, PRESENT, Pack, TensorKind};
use mergevit_kernels::math::Activation;
use mergevit_kernels::memory::{self, OutOfMemory};
use mergevit_kernels::ops::{self, LayerNorm, LinearWeights, Steps};

/// The sum of every row of every weight that activations are multiplied with.
#[derive(Debug)]
pub(super) struct RowSums {
    sums: Box<[i32]>,
    /// By section of the pack: where a weight's sums start.
    starts: Box<[usize]>,
}

impl RowSums {
    pub(super) fn new(pack: &Pack) -> Result<Self, OutOfMemory> {
        const WHAT: &str = "the weights' row sums";
        let (config, layout) = (pack.config(), pack.layout());
        let is_linear = |kind| {
            Linear::ALL
                .iter()
                .any(|linear| linear.tensors().weight == kind)
        };
        let weights = || layout.tensors().filter(|&(kind, _)| is_linear(kind));
        let rows = weights().map(|(kind, _)| kind.shape(config).0);
        let mut sums = memory::zeroed(rows.sum(), WHAT)?;
        let mut starts = memory::zeroed(layout.sections(), WHAT)?;
        let mut start = 0;
        for (kind, layer) in weights() {
            let (rows, columns) = kind.shape(config);
            let data = i8s(pack, kind, layer);
            for (to, sum) in sums[start..].iter_mut().zip(ops::row_sums(data, columns)) {
                *to = sum;
            }
            starts[layout.index(kind, layer).expect(PRESENT)] = start;
            start += rows;
        }
        Ok(Self { sums, starts })
    }

    /// The sums of one weight's rows.
    fn of(&self, pack: &Pack, kind: TensorKind, layer: Option<usize>) -> &[i32] {
        let start = self.starts[pack.layout().index(kind, layer).expect(PRESENT)];
        &self.sums[start..][..kind.shape(pack.config()).0]
    }
}

fn i8s(pack: &Pack, kind: TensorKind, layer: Option<usize>) -> &[i8] {
    pack.tensor_i8(kind, layer).expect(PRESENT)
}

fn f32s(pack: &Pack, kind: TensorKind, layer: Option<usize>) -> &[f32] {
    pack.tensor_f32(kind, layer).expect(PRESENT)
}

/// A pack's weights with their row sums.
#[derive(Clone, Copy, Debug)]
pub(super) struct Weights<'a> {
    pub(super) pack: &'a Pack,
    pub(super) sums: &'a RowSums,
}

impl<'a> Weights<'a> {
    pub(super) fn config(&self) -> &'a ModelConfig {
        self.pack.config()
    }

    pub(super) fn linear(&self, linear: Linear, layer: Option<usize>) -> LinearWeights<'a> {
        let tensors = linear.tensors();
        let (outputs, inputs) = tensors.weight.shape(self.config());
        LinearWeights {
            outputs,
            inputs,
            data: i8s(self.pack, tensors.weight, layer),
            scale: f32s(self.pack, tensors.scale, layer),
            bias: f32s(self.pack, tensors.bias, layer),
            sums: self.sums.of(self.pack, tensors.weight, layer),
        }
    }

    pub(super) fn norm(&self, norm: Norm, layer: Option<usize>) -> LayerNorm<'a> {
        let tensors = norm.tensors();
        LayerNorm {
            kind: norm.kind(self.config()).into(),
            count: norm.widths(self.config()).1,
            gain: f32s(self.pack, tensors.gain, layer),
            bias: f32s(self.pack, tensors.bias, layer),
            epsilon: self.config().epsilon,
        }
    }

    pub(super) fn position(&self) -> &'a [f32] {
        f32s(self.pack, TensorKind::Position, None)
    }

    /// (score scale, context scale), (H) each, of an encoder layer.
    pub(super) fn attention(&self, layer: usize) -> (&'a [f32], &'a [f32]) {
        (
            f32s(self.pack, TensorKind::ScoreScale, Some(layer)),
            f32s(self.pack, TensorKind::ContextScale, Some(layer)),
        )
    }

    /// (query, score scale, context scale), (A), (H) and (H), of the attention pooling.
    pub(super) fn pool_attention(&self) -> (&'a [i8], &'a [f32], &'a [f32]) {
        (
            i8s(self.pack, TensorKind::PoolQuery, None),
            f32s(self.pack, TensorKind::PoolScoreScale, None),
            f32s(self.pack, TensorKind::PoolContextScale, None),
        )
    }

    /// (R, D / 2, 3): the layer's own, or those that all layers share.
    pub(super) fn frequencies(&self, layer: Option<usize>) -> &'a [f32] {
        let kind = match layer {
            Some(_) => TensorKind::LayerRotaryFrequency,
            None => TensorKind::RotaryFrequency,
        };
        f32s(self.pack, kind, layer)
    }

    pub(super) fn activation(&self) -> Activation {
        self.pack.activation()
    }

    /// How the outputs of a linear layer's activation become integers.
    pub(super) fn hidden(&self, linear: Linear, layer: Option<usize>) -> Steps<'a> {
        self.pack.hidden_quantization(linear, layer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn sums_are_those_of_their_rows() {
        for (name, config) in testing::family() {
            let pack = testing::pack(&config, &[0], 11);
            let sums = RowSums::new(&pack).expect("a few kilobytes");
            let weights = Weights {
                pack: &pack,
                sums: &sums,
            };
            let mut count = 0;
            for linear in Linear::ALL {
                let kind = linear.tensors().weight;
                let layers = match kind.is_layer() {
                    true => (0..config.depth).map(Some).collect(),
                    false => vec![None],
                };
                for layer in layers.into_iter().filter(|_| kind.is_in(&config)) {
                    let view = weights.linear(linear, layer);
                    for (row, &sum) in view.data.chunks_exact(view.inputs).zip(view.sums) {
                        let want: i32 = row.iter().map(|&w| i32::from(w)).sum();
                        assert_eq!(want, sum, "{name}: {linear:?}");
                    }
                    assert_eq!(view.sums.len(), view.outputs);
                    count += view.outputs;
                }
            }
            assert_eq!(count, sums.sums.len());
        }
    }
}
