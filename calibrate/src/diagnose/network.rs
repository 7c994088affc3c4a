//! A checkpoint with the tensors of its pack.

use super::rounding::{AttentionUnits, LayerUnits, Units};
use super::units::{Layer, packed_norm, vector};
use crate::checkpoint::{Block, Checkpoint, PoolingWeights};
use mergevit_runtime::pack::{Linear, Norm};
use mergevit_runtime::{Mlp, ModelConfig, Pack, TensorKind};
use std::f32::consts::LN_2;

/// What every valid pack has.
pub(super) const VALID: &str = "a valid pack has the tensors of its model";

/// `checkpoint` with the linear layers and norms of `pack`, which was made from it: activations are in the units of the
/// pack's integers.
pub(super) fn in_pack_units(checkpoint: &Checkpoint, pack: &Pack) -> Checkpoint {
    let mut network = checkpoint.clone();
    // Pixels less 128.
    network.mean = [128.0 / 255.0; 3];
    network.std = [1.0 / 255.0; 3];
    // The queries bring the factor.
    network.score_factor = 1.0;
    network.pool_score_factor = 1.0;
    let weights = &mut network.weights;
    let patch = packed(pack, Linear::Patch, None);
    weights.patch_weight = by_colour(&network.model, &patch.weight);
    weights.patch_bias = patch.bias;
    for (layer, block) in weights.blocks.iter_mut().enumerate() {
        set_block(pack, layer, block);
    }
    if weights.token_norm.is_some() {
        weights.token_norm = packed_norm(pack, Norm::Token, None);
    }
    if let Some(pooling) = &mut weights.pooling {
        set_pooling(pack, pooling);
    }
    weights.final_norm = packed_norm(pack, Norm::Final, None);
    if network.model.head {
        let head = packed(pack, Linear::Head, None);
        (weights.head_weight, weights.head_bias) = (head.weight, head.bias);
    }
    network
}

fn packed(pack: &Pack, which: Linear, layer: Option<usize>) -> Layer {
    Layer::packed(pack, which, layer).expect(VALID)
}

/// Patch weights (C, 3, p, p) from those of the pack, (C, K) in (y, x, colour) order with padding behind.
fn by_colour(model: &ModelConfig, packed: &[f32]) -> Vec<f32> {
    let area = model.patch_size * model.patch_size;
    let row = |row: &[f32]| -> Vec<f32> {
        (0..3 * area)
            .map(|k| row[k % area * 3 + k / area])
            .collect()
    };
    packed
        .chunks_exact(packed.len() / model.width)
        .flat_map(row)
        .collect()
}

fn set_block(pack: &Pack, layer: usize, block: &mut Block) {
    let at = Some(layer);
    let norm = |which| packed_norm(pack, which, at).expect(VALID);
    block.norm1 = norm(Norm::First);
    block.norm2 = norm(Norm::Second);
    if block.inner_norm.is_some() {
        block.inner_norm = packed_norm(pack, Norm::Inner, at);
    }
    let set = |which, weight: &mut Vec<f32>, bias: &mut Vec<f32>| {
        let layer = packed(pack, which, at);
        (*weight, *bias) = (layer.weight, layer.bias);
    };
    set(Linear::Qkv, &mut block.qkv_weight, &mut block.qkv_bias);
    set(
        Linear::Projection,
        &mut block.proj_weight,
        &mut block.proj_bias,
    );
    set(Linear::Fc1, &mut block.fc1_weight, &mut block.fc1_bias);
    set(Linear::Fc2, &mut block.fc2_weight, &mut block.fc2_bias);
}

fn set_pooling(pack: &Pack, pooling: &mut PoolingWeights) {
    pooling.norm = packed_norm(pack, Norm::Pool, None).expect(VALID);
    let set = |which, weight: &mut Vec<f32>, bias: &mut Vec<f32>| {
        let layer = packed(pack, which, None);
        (*weight, *bias) = (layer.weight, layer.bias);
    };
    set(
        Linear::PoolKeyValue,
        &mut pooling.key_value_weight,
        &mut pooling.key_value_bias,
    );
    set(
        Linear::PoolProjection,
        &mut pooling.proj_weight,
        &mut pooling.proj_bias,
    );
    set(
        Linear::PoolFc1,
        &mut pooling.fc1_weight,
        &mut pooling.fc1_bias,
    );
    set(
        Linear::PoolFc2,
        &mut pooling.fc2_weight,
        &mut pooling.fc2_bias,
    );
    let query = pack.tensor_i8(TensorKind::PoolQuery, None).expect(VALID);
    let scores = score_factors(pack, TensorKind::PoolScoreScale, None);
    let head = query.len() / scores.len();
    let factor = |(c, &q): (usize, &i8)| f32::from(q) * scores[c / head];
    pooling.query = query.iter().enumerate().map(factor).collect();
}

/// (H) from integer scores to units of e.
fn score_factors(pack: &Pack, kind: TensorKind, layer: Option<usize>) -> Vec<f32> {
    let scales = vector(pack, kind, layer).expect(VALID);
    scales.into_iter().map(|scale| scale * LN_2).collect()
}

/// What the integers of `pack` mean.
pub(super) fn units(pack: &Pack) -> Units {
    let model = pack.config();
    let attention = |score, context, layer| AttentionUnits {
        score: score_factors(pack, score, layer),
        context: vector(pack, context, layer).expect(VALID),
    };
    let layer = |layer| LayerUnits {
        attention: attention(
            TensorKind::ScoreScale,
            TensorKind::ContextScale,
            Some(layer),
        ),
        hidden: vector(pack, TensorKind::HiddenQuantization, Some(layer)),
        has_inner_norm: model.mlp == Mlp::GatedNorm,
    };
    let pooling = || LayerUnits {
        attention: attention(
            TensorKind::PoolScoreScale,
            TensorKind::PoolContextScale,
            None,
        ),
        hidden: vector(pack, TensorKind::PoolHiddenQuantization, None),
        has_inner_norm: false,
    };
    Units {
        layers: (0..model.depth).map(layer).collect(),
        pooling: model.attention_pooling.is_some().then(pooling),
        has_head: model.head,
    }
}
