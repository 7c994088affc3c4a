//! Random weights of a named architecture, so that speed can be measured without a checkpoint.

use super::error::Defect;
use super::{Block, Checkpoint, Weights};
use mergevit_kernels::ops::HEAD_WIDTH;
use mergevit_kernels::testing;
use mergevit_runtime::{Interpolation, ModelConfig, Pooling, Preprocessing, ResizeMode};

struct Random(testing::Random);

impl Random {
    /// About normal: the sum of four uniform values (Irwin-Hall), cut at 3.5 deviations by nature.
    fn normal(&mut self, n: usize, deviation: f32) -> Vec<f32> {
        let scale = deviation * 3f32.sqrt() / 65_535.0;
        (0..n)
            .map(|_| {
                let bits = self.0.bits();
                let sum: u32 = (0..4).map(|i| (bits >> (16 * i)) as u32 & 0xffff).sum();
                (sum as f32 - 2.0 * 65_535.0) * scale
            })
            .collect()
    }
}

/// Width and depth of the family's members.
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

pub(super) fn checkpoint(architecture: &str, seed: u64) -> Result<Checkpoint, Defect> {
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
    let random = &mut Random(testing::Random(seed));
    let weights = Weights {
        patch_weight: random.normal(width * 3 * patch_size * patch_size, 0.02),
        patch_bias: random.normal(width, 0.02),
        position: random.normal(model.tokens() * width, 0.02),
        blocks: (0..depth).map(|_| block(random, width)).collect(),
        norm_gain: vec![1.0; width],
        norm_bias: vec![0.0; width],
        head_weight: random.normal(1000 * width, 0.02),
        head_bias: vec![0.0; 1000],
    };
    Ok(Checkpoint {
        name: format!("{architecture} (random weights)"),
        hash: format!("seed:{seed}"),
        model,
        mean: [0.5; 3],
        std: [0.5; 3],
        weights,
    })
}

fn block(random: &mut Random, width: usize) -> Block {
    Block {
        norm1_gain: vec![1.0; width],
        norm1_bias: random.normal(width, 0.02),
        qkv_weight: random.normal(3 * width * width, 0.04),
        qkv_bias: random.normal(3 * width, 0.02),
        proj_weight: random.normal(width * width, 0.02),
        proj_bias: random.normal(width, 0.02),
        norm2_gain: vec![1.0; width],
        norm2_bias: random.normal(width, 0.02),
        fc1_weight: random.normal(4 * width * width, 0.02),
        fc1_bias: random.normal(4 * width, 0.02),
        fc2_weight: random.normal(4 * width * width, 0.02),
        fc2_bias: random.normal(width, 0.02),
    }
}
