//! Small random models for tests of this crate and of those that use it. No part of the public interface.

use crate::aligned::AlignedBytes;
use crate::config::{
    Interpolation, ModelConfig, Pooling, Preprocessing, Provenance, ResizeMode, Schedule,
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
        mlp_width: 64 * heads,
        classes,
        class_token: true,
        pooling: Pooling::ClassToken,
        epsilon: 1e-6,
        labels: (0..classes).map(|class| format!("class {class}")).collect(),
        preprocessing: Preprocessing {
            resize: ResizeMode::ShortestSide(image_size + image_size / 8),
            interpolation: Interpolation::Bicubic,
        },
    }
}

/// Schedules of constant r, named `r0`, `r1`, ...
pub fn schedules(depth: usize, merged: &[u16]) -> Vec<Schedule> {
    merged
        .iter()
        .map(|&r| Schedule::constant(r, depth))
        .collect()
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
    for kind in TensorKind::all() {
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
    let (middle, spread) = match kind {
        Kind::PatchScale => (0.5 / sum(3 * config.patch_size * config.patch_size), 0.0),
        Kind::Position => (0.0, 1.0),
        Kind::Norm1Gain | Kind::Norm2Gain => (40.0, 10.0),
        Kind::Norm1Bias | Kind::Norm2Bias => (0.0, 5.0),
        Kind::QkvScale => (40.0 / sum(width), 0.0),
        Kind::QkvBias => (0.0, 5.0),
        Kind::ScoreScale => (1.5e-4, 5e-5),
        Kind::ContextScale => (1.5, 0.5),
        Kind::ProjScale => (0.3 / sum(width), 0.0),
        Kind::Fc1Scale => (1.5 / sum(width), 0.0),
        Kind::Fc2Scale => (0.3 / sum(mlp), 0.0),
        Kind::GeluQuantization => return vec![40.0, -100.0],
        Kind::FinalNormGain => (8000.0, 1000.0),
        Kind::FinalNormBias => (0.0, 500.0),
        Kind::HeadScale => (2.0 / (200.0 * sum(width)), 0.0),
        _ => (0.0, 0.1),
    };
    let (rows, columns) = kind.shape(config);
    (0..rows * columns)
        .map(|_| middle + spread * random.unit())
        .collect()
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
