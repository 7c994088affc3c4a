//! A checkpoint's weights in the units of its pack's integers, not rounded.

use super::means::Means;
use super::network::VALID;
use super::quantizer::Quantizer;
use super::units::{Layer, Steps, packed_norm, vector};
use crate::checkpoint::{Affine, Checkpoint, PoolingWeights};
use mergevit_runtime::pack::{Linear, Norm};
use mergevit_runtime::{Mlp, Pack, TensorKind};

/// What is rounded in one go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// A linear layer.
    Linear(Linear),
    /// The query of the pooling that attends.
    PoolQuery,
}

/// Weights without rounding, and where they belong.
pub(super) struct Exact {
    pub(super) quantizer: Quantizer,
    pub(super) layer: Option<usize>,
    pub(super) part: Part,
    pub(super) weights: Layer,
}

/// All weights of `checkpoint` in the units of `pack`, which was made from it. `means` are those of the integers that
/// values are made of.
pub(super) fn exact(checkpoint: &Checkpoint, pack: &Pack, means: &Means) -> Vec<Exact> {
    let mut all = vec![patch(checkpoint)];
    for layer in 0..checkpoint.model.depth {
        attention(checkpoint, pack, layer, means, &mut all);
        mlp(checkpoint, pack, layer, &mut all);
    }
    if let (Some(weights), Some(norm)) =
        (&checkpoint.weights.pooling, &checkpoint.weights.token_norm)
    {
        pooling(checkpoint, pack, (weights, norm), means, &mut all);
    }
    all.extend(head(checkpoint, pack));
    all
}

fn linear(quantizer: Quantizer, layer: Option<usize>, which: Linear, weights: Layer) -> Exact {
    Exact {
        quantizer,
        layer,
        part: Part::Linear(which),
        weights,
    }
}

fn steps(pack: &Pack, real: &Affine, which: Norm, layer: Option<usize>) -> Steps {
    Steps::of_norm(real, &packed_norm(pack, which, layer).expect(VALID))
}

fn packed(pack: &Pack, which: Linear, layer: Option<usize>) -> Layer {
    Layer::packed(pack, which, layer).expect(VALID)
}

fn patch(checkpoint: &Checkpoint) -> Exact {
    let weights = &checkpoint.weights;
    let area = checkpoint.model.patch_size.pow(2);
    let colour = |k: usize| {
        (
            f64::from(checkpoint.mean[k / area]),
            f64::from(checkpoint.std[k / area]),
        )
    };
    let pixels = Steps {
        step: (0..3 * area).map(|k| 1.0 / (255.0 * colour(k).1)).collect(),
        shift: (0..3 * area)
            .map(|k| (128.0 / 255.0 - colour(k).0) / colour(k).1)
            .collect(),
    };
    let exact = Layer::exact(&weights.patch_weight, &weights.patch_bias, &pixels);
    linear(Quantizer::PatchWeights, None, Linear::Patch, exact)
}

/// Values in the units of `packed`, and the context that attention averages from them.
///
/// `real` is the layer that gives keys and values, or queries, keys and values, in real units; its rows from `first` on
/// are values. `groups` are rows that share a unit.
fn values(
    real: Layer,
    packed: &Layer,
    (groups, first): (&[usize], usize),
    mean: &[f64],
    context_scale: &[f32],
) -> (Layer, Vec<f64>, Steps) {
    let units = real.units(packed, groups);
    let bias = real.bias.clone();
    let mut exact = real.in_units(&units);
    let means = exact.mean_bias(packed, mean);
    exact.bias[first..].copy_from_slice(&means[first..]);
    let head = (units.len() - first) / context_scale.len();
    let unit = |c: usize| units[first + c];
    let channels = 0..units.len() - first;
    let step = |c: usize| unit(c) / f64::from(context_scale[c / head]);
    let shift = |c: usize| f64::from(bias[first + c]) - f64::from(exact.bias[first + c]) * unit(c);
    let context = Steps {
        step: channels.clone().map(step).collect(),
        shift: channels.map(shift).collect(),
    };
    (exact, units, context)
}

fn attention(
    checkpoint: &Checkpoint,
    pack: &Pack,
    layer: usize,
    means: &Means,
    all: &mut Vec<Exact>,
) {
    let (model, block, at) = (
        &checkpoint.model,
        &checkpoint.weights.blocks[layer],
        Some(layer),
    );
    let width = model.attention_width();
    let input = steps(pack, &block.norm1, Norm::First, at);
    let mut groups = vec![model.head_width; model.heads];
    groups.push(width);
    groups.extend(vec![1; width]);
    let (qkv, _, context) = values(
        Layer::exact(&block.qkv_weight, &block.qkv_bias, &input),
        &packed(pack, Linear::Qkv, at),
        (&groups, 2 * width),
        means.of_layer(layer),
        &vector(pack, TensorKind::ContextScale, at).expect(VALID),
    );
    let projection = Layer::exact(&block.proj_weight, &block.proj_bias, &context);
    all.push(linear(Quantizer::QkvWeights, at, Linear::Qkv, qkv));
    all.push(linear(
        Quantizer::ProjectionWeights,
        at,
        Linear::Projection,
        projection,
    ));
}

fn mlp(checkpoint: &Checkpoint, pack: &Pack, layer: usize, all: &mut Vec<Exact>) {
    let (model, block, at) = (
        &checkpoint.model,
        &checkpoint.weights.blocks[layer],
        Some(layer),
    );
    let input = steps(pack, &block.norm2, Norm::Second, at);
    let mut fc1 = Layer::exact(&block.fc1_weight, &block.fc1_bias, &input);
    let hidden = match (model.mlp, &block.inner_norm) {
        (Mlp::Plain, _) => {
            let hidden = vector(pack, TensorKind::HiddenQuantization, at).expect(VALID);
            Steps::of_hidden(&hidden)
        }
        (Mlp::GatedNorm, Some(norm)) => steps(pack, norm, Norm::Inner, at),
        _ => {
            // Gates are in real units, values in those of the hidden channels.
            let mut units = fc1.units(&packed(pack, Linear::Fc1, at), &vec![1; fc1.bias.len()]);
            units.iter_mut().step_by(2).for_each(|unit| *unit = 1.0);
            fc1 = fc1.in_units(&units);
            let step: Vec<f64> = units.into_iter().skip(1).step_by(2).collect();
            Steps {
                shift: vec![0.0; step.len()],
                step,
            }
        }
    };
    let fc2 = Layer::exact(&block.fc2_weight, &block.fc2_bias, &hidden);
    all.push(linear(Quantizer::Fc1Weights, at, Linear::Fc1, fc1));
    all.push(linear(Quantizer::Fc2Weights, at, Linear::Fc2, fc2));
}

fn pooling(
    checkpoint: &Checkpoint,
    pack: &Pack,
    (weights, token_norm): (&PoolingWeights, &Affine),
    means: &Means,
    all: &mut Vec<Exact>,
) {
    let width = weights.query.len();
    let input = steps(pack, token_norm, Norm::Token, None);
    let mut groups = vec![width];
    groups.extend(vec![1; width]);
    let (key_value, units, context) = values(
        Layer::exact(&weights.key_value_weight, &weights.key_value_bias, &input),
        &packed(pack, Linear::PoolKeyValue, None),
        (&groups, width),
        means.of_pooling(),
        &vector(pack, TensorKind::PoolContextScale, None).expect(VALID),
    );
    let projection = Layer::exact(&weights.proj_weight, &weights.proj_bias, &context);
    let input = steps(pack, &weights.norm, Norm::Pool, None);
    let fc1 = Layer::exact(&weights.fc1_weight, &weights.fc1_bias, &input);
    let hidden = vector(pack, TensorKind::PoolHiddenQuantization, None).expect(VALID);
    let hidden = Steps::of_hidden(&hidden);
    let fc2 = Layer::exact(&weights.fc2_weight, &weights.fc2_bias, &hidden);
    for (which, weights) in [
        (Linear::PoolKeyValue, key_value),
        (Linear::PoolProjection, projection),
        (Linear::PoolFc1, fc1),
        (Linear::PoolFc2, fc2),
    ] {
        all.push(linear(Quantizer::Pooling, None, which, weights));
    }
    let factor = checkpoint.pool_score_factor * units[0] as f32;
    all.push(Exact {
        quantizer: Quantizer::Pooling,
        layer: None,
        part: Part::PoolQuery,
        weights: Layer {
            weight: weights.query.iter().map(|q| q * factor).collect(),
            bias: Vec::new(),
        },
    });
}

fn head(checkpoint: &Checkpoint, pack: &Pack) -> Option<Exact> {
    let (weights, input) = (&checkpoint.weights, features(checkpoint, pack)?);
    let exact = Layer::exact(&weights.head_weight, &weights.head_bias, &input);
    Some(linear(
        Quantizer::ClassifierWeights,
        None,
        Linear::Head,
        exact,
    ))
}

/// (V) what the integers of the classifier's input mean; none without a classifier.
pub(super) fn features(checkpoint: &Checkpoint, pack: &Pack) -> Option<Steps> {
    let (model, weights) = (&checkpoint.model, &checkpoint.weights);
    if !model.head {
        return None;
    }
    let packed = packed_norm(pack, Norm::Final, None).expect(VALID);
    let width = packed.gain.len();
    let identity = || Affine {
        gain: vec![1.0; width],
        bias: vec![0.0; width],
    };
    let real = weights.final_norm.clone().unwrap_or_else(identity);
    let own = Steps::of_norm(&real, &packed);
    // Where the norm takes one token at a time, tokens side by side share its steps.
    let tokens = model.pooled_width() / width;
    Some(Steps {
        step: own.step.repeat(tokens),
        shift: own.shift.repeat(tokens),
    })
}
