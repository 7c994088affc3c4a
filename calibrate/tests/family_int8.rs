//! INT8 follows full precision in every member of the model family: random weights in which every tensor matters and
//! some channels stand out, with and without merging.

use mergevit_calibrate::evaluate::cosine;
use mergevit_calibrate::{Checkpoint, Forward, Observation, Quantizer, pack};
use mergevit_runtime::testing::{self, Random};
use mergevit_runtime::{
    ActivationName, AttentionPooling, Engine, Mlp, ModelConfig, Normalization, OutputKind, Pack,
    Pooling, RotaryKind, Schedule,
};

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
fn family() -> Vec<ModelConfig> {
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

const CALIBRATION: usize = 32;
const TEST: usize = 16;

/// Images with structure: a few waves of random direction and colour, and noise.
fn images(model: &ModelConfig, count: usize, seed: u64) -> Vec<u8> {
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
fn engine(checkpoint: &Checkpoint) -> Engine {
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

/// How near INT8 comes to full precision.
struct Nearness {
    /// Least cosine of the outputs, over the images.
    cosine: f64,
    /// Share of the tokens left that stand for as many patches.
    sizes: f64,
}

/// Compares under the schedule `r{r}`.
fn compare(checkpoint: &Checkpoint, engine: &mut Engine, pixels: &[u8], r: usize) -> Nearness {
    let merge = vec![r; checkpoint.model.depth];
    let real = Forward::new(checkpoint).classify(pixels, &merge);
    engine
        .set_schedule(&format!("r{r}"))
        .expect("the pack has it");
    let (mut cosines, mut same, mut tokens) = (Vec::new(), 0, 0);
    let images = pixels.chunks_exact(checkpoint.model.image_bytes());
    for (pixels, real) in images.zip(&real) {
        let output = engine.classify_pixels(pixels).expect("one image");
        let vector = output.embedding(0).unwrap_or(output.logits());
        cosines.push(cosine(vector, &real.logits));
        assert_eq!(output.sizes().len(), real.sizes.len());
        let pairs = output.sizes().iter().zip(&real.sizes);
        same += pairs.filter(|(a, b)| a == b).count();
        tokens += real.sizes.len();
    }
    Nearness {
        cosine: cosines.into_iter().fold(1.0, f64::min),
        sizes: same as f64 / tokens as f64,
    }
}

/// Of merging, the sizes that are left are compared: where two pairs of tokens are about as similar, rounding the keys
/// may let the other merge. In random networks such ties are common.
#[test]
fn int8_follows_full_precision_in_every_family() {
    let mut failures = Vec::new();
    for model in family() {
        let name = model.architecture.clone();
        let checkpoint = Checkpoint::random_of(model, 3).expect("a valid model");
        let mut engine = engine(&checkpoint);
        let pixels = images(&checkpoint.model, TEST, 99);
        let whole = compare(&checkpoint, &mut engine, &pixels, 0);
        let merged = compare(&checkpoint, &mut engine, &pixels, 6);
        println!(
            "{name}: cosine {:.4}, merged {:.4} with {:.1} % of sizes equal",
            whole.cosine,
            merged.cosine,
            100.0 * merged.sizes
        );
        if whole.cosine < 0.99 || merged.cosine < 0.97 || merged.sizes < 0.9 {
            failures.push(name);
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}
