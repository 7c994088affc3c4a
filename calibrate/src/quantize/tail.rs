//! From tokens to the output: the pooling that attends, the last norm, the classifier.

use super::attention::{ScoreSamples, channel_ranges, score_steps};
use super::columns::{I8_LIMIT, WIDE_LIMIT, round_clamped};
use super::fit::{Problem, evenly, fit_candidates, fit_norm};
use super::layer::{columns, fit_context, section_importance, with_values};
use super::mlp::fit_plain;
use super::packed::{PackedLinear, PackedNorm, PackedPooling};
use super::product::real_output;
use super::search::{Ranges, smoothing_candidates};
use super::weights::Linear;
use crate::checkpoint::{Affine, Checkpoint, PoolingWeights};
use crate::observe::{Observer, PoolingStatistics, Statistics};

/// Share of the 16-bit range that the classifier's calibrated input fills; the rest is headroom.
const WIDE_FILL: f32 = 0.5;

/// The norm after pooling, or one that changes nothing.
fn final_affine(checkpoint: &Checkpoint) -> Affine {
    let width = checkpoint.model.pooled_width();
    let identity = || Affine {
        gain: vec![1.0; width],
        bias: vec![0.0; width],
    };
    checkpoint
        .weights
        .final_norm
        .clone()
        .unwrap_or_else(identity)
}

/// Quantizes the last norm and the classifier, if the model has one.
pub(super) fn classifier(
    observer: Observer,
    checkpoint: &Checkpoint,
    statistics: &Statistics,
) -> (PackedNorm, Option<PackedLinear>) {
    let weights = &checkpoint.weights;
    let affine = final_affine(checkpoint);
    if !checkpoint.model.head {
        return (PackedNorm::from(&affine), None);
    }
    let linear = Linear::new(&weights.head_weight, &weights.head_bias);
    let input = &statistics.final_norm;
    let output = real_output(&linear, &input.samples);
    let ranges = channel_ranges(observer, &input.limits, &input.samples, 0, linear.inputs);
    // Where the norm takes one token at a time, tokens side by side share its steps.
    let tied = affine.gain.len();
    let mut ranges = shared(&ranges, tied, |a, b| (a.0.min(b.0), a.1.max(b.1)));
    ranges.truncate(linear.inputs);
    let maxima = shared(&linear.column_maxima(), tied, |a, b| a.max(b));
    let limit = WIDE_FILL * WIDE_LIMIT;
    let candidates = smoothing_candidates(&Ranges::new(ranges), &maxima, limit);
    let problem = Problem {
        linear: &linear,
        input: &input.samples,
        output: &output,
    };
    let (_, mut columns, head) = fit_candidates(&problem, &candidates, observer.ratios(), evenly);
    columns.step.truncate(tied);
    columns.shift.truncate(tied);
    (
        PackedNorm::fold(&affine, &columns),
        Some(PackedLinear::real(head)),
    )
}

/// Each of `values` joined with those at the same place of every stretch of `period`.
fn shared<T: Copy>(values: &[T], period: usize, join: impl Fn(T, T) -> T) -> Vec<T> {
    let joined = |i: usize| {
        let same = values.iter().skip(i % period).step_by(period).copied();
        same.reduce(&join).expect("the value itself is among them")
    };
    (0..values.len()).map(joined).collect()
}

/// Quantizes the norm of all tokens and the pooling that attends.
pub(super) fn pooling(
    observer: Observer,
    checkpoint: &Checkpoint,
    (weights, token_norm): (&PoolingWeights, &Affine),
    statistics: &PoolingStatistics,
) -> (PackedNorm, PackedPooling) {
    let model = &checkpoint.model;
    let shape = model
        .attention_pooling
        .expect("a checkpoint that attends says how");
    let width = shape.width();
    let layer = Linear::new(&weights.key_value_weight, &weights.key_value_bias);
    let output = real_output(&layer, &statistics.tokens.samples);
    let (norm, linear) = fit_norm(
        observer,
        &layer,
        &statistics.tokens,
        &output,
        I8_LIMIT,
        |output| section_importance(output, width, 2),
    );
    let ranges = channel_ranges(observer, &statistics.key_value, &output, 0, 2 * width);
    let query: Vec<(f32, f32)> = weights.query.iter().map(|&q| (q, q)).collect();
    let steps = score_steps(
        observer,
        &ScoreSamples {
            head_width: shape.head_width,
            query: &weights.query,
            key: &columns(&output, 2 * width, 0, width),
            query_ranges: &query,
            key_ranges: &ranges[..width],
        },
    );
    let (values, proj) = fit_context(
        observer,
        shape.head_width,
        &Linear::new(&weights.proj_weight, &weights.proj_bias),
        &statistics.context,
        &Ranges::new(ranges[width..].iter().copied()),
    );
    let (step, shift) = with_values(vec![steps.key; width], &values.value);
    let integer = |(c, &q): (usize, &f32)| {
        let step = steps.query[c / shape.head_width] as f32;
        round_clamped(q / step, I8_LIMIT) as i8
    };
    let score = |query: &f64| {
        let factor = f64::from(checkpoint.pool_score_factor);
        (query * steps.key * std::f64::consts::LOG2_E * factor) as f32
    };
    let mlp = pooling_mlp(observer, checkpoint, weights, statistics);
    let packed = PackedPooling {
        query: weights.query.iter().enumerate().map(integer).collect(),
        key_value: PackedLinear::requantized(linear, &step, &shift),
        score_scale: steps.query.iter().map(score).collect(),
        context_scale: values.context_scale.iter().map(|&s| s as f32).collect(),
        proj: PackedLinear::real(proj),
        norm: mlp.norm,
        fc1: mlp.fc1,
        hidden: mlp.hidden,
        fc2: mlp.fc2,
    };
    (PackedNorm::fold(token_norm, &norm), packed)
}

struct PoolingMlp {
    norm: PackedNorm,
    fc1: PackedLinear,
    hidden: Vec<f32>,
    fc2: PackedLinear,
}

fn pooling_mlp(
    observer: Observer,
    checkpoint: &Checkpoint,
    weights: &PoolingWeights,
    statistics: &PoolingStatistics,
) -> PoolingMlp {
    let fc1 = Linear::new(&weights.fc1_weight, &weights.fc1_bias);
    let fc2 = Linear::new(&weights.fc2_weight, &weights.fc2_bias);
    let output = real_output(&fc1, &statistics.norm.samples);
    let (columns, first) = fit_norm(observer, &fc1, &statistics.norm, &output, I8_LIMIT, evenly);
    let name = checkpoint.model.activation;
    let (hidden, second) = fit_plain(observer, name, &fc2, &statistics.hidden, output);
    PoolingMlp {
        norm: PackedNorm::fold(&weights.norm, &columns),
        fc1: PackedLinear::real(first),
        hidden,
        fc2: second,
    }
}
