//! Random weights of a named architecture, so that speed can be measured without a checkpoint.

use super::error::Defect;
use super::weights::{Affine, Block, PoolingWeights, Weights};
use mergevit_kernels::ops::HEAD_WIDTH;
use mergevit_kernels::testing::Random;
use mergevit_runtime::{
    ActivationName, AttentionPooling, Interpolation, Mlp, ModelConfig, Normalization, OutputKind,
    Pooling, Preprocessing, ResizeMode, RotaryKind, ScoreKind,
};

/// About normal: the sum of four uniform values (Irwin-Hall), which never exceeds 3.5 deviations.
fn normal(random: &mut Random, n: usize, deviation: f32) -> Vec<f32> {
    let scale = deviation * 3f32.sqrt() / 65_535.0;
    (0..n)
        .map(|_| {
            let bits = random.bits();
            let sum: u32 = (0..4).map(|i| (bits >> (16 * i)) as u32 & 0xffff).sum();
            (sum as f32 - 2.0 * 65_535.0) * scale
        })
        .collect()
}

/// Width and depth of each size of model.
const MEMBERS: [(&str, usize, usize); 4] = [
    ("tiny", 192, 12),
    ("small", 384, 12),
    ("base", 768, 12),
    ("large", 1024, 24),
];

fn parse(architecture: &str) -> Option<(usize, usize, usize, usize)> {
    let rest = architecture
        .strip_prefix("vit_")
        .or_else(|| architecture.strip_prefix("deit_"))?;
    let (member, rest) = rest.split_once("_patch")?;
    let (patch, size) = rest.split_once('_')?;
    let &(_, width, depth) = MEMBERS.iter().find(|(name, ..)| *name == member)?;
    Some((width, depth, patch.parse().ok()?, size.parse().ok()?))
}

/// The model of a named architecture.
///
/// # Errors
/// [`Defect::Unsupported`] for an unknown name, [`Defect::Model`] for dimensions beyond the limits.
pub(super) fn model(architecture: &str) -> Result<ModelConfig, Defect> {
    let (width, depth, patch_size, image_size) = parse(architecture).ok_or_else(|| {
        Defect::Unsupported(format!(
            "no architecture {architecture:?}; known are vit_ and deit_ with tiny, small, base or large, as \
             in vit_base_patch16_224"
        ))
    })?;
    let model = ModelConfig {
        architecture: architecture.into(),
        image_size,
        patch_size,
        width,
        depth,
        heads: width / HEAD_WIDTH,
        head_width: HEAD_WIDTH,
        mlp_width: 4 * width,
        mlp: Mlp::Plain,
        activation: ActivationName::Gelu,
        prefix: 1,
        norm: Normalization::Layer,
        pre_norm: false,
        rotary: RotaryKind::None,
        pooling: Pooling::ClassToken,
        token_norm: false,
        final_norm: Normalization::Layer,
        attention_pooling: None,
        head: true,
        output: OutputKind::Logits,
        classes: 1000,
        epsilon: 1e-6,
        score_kind: ScoreKind::Softmax,
        labels: Vec::new(),
        classifier: None,
        unknown: false,
        preprocessing: Preprocessing {
            resize: ResizeMode::ShortestSide((image_size as f64 / 0.9) as usize),
            interpolation: Interpolation::Bicubic,
        },
    };
    model.validate()?;
    Ok(model)
}

/// Source of random tensors of one model.
struct Tensors<'a> {
    model: &'a ModelConfig,
    random: Random,
}

/// Weights of a valid model.
pub(super) fn weights(model: &ModelConfig, seed: u64) -> Weights {
    let mut of = Tensors {
        model,
        random: Random(seed),
    };
    let (width, pooled) = (model.width, model.pooled_width());
    let inner = 3 * model.patch_size * model.patch_size;
    let outputs = if model.head { model.classes } else { 0 };
    Weights {
        patch_weight: of.linear(width, inner),
        patch_bias: of.normal(width, 0.02),
        position: of.normal(model.tokens() * width, 0.2),
        pre_norm: model.pre_norm.then(|| of.norm(width, width)),
        rotary: match model.rotary {
            RotaryKind::Shared => of.frequencies(model.head_width / 2),
            RotaryKind::None | RotaryKind::PerLayer => Vec::new(),
        },
        blocks: (0..model.depth).map(|_| of.block()).collect(),
        token_norm: model.token_norm.then(|| of.norm(width, width)),
        pooling: model.attention_pooling.map(|shape| of.pooling(shape)),
        final_norm: (model.final_norm != Normalization::None).then(|| of.norm(width, width)),
        head_weight: of.linear(outputs, pooled),
        head_bias: of.normal(outputs, 0.02),
    }
}

impl Tensors<'_> {
    fn normal(&mut self, count: usize, deviation: f32) -> Vec<f32> {
        normal(&mut self.random, count, deviation)
    }

    /// A matrix that keeps the size of what it multiplies.
    fn linear(&mut self, outputs: usize, inputs: usize) -> Vec<f32> {
        self.normal(outputs * inputs, 1.0 / (inputs as f32).sqrt())
    }

    /// A norm of `row` channels of which `count` are real. One channel in 64 stands out.
    fn norm(&mut self, row: usize, count: usize) -> Affine {
        let mut gain = self.normal(row, 0.1);
        let mut bias = self.normal(row, 0.1);
        let rms = self.model.norm == Normalization::Rms;
        for (c, (g, b)) in gain.iter_mut().zip(&mut bias).enumerate() {
            *g += if c % 64 == 17 { 8.0 } else { 1.0 };
            if c >= count {
                (*g, *b) = (0.0, 0.0);
            }
            if rms {
                *b = 0.0;
            }
        }
        Affine { gain, bias }
    }

    /// Turns of up to half a circle over the image, for `pairs` pairs of channels; every other one by columns.
    fn frequencies(&mut self, pairs: usize) -> Vec<f64> {
        let side = self.model.side() as f64;
        let turns = |pair: usize| {
            let f = 0.5 / side / (1.0 + pair as f64 / 4.0);
            match pair % 2 {
                0 => [f, 0.0, 0.5 * f],
                _ => [0.0, f, 0.5 * f],
            }
        };
        (0..pairs).flat_map(turns).collect()
    }

    /// Rows or columns of a gated or plain MLP beyond its real width are zero.
    fn mlp(&mut self, width: usize, row: usize, gated: bool) -> [Vec<f32>; 4] {
        let channels = self.model.width;
        let sides = if gated { 2 } else { 1 };
        let mut fc1_weight = self.linear(sides * row, channels);
        let mut fc1_bias = self.normal(sides * row, 0.1);
        fc1_weight[sides * width * channels..].fill(0.0);
        fc1_bias[sides * width..].fill(0.0);
        let mut fc2_weight = self.linear(channels, row);
        for columns in fc2_weight.chunks_exact_mut(row) {
            columns[width..].fill(0.0);
        }
        [
            fc1_weight,
            fc1_bias,
            fc2_weight,
            self.normal(channels, 0.02),
        ]
    }

    fn block(&mut self) -> Block {
        let model = self.model;
        let (width, attention, row) = (model.width, model.attention_width(), model.mlp_row());
        let gated = model.mlp != Mlp::Plain;
        let norm1 = self.norm(width, width);
        let qkv_weight = self.linear(3 * attention, width);
        let qkv_bias = self.normal(3 * attention, 0.1);
        let rotary = match model.rotary {
            RotaryKind::PerLayer => self.frequencies(attention / 2),
            RotaryKind::None | RotaryKind::Shared => Vec::new(),
        };
        let proj_weight = self.linear(width, attention);
        let proj_bias = self.normal(width, 0.02);
        let norm2 = self.norm(width, width);
        let [fc1_weight, fc1_bias, fc2_weight, fc2_bias] = self.mlp(model.mlp_width, row, gated);
        Block {
            norm1,
            qkv_weight,
            qkv_bias,
            rotary,
            proj_weight,
            proj_bias,
            norm2,
            fc1_weight,
            fc1_bias,
            inner_norm: (model.mlp == Mlp::GatedNorm).then(|| self.norm(row, model.mlp_width)),
            fc2_weight,
            fc2_bias,
        }
    }

    fn pooling(&mut self, shape: AttentionPooling) -> PoolingWeights {
        let (width, attention) = (self.model.width, shape.width());
        let [fc1_weight, fc1_bias, fc2_weight, fc2_bias] =
            self.mlp(shape.mlp_width, shape.mlp_row(), false);
        PoolingWeights {
            query: self.normal(attention, 1.0),
            key_value_weight: self.linear(2 * attention, width),
            key_value_bias: self.normal(2 * attention, 0.1),
            proj_weight: self.linear(width, attention),
            proj_bias: self.normal(width, 0.02),
            norm: self.norm(width, width),
            fc1_weight,
            fc1_bias,
            fc2_weight,
            fc2_bias,
        }
    }
}
