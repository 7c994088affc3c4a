//! Random weights of a named architecture, so that speed can be measured without a checkpoint.

use super::error::Defect;
use super::weights::{Block, Weights};
use mergevit_kernels::ops::HEAD_WIDTH;
use mergevit_kernels::testing::Random;
use mergevit_runtime::{Interpolation, ModelConfig, Pooling, Preprocessing, ResizeMode};

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

/// A model of a named architecture and its weights.
///
/// # Errors
/// [`Defect::Unsupported`] for an unknown name, [`Defect::Model`] for dimensions beyond the limits.
pub(super) fn model(architecture: &str, seed: u64) -> Result<(ModelConfig, Weights), Defect> {
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
        mlp_width: 4 * width,
        classes: 1000,
        class_token: true,
        pooling: Pooling::ClassToken,
        epsilon: 1e-6,
        labels: Vec::new(),
        preprocessing: Preprocessing {
            resize: ResizeMode::ShortestSide((image_size as f64 / 0.9) as usize),
            interpolation: Interpolation::Bicubic,
        },
    };
    model.validate()?;
    let random = &mut Random(seed);
    let weights = Weights {
        patch_weight: normal(random, width * 3 * patch_size * patch_size, 0.02),
        patch_bias: normal(random, width, 0.02),
        position: normal(random, model.tokens() * width, 0.02),
        blocks: (0..depth).map(|_| block(random, width)).collect(),
        final_norm_gain: vec![1.0; width],
        final_norm_bias: vec![0.0; width],
        head_weight: normal(random, 1000 * width, 0.02),
        head_bias: vec![0.0; 1000],
    };
    Ok((model, weights))
}

fn block(random: &mut Random, width: usize) -> Block {
    Block {
        norm1_gain: vec![1.0; width],
        norm1_bias: normal(random, width, 0.02),
        qkv_weight: normal(random, 3 * width * width, 0.04),
        qkv_bias: normal(random, 3 * width, 0.02),
        proj_weight: normal(random, width * width, 0.02),
        proj_bias: normal(random, width, 0.02),
        norm2_gain: vec![1.0; width],
        norm2_bias: normal(random, width, 0.02),
        fc1_weight: normal(random, 4 * width * width, 0.02),
        fc1_bias: normal(random, 4 * width, 0.02),
        fc2_weight: normal(random, 4 * width * width, 0.02),
        fc2_bias: normal(random, width, 0.02),
    }
}
