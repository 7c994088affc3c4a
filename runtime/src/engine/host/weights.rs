//! The pack's tensors as the kernels take them, in place.

use crate::config::ModelConfig;
use crate::pack::{Linear, Norm, Pack, TensorKind};
use mergevit_kernels::memory::{self, OutOfMemory};
use mergevit_kernels::ops::{self, LayerNorm, LinearWeights};

/// The sum of every row of every weight: patch embedding, layers, head.
#[derive(Debug)]
pub(super) struct RowSums(Box<[i32]>);

impl RowSums {
    pub(super) fn new(pack: &Pack) -> Result<Self, OutOfMemory> {
        let depth = pack.config().depth;
        let layers =
            (0..depth).flat_map(|layer| Linear::ENCODER.map(|linear| (linear, Some(layer))));
        let all = std::iter::once((Linear::Patch, None))
            .chain(layers)
            .chain([(Linear::Head, None)]);
        let weights = all.map(|(linear, layer)| (linear.tensors().weight, layer));
        let rows = weights.clone().map(|(kind, _)| kind.shape(pack.config()).0);
        let mut sums = memory::zeroed(rows.sum(), "the weights' row sums")?;
        let every = weights.flat_map(|(kind, layer)| {
            ops::row_sums(i8s(pack, kind, layer), kind.shape(pack.config()).1)
        });
        sums.iter_mut().zip(every).for_each(|(to, sum)| *to = sum);
        Ok(Self(sums))
    }

    /// The sums of one weight's rows.
    fn of(&self, config: &ModelConfig, linear: Linear, layer: Option<usize>) -> &[i32] {
        let rows = |linear: Linear| linear.tensors().weight.shape(config).0;
        let of_layer: usize = Linear::ENCODER.into_iter().map(rows).sum();
        let first_layer = rows(Linear::Patch);
        let start = match linear {
            Linear::Patch => 0,
            Linear::Head => first_layer + config.depth * of_layer,
            _ => {
                let before = Linear::ENCODER
                    .into_iter()
                    .take_while(|&other| other != linear);
                first_layer + layer.unwrap_or(0) * of_layer + before.map(rows).sum::<usize>()
            }
        };
        &self.0[start..][..rows(linear)]
    }
}

/// The reader made sure of every tensor, and a plan names only those of its model.
const PRESENT: &str = "a valid pack has every tensor of its model";

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
            sums: self.sums.of(self.config(), linear, layer),
        }
    }

    pub(super) fn norm(&self, norm: Norm, layer: Option<usize>) -> LayerNorm<'a> {
        let tensors = norm.tensors();
        LayerNorm {
            gain: f32s(self.pack, tensors.gain, layer),
            bias: f32s(self.pack, tensors.bias, layer),
            epsilon: self.config().epsilon,
        }
    }

    pub(super) fn position(&self) -> &'a [f32] {
        f32s(self.pack, TensorKind::Position, None)
    }

    /// (score scale, context scale), (H) each.
    pub(super) fn attention(&self, layer: usize) -> (&'a [f32], &'a [f32]) {
        (
            f32s(self.pack, TensorKind::ScoreScale, Some(layer)),
            f32s(self.pack, TensorKind::ContextScale, Some(layer)),
        )
    }

    /// (inverse scale, zero point) of the GELU's output.
    pub(super) fn gelu(&self, layer: usize) -> (f32, f32) {
        let values = f32s(self.pack, TensorKind::GeluQuantization, Some(layer));
        (values[0], values[1])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn sums_are_those_of_their_rows() {
        let mut config = testing::model(16, 8, 2, 3, 10);
        config.mlp_width = 192;
        let pack = testing::pack(&config, &[0], 11);
        let sums = RowSums::new(&pack).expect("a few kilobytes");
        let weights = Weights {
            pack: &pack,
            sums: &sums,
        };
        let layers = (0..3).flat_map(|layer| Linear::ENCODER.map(|linear| (linear, Some(layer))));
        let mut count = 0;
        for (linear, layer) in layers.chain([(Linear::Patch, None), (Linear::Head, None)]) {
            let view = weights.linear(linear, layer);
            for (row, &sum) in view.data.chunks_exact(view.inputs).zip(view.sums) {
                assert_eq!(row.iter().map(|&w| i32::from(w)).sum::<i32>(), sum);
            }
            assert_eq!(view.sums.len(), view.outputs);
            count += view.outputs;
        }
        assert_eq!(count, sums.0.len());
    }
}
