//! Small random models for tests of this crate and of those that use it. No part of the public interface.

use crate::aligned::AlignedBytes;
use crate::config::{
    ActivationName, AttentionPooling, EmbeddingClassifier, Interpolation, Mlp, ModelConfig,
    Normalization, OutputKind, Pooling, Preprocessing, Provenance, Ranking, ResizeMode, RotaryKind,
    Schedule, ScoreKind,
};
use crate::pack::{DType, Pack, PackWriter, SectionKind, TensorKind};
use crate::plan::Plan;

pub use mergevit_kernels::testing::Random;

/// The smallest model worth running: 2 x 2 patches, one layer, one head.
pub fn tiny() -> ModelConfig {
    model(4, 2, 1, 1, 3)
}

/// A model of `heads` times 64 channels and an MLP as wide, with a class token.
pub fn model(
    image_size: usize,
    patch_size: usize,
    heads: usize,
    depth: usize,
    classes: usize,
) -> ModelConfig {
    ModelConfig {
        architecture: "random".into(),
        image_size,
        patch_size,
        width: 64 * heads,
        depth,
        heads,
        head_width: 64,
        mlp_width: 64 * heads,
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
        classes,
        score_kind: ScoreKind::Softmax,
        epsilon: 1e-6,
        labels: (0..classes).map(|class| format!("class {class}")).collect(),
        classifier: None,
        unknown: false,
        preprocessing: Preprocessing {
            resize: ResizeMode::ShortestSide(image_size + image_size / 8),
            interpolation: Interpolation::Bicubic,
        },
    }
}

/// A small model without labels, of 7 x 7 patches and 3 layers: 2 heads of 64 channels, 13 classes.
pub fn small() -> ModelConfig {
    ModelConfig {
        mlp_width: 320,
        labels: Vec::new(),
        ..model(35, 5, 2, 3, 13)
    }
}

/// Without a classifier.
fn headless(model: ModelConfig) -> ModelConfig {
    ModelConfig {
        classes: model.pooled_width(),
        head: false,
        output: OutputKind::Embedding,
        ..model
    }
}

/// A change of [`small`] and what it is called.
type Variant = (&'static str, fn(ModelConfig) -> ModelConfig);

/// Every feature that a configuration can ask for, alone or as published models combine them.
const FAMILY: &[Variant] = &[
    ("plain", |m| m),
    ("pixels that no patch has", |m| {
        let image_size = m.image_size + m.patch_size - 2;
        ModelConfig {
            image_size,
            preprocessing: Preprocessing {
                resize: ResizeMode::ShortestSide(image_size),
                ..m.preprocessing
            },
            ..m
        }
    }),
    ("no prefix, mean", |m| ModelConfig {
        prefix: 0,
        pooling: Pooling::Mean,
        ..m
    }),
    ("class token, mean", |m| ModelConfig {
        pooling: Pooling::Mean,
        ..m
    }),
    ("distillation", |m| ModelConfig {
        prefix: 2,
        pooling: Pooling::ClassAndDistillation,
        ..m
    }),
    ("registers, mean of all", |m| ModelConfig {
        prefix: 5,
        pooling: Pooling::MeanAll,
        activation: ActivationName::GeluTanh,
        ..m
    }),
    ("pre-norm, quick gelu", |m| ModelConfig {
        pre_norm: true,
        activation: ActivationName::QuickGelu,
        ..m
    }),
    ("token norm, mean", |m| ModelConfig {
        pooling: Pooling::Mean,
        token_norm: true,
        final_norm: Normalization::None,
        ..m
    }),
    ("class and mean", |m| ModelConfig {
        prefix: 5,
        pooling: Pooling::ClassAndMean,
        token_norm: true,
        final_norm: Normalization::None,
        ..m
    }),
    ("heads of 32", |m| ModelConfig {
        heads: 4,
        head_width: 32,
        ..m
    }),
    ("heads of 96", |m| ModelConfig {
        heads: 2,
        head_width: 96,
        width: 192,
        ..m
    }),
    ("heads of 128, wider than tokens", |m| ModelConfig {
        heads: 2,
        head_width: 128,
        ..m
    }),
    ("gated", |m| ModelConfig {
        mlp: Mlp::Gated,
        activation: ActivationName::Silu,
        mlp_width: 128,
        ..m
    }),
    ("gated, inner norm", |m| ModelConfig {
        mlp: Mlp::GatedNorm,
        activation: ActivationName::Silu,
        mlp_width: 100,
        rotary: RotaryKind::Shared,
        ..m
    }),
    ("rotary, shared", |m| ModelConfig {
        rotary: RotaryKind::Shared,
        prefix: 5,
        ..m
    }),
    ("rotary, per layer", |m| ModelConfig {
        rotary: RotaryKind::PerLayer,
        heads: 4,
        head_width: 32,
        ..m
    }),
    ("rms", |m| ModelConfig {
        norm: Normalization::Rms,
        final_norm: Normalization::Rms,
        ..m
    }),
    ("attention pooling", |m| ModelConfig {
        prefix: 0,
        pooling: Pooling::Attention,
        token_norm: true,
        final_norm: Normalization::None,
        attention_pooling: Some(AttentionPooling {
            heads: 2,
            head_width: 96,
            mlp_width: 100,
        }),
        ..m
    }),
    ("headless", headless),
    ("headless, attention pooling", |m| {
        let pooling = AttentionPooling {
            heads: 2,
            head_width: 64,
            mlp_width: 128,
        };
        headless(ModelConfig {
            prefix: 0,
            pooling: Pooling::Attention,
            token_norm: true,
            final_norm: Normalization::None,
            attention_pooling: Some(pooling),
            ..m
        })
    }),
    ("zero-shot", |m| ModelConfig {
        output: OutputKind::Embedding,
        classes: 24,
        labels: ["cat", "dog", "crane", "bird"].map(String::from).into(),
        classifier: Some(EmbeddingClassifier::Cosine {
            scale: 100.0,
            bias: -3.5,
        }),
        ..m
    }),
    ("own classes", |m| {
        headless(ModelConfig {
            labels: ["nut", "bolt", "washer"].map(String::from).into(),
            classifier: Some(EmbeddingClassifier::Linear),
            unknown: true,
            ..m
        })
    }),
];

/// Small models that together have every feature there is, by name.
pub fn family() -> Vec<(&'static str, ModelConfig)> {
    FAMILY
        .iter()
        .map(|(name, change)| (*name, change(small())))
        .collect()
}

/// Schedules of constant r, named `r0`, `r1`, ...
pub fn schedules(depth: usize, merged: &[u16]) -> Vec<Schedule> {
    merged
        .iter()
        .map(|&r| Schedule::constant(r, depth))
        .collect()
}

/// [`schedules`], and behind them, if the model has a class token, the same ranked by its attention: `r1-class`, ...
pub fn ranked_schedules(config: &ModelConfig, merged: &[u16]) -> Vec<Schedule> {
    let mut all = schedules(config.depth, merged);
    if Ranking::ClassAttention.suits(config.prefix) {
        let ranked = merged.iter().map(|&r| Schedule {
            name: format!("r{r}-class"),
            ..Schedule::constant(r, config.depth).ranked_by(Ranking::ClassAttention)
        });
        all.extend(ranked);
    }
    all
}

/// [`pack`] with [`ranked_schedules`].
pub fn ranked_pack(config: &ModelConfig, merged: &[u16], seed: u64) -> Pack {
    let schedules = ranked_schedules(config, merged);
    let writer = writer(config, merged, seed).with_schedules(schedules);
    Pack::from_memory(writer.to_bytes().expect("a valid pack")).expect("a valid pack")
}

/// A pack of random weights whose activations neither vanish nor saturate.
pub fn writer(config: &ModelConfig, merged: &[u16], seed: u64) -> PackWriter<'static> {
    let provenance = Provenance {
        checkpoint: "random".into(),
        tool: "test".into(),
        ..Provenance::default()
    };
    let schedules = schedules(config.depth, merged);
    let mut writer =
        PackWriter::new(config.clone(), schedules, provenance).expect("the configuration is valid");
    let mut random = Random(seed);
    for kind in TensorKind::of(config) {
        let (rows, columns) = kind.shape(config);
        let layers = if kind.is_layer() { config.depth } else { 1 };
        for layer in 0..layers {
            let layer = kind.is_layer().then_some(layer);
            let result = match kind.dtype() {
                DType::I8 => {
                    let data = weights(kind, config, &mut random);
                    writer.tensor_i8(kind, layer, rows, columns, data)
                }
                _ => {
                    let data = values(kind, config, &mut random);
                    writer.tensor_f32(kind, layer, rows, columns, data)
                }
            };
            result.expect("the tensor has the shape of its kind");
        }
    }
    writer
}

fn weights(kind: TensorKind, config: &ModelConfig, random: &mut Random) -> Vec<i8> {
    let (rows, columns) = kind.shape(config);
    let used = match kind {
        TensorKind::PatchWeight => 3 * config.patch_size * config.patch_size,
        _ => columns,
    };
    let mut weight = |at: usize| match at % columns < used {
        true => (random.below(255) as i32 - 127) as i8,
        false => 0,
    };
    (0..rows * columns).map(&mut weight).collect()
}

/// Values that keep the standard deviation of every i8 activation near 40 steps and of the residual near 1.
fn values(kind: TensorKind, config: &ModelConfig, random: &mut Random) -> Vec<f32> {
    use TensorKind as Kind;
    // Standard deviation of a dot product of `inner` uniform weights and activations of deviation 40.
    let sum = |inner: usize| (inner as f32).sqrt() * 73.0 * 40.0;
    let (width, mlp) = (config.width, config.mlp_width);
    let pooling = config.attention_pooling;
    let pool_mlp = pooling.map_or(1, |pooling| pooling.mlp_width);
    let (middle, spread) = match kind {
        Kind::Activation => return activation(config),
        Kind::PatchScale => (0.5 / sum(3 * config.patch_size * config.patch_size), 0.0),
        Kind::Position => (0.0, 1.0),
        Kind::PreNormGain => (1.0, 0.2),
        // Up to a turn from one side of 7 patches to the other.
        Kind::RotaryFrequency | Kind::LayerRotaryFrequency => (0.0, 0.15),
        Kind::Norm1Gain | Kind::Norm2Gain | Kind::PoolNormGain => (40.0, 10.0),
        Kind::Norm1Bias | Kind::Norm2Bias | Kind::PoolNormBias => (0.0, 5.0),
        Kind::InnerNormGain | Kind::InnerNormBias => return inner_norm(kind, config, random),
        Kind::TokenNormGain if pooling.is_none() => (1.0, 0.2),
        Kind::TokenNormGain => (40.0, 10.0),
        Kind::QkvScale | Kind::PoolKeyValueScale => (40.0 / sum(width), 0.0),
        Kind::QkvBias | Kind::PoolKeyValueBias => (0.0, 5.0),
        Kind::ScoreScale | Kind::PoolScoreScale => (1.5e-4, 5e-5),
        Kind::ContextScale | Kind::PoolContextScale => (1.5, 0.5),
        Kind::ProjScale => (0.3 / sum(config.attention_width()), 0.0),
        Kind::PoolProjScale => (1.0 / sum(pooling.map_or(1, |pooling| pooling.width())), 0.0),
        Kind::Fc1Scale if config.mlp == Mlp::Gated => return gated(config),
        Kind::Fc1Scale | Kind::PoolFc1Scale => (1.5 / sum(width), 0.0),
        Kind::Fc2Scale => (0.3 / sum(mlp), 0.0),
        Kind::PoolFc2Scale => (0.3 / sum(pool_mlp), 0.0),
        Kind::HiddenQuantization | Kind::PoolHiddenQuantization => return hidden(kind, config),
        Kind::FinalNormGain => final_gain(config),
        Kind::FinalNormBias if config.head => (0.0, 500.0),
        Kind::HeadScale => (2.0 / (200.0 * sum(config.pooled_width())), 0.0),
        Kind::ClassVector | Kind::ClassCenter => return directions(config, random),
        // Of random directions, some are nearer and some are not.
        Kind::ClassThreshold => (0.0, 0.05),
        _ => (0.0, 0.1),
    };
    let (rows, columns) = kind.shape(config);
    (0..rows * columns)
        .map(|_| middle + spread * random.unit())
        .collect()
}

/// Steps and zero points of hidden channels, which differ from channel to channel.
fn hidden(kind: TensorKind, config: &ModelConfig) -> Vec<f32> {
    let (_, channels) = kind.shape(config);
    let inverse = (0..channels).map(|c| 40.0 / (1.0 + 0.5 * (c % 8) as f32));
    let zero_point = (0..channels).map(|c| -100.0 + 20.0 * (c % 8) as f32);
    inverse.chain(zero_point).collect()
}

/// Gain of the last norm: to 16 bits of a classifier's input, or in real units; a pooled vector that is not normalized
/// again has about the deviation of the residual.
fn final_gain(config: &ModelConfig) -> (f32, f32) {
    match config.head {
        true => (8000.0, 1000.0),
        false => (1.0, 0.2),
    }
}

fn activation(config: &ModelConfig) -> Vec<f32> {
    let activation = config.activation.activation();
    let mut values = vec![activation.limit, activation.map];
    values.extend(activation.poly);
    values
}

/// Scales of gates, to real units, and of values, to steps of the product.
fn gated(config: &ModelConfig) -> Vec<f32> {
    let sum = (config.width as f32).sqrt() * 73.0 * 40.0;
    let pair = [1.5 / sum, 40.0 / sum];
    pair.repeat(config.mlp_row())
}

/// Zero beyond the channels that count.
fn inner_norm(kind: TensorKind, config: &ModelConfig, random: &mut Random) -> Vec<f32> {
    let (middle, spread) = match kind {
        TensorKind::InnerNormGain => (40.0, 10.0),
        _ => (0.0, 5.0),
    };
    let mut values: Vec<f32> = (0..config.mlp_width)
        .map(|_| middle + spread * random.unit())
        .collect();
    values.resize(config.mlp_row(), 0.0);
    values
}

/// Rows of length 1.
/// A row of length 1 for each class.
fn directions(config: &ModelConfig, random: &mut Random) -> Vec<f32> {
    let rows = (0..config.labels.len()).flat_map(|_| {
        let row = random.f32s(config.classes, 1.0);
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.into_iter().map(move |x| x / length)
    });
    rows.collect()
}

/// A random pack as bytes.
pub fn bytes(config: &ModelConfig, merged: &[u16], seed: u64) -> AlignedBytes {
    writer(config, merged, seed)
        .to_bytes()
        .expect("a random model is a valid pack")
}

/// A random pack, kept until the process ends.
pub fn pack(config: &ModelConfig, merged: &[u16], seed: u64) -> Pack {
    let bytes = Box::leak(Box::new(bytes(config, merged, seed)));
    Pack::from_static(bytes).expect("a random model is a valid pack")
}

/// Recomputes every checksum of a damaged pack as far as its section table makes sense, so that tests
/// reach the checks behind the checksums.
pub fn reseal(bytes: &mut [u8]) {
    crate::pack::reseal(bytes);
}

/// Byte range of each section's entry in the table, in file order.
pub fn entries(pack: &Pack) -> impl Iterator<Item = (SectionKind, std::ops::Range<usize>)> {
    pack.sections().enumerate().map(|(index, section)| {
        let start = 64 + 48 * index;
        (section.kind, start..start + 48)
    })
}

/// What a fuzzer calls: whatever the bytes, reading them gives a pack or an error, and a pack plans. The
/// bytes are tried as they are, and with their checksums put right.
pub fn read_any(bytes: &[u8]) {
    let mut bytes = AlignedBytes::copy_of(bytes);
    for _ in 0..2 {
        if let Ok(metadata) = crate::pack::read_metadata(&bytes) {
            for schedule in &metadata.schedules {
                let plan = Plan::new(&metadata.model, schedule, 1 + bytes.len() % 8)
                    .expect("a valid pack plans");
                assert!(plan.arena_len() >= plan.pixels().len);
            }
        }
        reseal(&mut bytes);
    }
}
