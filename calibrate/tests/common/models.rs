//! Small models of every family with random weights in which every tensor matters and some channels stand out.

use mergevit_calibrate::{Checkpoint, Observation, Quantizer, pack};
use mergevit_runtime::testing::{self, Random};
use mergevit_runtime::{
    ActivationName, AttentionPooling, Engine, Mlp, ModelConfig, Normalization, OutputKind, Pack,
    Pooling, RotaryKind, Schedule,
};

/// Images that the packs are calibrated on.
const CALIBRATION: usize = 32;

/// A plain ViT of 64 patches, two layers of 128 channels.
fn plain() -> ModelConfig {
    ModelConfig {
        architecture: "plain".into(),
        mlp_width: 256,
        labels: Vec::new(),
        ..testing::model(64, 8, 2, 2, 100)
    }
}

/// A change of the plain model.
fn with(name: &str, change: impl FnOnce(&mut ModelConfig)) -> ModelConfig {
    let mut model = plain();
    model.architecture = name.into();
    change(&mut model);
    model
}

/// Without a classifier the pooled vector is what comes out.
fn headless(model: &mut ModelConfig) {
    model.head = false;
    model.output = OutputKind::Embedding;
    model.classes = model.pooled_width();
}

/// A member for each family of `README.md`.
pub(crate) fn family() -> Vec<ModelConfig> {
    let attention = |model: &mut ModelConfig| {
        model.pooling = Pooling::Attention;
        model.token_norm = true;
        model.final_norm = Normalization::None;
        model.attention_pooling = Some(AttentionPooling {
            heads: 2,
            head_width: 64,
            mlp_width: 256,
        });
    };
    vec![
        plain(),
        with("DeiT, distilled", |m| {
            (m.prefix, m.pooling) = (2, Pooling::ClassAndDistillation);
        }),
        with("DINOv2 with registers, class and mean", |m| {
            (m.prefix, m.pooling) = (5, Pooling::ClassAndMean);
            (m.token_norm, m.final_norm) = (true, Normalization::None);
        }),
        with("mean of patches, then norm", |m| {
            (m.prefix, m.pooling) = (0, Pooling::Mean);
        }),
        with("norm, then mean of all", |m| {
            (m.prefix, m.pooling) = (4, Pooling::MeanAll);
            (m.token_norm, m.final_norm) = (true, Normalization::None);
        }),
        with("CLIP", |m| {
            (m.pre_norm, m.activation) = (true, ActivationName::QuickGelu);
            (m.epsilon, m.output) = (1e-5, OutputKind::Embedding);
        }),
        with("SigLIP", |m| {
            (m.prefix, m.activation) = (0, ActivationName::GeluTanh);
            attention(m);
            headless(m);
        }),
        with("SO400M: heads of 72, MLP of 304", |m| {
            (m.prefix, m.width, m.heads, m.head_width) = (0, 192, 2, 96);
            m.mlp_width = 304;
            attention(m);
        }),
        with("DINOv3", |m| {
            (m.prefix, m.rotary, m.epsilon) = (5, RotaryKind::Shared, 1e-5);
            headless(m);
        }),
        with("DINOv3 H+", |m| {
            (m.prefix, m.rotary, m.epsilon) = (5, RotaryKind::Shared, 1e-5);
            (m.mlp, m.activation) = (Mlp::Gated, ActivationName::Silu);
            headless(m);
        }),
        with("EVA-02", |m| {
            (m.rotary, m.pooling) = (RotaryKind::Shared, Pooling::Mean);
            (m.mlp, m.activation) = (Mlp::GatedNorm, ActivationName::Silu);
            m.mlp_width = 340;
        }),
        with("RoPE-ViT, mixed", |m| m.rotary = RotaryKind::PerLayer),
        with("AIMv2", |m| {
            (m.prefix, m.heads, m.head_width) = (0, 1, 128);
            (m.norm, m.final_norm) = (Normalization::Rms, Normalization::None);
            (m.pooling, m.token_norm) = (Pooling::Mean, true);
            (m.mlp, m.activation, m.epsilon) = (Mlp::Gated, ActivationName::Silu, 1e-5);
        }),
        with("heads of 32", |m| (m.heads, m.head_width) = (4, 32)),
    ]
}

/// Images with structure: a few waves of random direction and colour, and noise.
pub(crate) fn images(model: &ModelConfig, count: usize, seed: u64) -> Vec<u8> {
    let (size, mut random) = (model.image_size, Random(seed));
    let mut pixels = Vec::with_capacity(count * model.image_bytes());
    for _ in 0..count {
        let mut waves = || {
            [
                random.unit(),
                random.unit(),
                3.0 * random.unit(),
                60.0 * random.unit(),
            ]
        };
        let waves: Vec<[f32; 4]> = (0..9).map(|_| waves()).collect();
        for at in 0..size * size {
            let (y, x) = ((at / size) as f32, (at % size) as f32);
            for colour in 0..3 {
                let wave = |w: &[f32; 4]| w[3] * (w[0] * 0.5 * y + w[1] * 0.5 * x + w[2]).sin();
                let sum: f32 = waves[3 * colour..][..3].iter().map(wave).sum();
                pixels.push((128.0 + sum + 20.0 * random.unit()).clamp(0.0, 255.0) as u8);
            }
        }
    }
    pixels
}

/// An INT8 engine made from the checkpoint, with schedules r0 and r6.
pub(crate) fn engine(checkpoint: &Checkpoint) -> Engine {
    let model = &checkpoint.model;
    let mut observation = Observation::new(checkpoint, CALIBRATION);
    observation.see(&images(model, CALIBRATION, 7));
    let statistics = observation.finish().expect("finite activations");
    let packed = Quantizer::new().quantize(checkpoint, &statistics);
    let schedules = [0, 6].map(|r| Schedule::constant(r, model.depth)).to_vec();
    let source = pack::provenance(checkpoint, "waves", CALIBRATION as u64, Default::default());
    let writer = pack::build(checkpoint, &packed, schedules, source).expect("a valid pack");
    let bytes = writer.to_bytes().expect("a valid pack");
    let pack = Pack::from_memory(bytes).expect("a valid pack");
    Engine::options()
        .build(pack)
        .expect("the processor runs every pack")
}
