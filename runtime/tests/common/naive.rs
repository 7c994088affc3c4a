//! The network written out with one vector for each value, on the scalar reference: no plan, no arena, no batch.

use half::f16;
use mergevit_kernels::ops::{
    self, Attention, Embed, Epilogue, Kernels, LayerNorm, LinearWeights, Merge, MergeInput,
    MergeOutput, NormKind, Patchify, Pool, Positions, Rotary, Rotation, Steps, row_sums,
};
use mergevit_kernels::reference::Reference;
use mergevit_runtime::config::{Mlp, Normalization, RotaryKind};
use mergevit_runtime::{ModelConfig, Pack, Pooling, Ranking, Schedule, TensorKind as Kind};

/// Weight, scale and bias of a linear layer.
type LinearKinds = [Kind; 3];

const QKV: LinearKinds = [Kind::QkvWeight, Kind::QkvScale, Kind::QkvBias];
const PROJECTION: LinearKinds = [Kind::ProjWeight, Kind::ProjScale, Kind::ProjBias];
const FC1: LinearKinds = [Kind::Fc1Weight, Kind::Fc1Scale, Kind::Fc1Bias];
const FC2: LinearKinds = [Kind::Fc2Weight, Kind::Fc2Scale, Kind::Fc2Bias];

/// A pack, and what computes with it.
pub(crate) struct Naive<'a> {
    pack: &'a Pack,
    kernels: Reference,
}

/// What goes from layer to layer.
struct Tokens {
    /// (T, C)
    residual: Vec<f16>,
    /// (T)
    sizes: Vec<u32>,
    /// (T, 2), once tokens have merged
    positions: Option<Vec<f32>>,
}

impl<'a> Naive<'a> {
    pub(crate) fn new(pack: &'a Pack) -> Self {
        Self {
            pack,
            kernels: Reference::new(),
        }
    }

    fn config(&self) -> &'a ModelConfig {
        self.pack.config()
    }

    fn floats(&self, kind: Kind, layer: Option<usize>) -> &'a [f32] {
        self.pack.tensor_f32(kind, layer).unwrap()
    }

    /// How hidden channels become integers.
    fn steps(&self, kind: Kind, layer: Option<usize>) -> Steps<'a> {
        let values = self.floats(kind, layer);
        let (inverse, zero_point) = values.split_at(values.len() / 2);
        Steps {
            inverse,
            zero_point,
        }
    }

    fn linear(
        &mut self,
        [weight, scale, bias]: LinearKinds,
        layer: Option<usize>,
        input: &[i8],
        epilogue: Epilogue<'_>,
    ) {
        let (outputs, inputs) = weight.shape(self.config());
        let data = self.pack.tensor_i8(weight, layer).unwrap();
        let sums: Vec<i32> = row_sums(data, inputs).collect();
        let weights = LinearWeights {
            outputs,
            inputs,
            data,
            scale: self.floats(scale, layer),
            bias: self.floats(bias, layer),
            sums: &sums,
        };
        self.kernels
            .linear(input.len() / inputs, input, &weights, epilogue);
    }

    /// The norm whose gain is `gain` and whose bias follows it, of `count` channels.
    fn norm(&self, gain: Kind, bias: Kind, layer: Option<usize>, count: usize) -> LayerNorm<'a> {
        LayerNorm {
            kind: match self.config().norm {
                Normalization::Layer => NormKind::Layer,
                Normalization::Rms => NormKind::Rms,
                Normalization::None => unreachable!("refused"),
            },
            count,
            gain: self.floats(gain, layer),
            bias: self.floats(bias, layer),
            epsilon: self.config().epsilon,
        }
    }

    fn quantized(&mut self, norm: &LayerNorm<'_>, input: &[f16]) -> Vec<i8> {
        let mut output = vec![0; input.len()];
        self.kernels.layer_norm(norm, input, &mut output);
        output
    }

    fn half(&mut self, norm: &LayerNorm<'_>, input: &[f16]) -> Vec<f16> {
        let mut output = vec![f16::ZERO; input.len()];
        self.kernels.layer_norm_half(norm, input, &mut output);
        output
    }

    /// The network's output, before anything is made of it, and the sizes of the tokens that are left. Every layer
    /// computes all tokens and merges, the last one too, where only tokens of the prefix are pooled afterwards; the
    /// sizes are then those that it saw.
    pub(crate) fn forward(&mut self, pixels: &[u8], schedule: &Schedule) -> (Vec<f32>, Vec<u32>) {
        let mut tokens = Tokens {
            residual: self.embed(pixels),
            sizes: vec![1; self.config().tokens()],
            positions: None,
        };
        let mut seen = Vec::new();
        for (layer, &r) in schedule.merge.iter().enumerate() {
            seen.clone_from(&tokens.sizes);
            self.layer(Some(layer), (r, schedule.ranking), &mut tokens);
        }
        let pooled = match self.config().pooling {
            Pooling::Attention => self.attention_pooling(&tokens),
            _ => self.pool(&tokens),
        };
        let prefix_alone = matches!(
            self.config().pooling,
            Pooling::ClassToken | Pooling::ClassAndDistillation
        );
        let sizes = if prefix_alone { seen } else { tokens.sizes };
        (self.classify(&pooled), sizes)
    }

    fn embed(&mut self, pixels: &[u8]) -> Vec<f16> {
        let config = self.config();
        let shape = Patchify {
            batch: 1,
            image_size: config.image_size,
            patch_size: config.patch_size,
        };
        let mut patches = vec![0; shape.patches() * shape.row()];
        self.kernels.patchify(&shape, pixels, &mut patches);
        let mut residual = vec![f16::ZERO; config.tokens() * config.width];
        let embed = Epilogue::Embed(Embed {
            batch: 1,
            prefix: config.prefix,
            position: self.floats(Kind::Position, None),
            residual: &mut residual,
        });
        let kinds = [Kind::PatchWeight, Kind::PatchScale, Kind::PatchBias];
        self.linear(kinds, None, &patches, embed);
        if config.pre_norm {
            let norm = self.norm(Kind::PreNormGain, Kind::PreNormBias, None, config.width);
            residual = self.half(&norm, &residual);
        }
        residual
    }

    fn layer(&mut self, layer: Option<usize>, (r, ranking): (u16, Ranking), tokens: &mut Tokens) {
        let config = self.config();
        let norm = self.norm(Kind::Norm1Gain, Kind::Norm1Bias, layer, config.width);
        let normed = self.quantized(&norm, &tokens.residual);
        let qkv = self.query_key_value(layer, &normed, tokens);
        let context = self.attention(layer, &qkv, &tokens.sizes);
        let add = Epilogue::ResidualAdd {
            residual: &mut tokens.residual,
        };
        self.linear(PROJECTION, layer, &context, add);
        let merged = usize::from(r).min(Merge::limit(tokens.sizes.len(), config.prefix));
        if merged > 0 {
            let score_scale = match ranking {
                Ranking::Similarity => None,
                Ranking::ClassAttention => Some(self.floats(Kind::ScoreScale, layer)),
            };
            self.merge(merged, score_scale, &qkv, tokens);
        }
        let norm = self.norm(Kind::Norm2Gain, Kind::Norm2Bias, layer, config.width);
        let normed = self.quantized(&norm, &tokens.residual);
        let hidden = self.hidden(layer, &normed);
        let add = Epilogue::ResidualAdd {
            residual: &mut tokens.residual,
        };
        self.linear(FC2, layer, &hidden, add);
    }

    fn query_key_value(&mut self, layer: Option<usize>, normed: &[i8], tokens: &Tokens) -> Vec<i8> {
        let config = self.config();
        let count = tokens.sizes.len();
        let mut qkv = vec![0; count * 3 * config.attention_width()];
        let output = &mut qkv[..];
        let frequencies = match config.rotary {
            RotaryKind::None => {
                self.linear(QKV, layer, normed, Epilogue::Requantize { output });
                return qkv;
            }
            RotaryKind::Shared => self.floats(Kind::RotaryFrequency, None),
            RotaryKind::PerLayer => self.floats(Kind::LayerRotaryFrequency, layer),
        };
        let shape = Rotary {
            batch: 1,
            tokens: count,
            prefix: config.prefix,
            head_width: config.head_width,
            frequencies,
        };
        let mut table = vec![0.0; count * frequencies.len() / 3 * 2];
        self.kernels.rotary(
            &shape,
            positions(config, tokens.positions.as_deref()),
            &mut table,
        );
        let rotation = Rotation {
            table: &table,
            heads: config.heads,
            head_width: config.head_width,
            shared: config.rotary == RotaryKind::Shared,
        };
        self.linear(QKV, layer, normed, Epilogue::Rotate { rotation, output });
        qkv
    }

    fn attention(&mut self, layer: Option<usize>, qkv: &[i8], sizes: &[u32]) -> Vec<i8> {
        let shape = Attention {
            batch: 1,
            tokens: sizes.len(),
            queries: sizes.len(),
            heads: self.config().heads,
            head_width: self.config().head_width,
            score_scale: self.floats(Kind::ScoreScale, layer),
            context_scale: self.floats(Kind::ContextScale, layer),
        };
        let mut context = vec![0; qkv.len() / 3];
        // Sizes from the first layer on: all ones must not change a bit.
        self.kernels
            .attention(&shape, qkv, Some(sizes), &mut context);
        context
    }

    fn merge(
        &mut self,
        merged: usize,
        score_scale: Option<&[f32]>,
        qkv: &[i8],
        tokens: &mut Tokens,
    ) {
        let config = self.config();
        let shape = Merge {
            batch: 1,
            tokens: tokens.sizes.len(),
            width: config.width,
            heads: config.heads,
            head_width: config.head_width,
            merged,
            prefix: config.prefix,
        };
        let left = shape.tokens - merged;
        let (mut residual, mut sizes) = (vec![f16::ZERO; left * config.width], vec![0; left]);
        let rotates = config.rotary != RotaryKind::None;
        let mut at = rotates.then(|| vec![0.0; 2 * left]);
        let input = MergeInput {
            qkv,
            residual: &tokens.residual,
            sizes: &tokens.sizes,
            score_scale,
            positions: positions(config, tokens.positions.as_deref()),
        };
        let output = MergeOutput {
            residual: &mut residual,
            sizes: &mut sizes,
            positions: at.as_deref_mut(),
        };
        self.kernels.merge(&shape, input, output);
        *tokens = Tokens {
            residual,
            sizes,
            positions: at,
        };
    }

    fn hidden(&mut self, layer: Option<usize>, normed: &[i8]) -> Vec<i8> {
        let config = self.config();
        let rows = normed.len() / config.width;
        let activation = &self.pack.activation();
        let mut hidden = vec![0; rows * config.mlp_row()];
        let output = &mut hidden[..];
        match config.mlp {
            Mlp::Plain => {
                let epilogue = Epilogue::Activate {
                    activation,
                    steps: self.steps(Kind::HiddenQuantization, layer),
                    output,
                };
                self.linear(FC1, layer, normed, epilogue);
            }
            Mlp::Gated => {
                let epilogue = Epilogue::Gate { activation, output };
                self.linear(FC1, layer, normed, epilogue);
            }
            Mlp::GatedNorm => {
                let mut half = vec![f16::ZERO; rows * config.mlp_row()];
                let epilogue = Epilogue::GateHalf {
                    activation,
                    output: &mut half,
                };
                self.linear(FC1, layer, normed, epilogue);
                let (gain, bias) = (Kind::InnerNormGain, Kind::InnerNormBias);
                let norm = self.norm(gain, bias, layer, config.mlp_width);
                return self.quantized(&norm, &half);
            }
        }
        hidden
    }

    fn pool(&mut self, tokens: &Tokens) -> Vec<f16> {
        let config = self.config();
        let first = config.prefix;
        let shape = Pool {
            batch: 1,
            tokens: tokens.sizes.len(),
            width: config.width,
            pooling: match config.pooling {
                Pooling::ClassToken => ops::Pooling::First(1),
                Pooling::ClassAndDistillation => ops::Pooling::First(2),
                Pooling::Mean => ops::Pooling::Mean { first },
                Pooling::MeanAll => ops::Pooling::Mean { first: 0 },
                Pooling::ClassAndMean => ops::Pooling::FirstAndMean { first },
                Pooling::Attention => unreachable!("not pooled here"),
            },
        };
        let mut residual = tokens.residual.clone();
        if config.token_norm {
            let norm = self.norm(Kind::TokenNormGain, Kind::TokenNormBias, None, config.width);
            residual = self.half(&norm, &residual);
        }
        let mut pooled = vec![f16::ZERO; config.pooled_width()];
        self.kernels
            .pool(&shape, &residual, &tokens.sizes, &mut pooled);
        pooled
    }

    fn attention_pooling(&mut self, tokens: &Tokens) -> Vec<f16> {
        let config = self.config();
        let pooling = config.attention_pooling.unwrap();
        let norm = self.norm(Kind::TokenNormGain, Kind::TokenNormBias, None, config.width);
        let normed = self.quantized(&norm, &tokens.residual);
        let mut key_value = vec![0; tokens.sizes.len() * 2 * pooling.width()];
        let kinds = [
            Kind::PoolKeyValueWeight,
            Kind::PoolKeyValueScale,
            Kind::PoolKeyValueBias,
        ];
        let output = &mut key_value[..];
        self.linear(kinds, None, &normed, Epilogue::Requantize { output });
        let shape = Attention {
            batch: 1,
            tokens: tokens.sizes.len(),
            queries: 1,
            heads: pooling.heads,
            head_width: pooling.head_width,
            score_scale: self.floats(Kind::PoolScoreScale, None),
            context_scale: self.floats(Kind::PoolContextScale, None),
        };
        let query = self.pack.tensor_i8(Kind::PoolQuery, None).unwrap();
        let mut context = vec![0; pooling.width()];
        self.kernels
            .pool_attention(&shape, query, &key_value, Some(&tokens.sizes), &mut context);
        let mut residual = vec![f16::ZERO; config.width];
        let output = &mut residual[..];
        let kinds = [
            Kind::PoolProjWeight,
            Kind::PoolProjScale,
            Kind::PoolProjBias,
        ];
        self.linear(kinds, None, &context, Epilogue::Half { output });
        let norm = self.norm(Kind::PoolNormGain, Kind::PoolNormBias, None, config.width);
        let normed = self.quantized(&norm, &residual);
        let mut hidden = vec![0; pooling.mlp_row()];
        let epilogue = Epilogue::Activate {
            activation: &self.pack.activation(),
            steps: self.steps(Kind::PoolHiddenQuantization, None),
            output: &mut hidden,
        };
        let kinds = [Kind::PoolFc1Weight, Kind::PoolFc1Scale, Kind::PoolFc1Bias];
        self.linear(kinds, None, &normed, epilogue);
        let add = Epilogue::ResidualAdd {
            residual: &mut residual,
        };
        let kinds = [Kind::PoolFc2Weight, Kind::PoolFc2Scale, Kind::PoolFc2Bias];
        self.linear(kinds, None, &hidden, add);
        residual
    }

    fn classify(&mut self, pooled: &[f16]) -> Vec<f32> {
        let config = self.config();
        let norm = LayerNorm {
            kind: match config.final_norm {
                Normalization::Layer => NormKind::Layer,
                Normalization::Rms => NormKind::Rms,
                Normalization::None => NormKind::None,
            },
            count: self.floats(Kind::FinalNormGain, None).len(),
            gain: self.floats(Kind::FinalNormGain, None),
            bias: self.floats(Kind::FinalNormBias, None),
            epsilon: config.epsilon,
        };
        let mut outputs = vec![0.0; config.classes];
        if !config.head {
            self.kernels.layer_norm_real(&norm, pooled, &mut outputs);
            return outputs;
        }
        let (mut high, mut low) = (vec![0; pooled.len()], vec![0; pooled.len()]);
        self.kernels
            .layer_norm_wide(&norm, pooled, &mut high, &mut low);
        let data = self.pack.tensor_i8(Kind::HeadWeight, None).unwrap();
        let sums: Vec<i32> = row_sums(data, pooled.len()).collect();
        let weights = LinearWeights {
            outputs: config.classes,
            inputs: pooled.len(),
            data,
            scale: self.floats(Kind::HeadScale, None),
            bias: self.floats(Kind::HeadBias, None),
            sums: &sums,
        };
        self.kernels.head(&high, &low, &weights, &mut outputs);
        outputs
    }
}

fn positions<'p>(config: &ModelConfig, at: Option<&'p [f32]>) -> Positions<'p> {
    match at {
        Some(at) => Positions::At(at),
        None => Positions::Grid {
            side: config.image_size / config.patch_size,
        },
    }
}
