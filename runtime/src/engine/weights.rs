//! The pack's tensors as the kernels take them, in place.

use crate::config::ModelConfig;
use crate::pack::{Pack, TensorKind};
use crate::plan::{Linear, Norm};
use mergevit_kernels::ops::{self, LayerNorm, LinearWeights};

/// The tensors of one linear layer.
const fn linear_kinds(linear: Linear) -> [TensorKind; 3] {
    use TensorKind as Kind;
    match linear {
        Linear::Patch => [Kind::PatchWeight, Kind::PatchScale, Kind::PatchBias],
        Linear::Qkv => [Kind::QkvWeight, Kind::QkvScale, Kind::QkvBias],
        Linear::Projection => [Kind::ProjWeight, Kind::ProjScale, Kind::ProjBias],
        Linear::Fc1 => [Kind::Fc1Weight, Kind::Fc1Scale, Kind::Fc1Bias],
        Linear::Fc2 => [Kind::Fc2Weight, Kind::Fc2Scale, Kind::Fc2Bias],
        Linear::Head => [Kind::HeadWeight, Kind::HeadScale, Kind::HeadBias],
    }
}

/// The linear layers of an encoder layer, in the order of their row sums.
const LAYER: [Linear; 4] = [Linear::Qkv, Linear::Projection, Linear::Fc1, Linear::Fc2];

/// The sum of every row of every weight: patch embedding, layers, head.
#[derive(Debug)]
pub(super) struct RowSums(Box<[i32]>);

impl RowSums {
    pub(super) fn new(pack: &Pack) -> Self {
        let depth = pack.config().depth;
        let layers = (0..depth).flat_map(|layer| LAYER.map(|linear| (linear, Some(layer))));
        let all = std::iter::once((Linear::Patch, None))
            .chain(layers)
            .chain([(Linear::Head, None)]);
        let sums = all.flat_map(|(linear, layer)| {
            let kind = linear_kinds(linear)[0];
            ops::row_sums(i8s(pack, kind, layer), kind.shape(pack.config()).1)
        });
        Self(sums.collect())
    }

    /// The sums of one weight's rows.
    fn of(&self, config: &ModelConfig, linear: Linear, layer: Option<usize>) -> &[i32] {
        let rows = |linear| linear_kinds(linear)[0].shape(config).0;
        let of_layer: usize = LAYER.into_iter().map(rows).sum();
        let first_layer = rows(Linear::Patch);
        let start = match linear {
            Linear::Patch => 0,
            Linear::Head => first_layer + config.depth * of_layer,
            _ => {
                let before = LAYER.into_iter().take_while(|&other| other != linear);
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
        let [weight, scale, bias] = linear_kinds(linear);
        let (outputs, inputs) = weight.shape(self.config());
        LinearWeights {
            outputs,
            inputs,
            data: i8s(self.pack, weight, layer),
            scale: f32s(self.pack, scale, layer),
            bias: f32s(self.pack, bias, layer),
            sums: self.sums.of(self.config(), linear, layer),
        }
    }

    pub(super) fn norm(&self, norm: Norm, layer: Option<usize>) -> LayerNorm<'a> {
        use TensorKind as Kind;
        let (gain, bias) = match norm {
            Norm::First => (Kind::Norm1Gain, Kind::Norm1Bias),
            Norm::Second => (Kind::Norm2Gain, Kind::Norm2Bias),
            Norm::Final => (Kind::FinalNormGain, Kind::FinalNormBias),
        };
        LayerNorm {
            gain: f32s(self.pack, gain, layer),
            bias: f32s(self.pack, bias, layer),
            epsilon: self.config().epsilon,
        }
    }

    pub(super) fn position(&self) -> &'a [f32] {
        f32s(self.pack, TensorKind::Position, None)
    }

    /// (score scale, context scale), (H) each.
    pub(super) fn attention(&self, layer: Option<usize>) -> (&'a [f32], &'a [f32]) {
        (
            f32s(self.pack, TensorKind::ScoreScale, layer),
            f32s(self.pack, TensorKind::ContextScale, layer),
        )
    }

    /// (inverse scale, zero point) of the GELU's output.
    pub(super) fn gelu(&self, layer: Option<usize>) -> (f32, f32) {
        let values = f32s(self.pack, TensorKind::GeluQuantization, layer);
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
        let sums = RowSums::new(&pack);
        let weights = Weights {
            pack: &pack,
            sums: &sums,
        };
        let layers = (0..3).flat_map(|layer| LAYER.map(|linear| (linear, Some(layer))));
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
