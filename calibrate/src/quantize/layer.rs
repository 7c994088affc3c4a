//! One encoder layer: from real weights and calibration rows to what a pack holds.

use super::attention::{
    ValueQuantization, ValueSamples, channel_ranges, score_steps, value_candidates,
};
use super::columns::{Columns, I8_LIMIT};
use super::gelu::gelu_quantization;
use super::product::real_output;
use super::search::{Ranges, Samples, column_variance, correct_bias, search, smoothing_candidates};
use super::weights::{Linear, QuantizedLinear};
use crate::checkpoint::Block;
use crate::fp32::gelu;
use crate::observe::{LayerStatistics, Observer, Rows};
use mergevit_kernels::ops::HEAD_WIDTH;
use rayon::prelude::*;

/// Most multiply-accumulates of one trial of a search; bounds its rows.
const TRIAL_MACS: usize = 1 << 28;

/// Fewest rows of a trial.
const TRIAL_ROWS: usize = 256;

/// Half the distance over which GELU's slope is measured: about a quantization step of its input.
const SLOPE_REACH: f32 = 0.03;

/// Share of the mean importance that every output has at least.
const LEAST_IMPORTANCE: f32 = 1e-3;

/// A layer norm with the next layer's input quantization folded in.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedNorm {
    /// (C) gamma, in the next layer's steps.
    pub gain: Vec<f32>,
    /// (C) beta, in the next layer's steps.
    pub bias: Vec<f32>,
}

/// A linear layer in the units of its epilogue.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedLinear {
    /// (N, K) integers.
    pub weight: Vec<i8>,
    /// (N) factor of each integer sum.
    pub scale: Vec<f32>,
    /// (N) added after the scale.
    pub bias: Vec<f32>,
}

/// Tensors of an encoder layer as a pack holds them, and the scales behind them.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedLayer {
    /// Before attention.
    pub norm1: PackedNorm,
    /// Queries, keys and values, in steps of their own.
    pub qkv: PackedLinear,
    /// (H) factor from integer scores to units of log2.
    pub score_scale: Vec<f32>,
    /// (H) factor from steps of the values to steps of the context.
    pub context_scale: Vec<f32>,
    /// In real units.
    pub proj: PackedLinear,
    /// Before the MLP.
    pub norm2: PackedNorm,
    /// In real units.
    pub fc1: PackedLinear,
    /// The inverse of the step of GELU's output, and its zero point.
    pub gelu: [f32; 2],
    /// In real units.
    pub fc2: PackedLinear,
    /// (H) real value of one step of the queries.
    pub query_step: Vec<f32>,
    /// Real value of one step of the keys.
    pub key_step: f32,
}

impl PackedNorm {
    /// Folds the quantization of the norm's output into its affine.
    pub(super) fn fold(gain: &[f32], bias: &[f32], columns: &Columns) -> Self {
        let channels = || columns.step.iter().zip(&columns.shift);
        let gain = gain.iter().zip(&columns.step);
        let bias = bias.iter().zip(channels());
        Self {
            gain: gain
                .map(|(&g, step)| (f64::from(g) / step) as f32)
                .collect(),
            bias: bias
                .map(|(&b, (step, shift))| ((f64::from(b) - shift) / step) as f32)
                .collect(),
        }
    }
}

impl PackedLinear {
    /// A layer whose epilogue works in real units.
    pub(super) fn real(linear: QuantizedLinear) -> Self {
        Self {
            weight: linear.data,
            scale: linear.scale.iter().map(|&scale| scale as f32).collect(),
            bias: linear.bias.iter().map(|&bias| bias as f32).collect(),
        }
    }

    /// A layer whose epilogue requantizes: output n becomes `(y - shift[n]) / step[n]`.
    pub(super) fn requantized(linear: QuantizedLinear, step: &[f64], shift: &[f64]) -> Self {
        let scale = linear.scale.iter().zip(step);
        let bias = linear.bias.iter().zip(step.iter().zip(shift));
        Self {
            scale: scale.map(|(scale, step)| (scale / step) as f32).collect(),
            bias: bias
                .map(|(bias, (step, shift))| ((bias - shift) / step) as f32)
                .collect(),
            weight: linear.data,
        }
    }
}

/// Indices of `count` of `rows` rows, spread so that they match no period of the sampling.
fn spread(rows: usize, count: usize) -> Vec<usize> {
    // The fractional parts of multiples of the golden ratio are spread evenly whatever their number.
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let mut order: Vec<usize> = (0..rows).collect();
    let key = |row: &usize| (*row as f64 * GOLDEN).fract();
    order.sort_by(|a, b| key(a).total_cmp(&key(b)));
    order.truncate(count);
    order.sort_unstable();
    order
}

/// Rows `indices` of `values` (R, width).
fn select(values: &[f32], width: usize, indices: &[usize]) -> Vec<f32> {
    let row = |&index: &usize| &values[index * width..][..width];
    indices.iter().flat_map(row).copied().collect()
}

/// Rows of one trial for a layer of this shape.
fn trial_rows(linear: &Linear<'_>, rows: usize) -> Vec<usize> {
    let affordable = TRIAL_MACS / (linear.outputs * linear.inputs);
    spread(rows, affordable.max(TRIAL_ROWS).min(rows))
}

/// Quantizes a layer norm's output and the linear layer that reads it, bias-corrected.
/// `output` (R, N) is the layer's real output, `importance` gives (R', N) for the rows of a trial.
pub(super) fn fit_norm(
    observer: Observer,
    linear: &Linear<'_>,
    input: &Rows,
    output: &[f32],
    limit: f32,
    importance: impl Fn(&[f32]) -> Vec<f32>,
) -> (Columns, QuantizedLinear) {
    let width = linear.inputs;
    let ranges = channel_ranges(observer, &input.limits, &input.samples, 0, width);
    let candidates = smoothing_candidates(&Ranges::new(ranges), &linear.column_maxima(), limit);
    let rows = trial_rows(linear, input.samples.len() / width);
    let trial_output = select(output, linear.outputs, &rows);
    let samples = Samples {
        input: &select(&input.samples, width, &rows),
        importance: &importance(&trial_output),
        output: &trial_output,
    };
    let mut fit = search(linear, &samples, &candidates, observer.ratios());
    correct_bias(&mut fit.linear, &fit.columns, &input.samples, output);
    (fit.columns, fit.linear)
}

/// One over the variance of queries, of keys and of values, for each of their outputs in each row.
fn qkv_importance(output: &[f32], width: usize) -> Vec<f32> {
    let variance = column_variance(output, 3 * width);
    let section: Vec<f32> = variance
        .chunks(width)
        .map(|part| {
            let mean = part.iter().sum::<f32>() / width as f32;
            if mean > 0.0 { 1.0 / mean } else { 1.0 }
        })
        .collect();
    (0..output.len())
        .map(|i| section[i % (3 * width) / width])
        .collect()
}

/// How much an error before GELU changes the MLP's output: the squared slope of GELU there times the energy
/// of the second layer's column.
fn gelu_importance(output: &[f32], energy: &[f64]) -> Vec<f32> {
    let mean = energy.iter().sum::<f64>() / energy.len() as f64;
    let floor = LEAST_IMPORTANCE * mean as f32;
    let beside = |reach: f32| {
        let mut values: Vec<f32> = output.par_iter().map(|y| y + reach).collect();
        values.par_chunks_mut(energy.len()).for_each(gelu);
        values
    };
    let mut importance = beside(SLOPE_REACH);
    importance
        .par_chunks_mut(energy.len())
        .zip(beside(-SLOPE_REACH).par_chunks(energy.len()))
        .for_each(|(above, below)| {
            for ((x, below), &energy) in above.iter_mut().zip(below).zip(energy) {
                let slope = (*x - below) / (2.0 * SLOPE_REACH);
                *x = slope * slope * energy as f32 + floor;
            }
        });
    importance
}

/// Quantizes one encoder layer.
pub fn quantize_layer(
    observer: Observer,
    block: &Block,
    statistics: &LayerStatistics,
) -> PackedLayer {
    let width = block.proj_bias.len();
    let qkv_layer = Linear::new(&block.qkv_weight, &block.qkv_bias);
    let qkv = real_output(&qkv_layer, &statistics.norm1.samples);
    let (columns, linear) = fit_norm(
        observer,
        &qkv_layer,
        &statistics.norm1,
        &qkv,
        I8_LIMIT,
        |output| qkv_importance(output, width),
    );
    let norm1 = PackedNorm::fold(&block.norm1_gain, &block.norm1_bias, &columns);

    let limits =
        |limits: &[(f32, f32)], first| channel_ranges(observer, limits, &qkv, first, 3 * width);
    let steps = score_steps(
        observer,
        &qkv,
        width,
        &limits(&statistics.query, 0),
        &limits(&statistics.key, width),
    );
    let value_ranges = Ranges::new(limits(&statistics.value, 2 * width));
    let proj = Linear::new(&block.proj_weight, &block.proj_bias);
    let (values, proj) = fit_context(observer, &proj, &statistics.context, &value_ranges);

    let head_of = |channel: usize| channel / HEAD_WIDTH;
    let step: Vec<f64> = (0..width)
        .map(|c| steps.query[head_of(c)])
        .chain(std::iter::repeat_n(steps.key, width))
        .chain(values.value.step.iter().copied())
        .collect();
    let shift: Vec<f64> = std::iter::repeat_n(0.0, 2 * width)
        .chain(values.value.shift.iter().copied())
        .collect();
    let score = |query: &f64| query * steps.key * std::f64::consts::LOG2_E / 8.0;
    let mlp = fit_mlp(observer, block, statistics);
    PackedLayer {
        norm1,
        qkv: PackedLinear::requantized(linear, &step, &shift),
        score_scale: steps
            .query
            .iter()
            .map(|query| score(query) as f32)
            .collect(),
        context_scale: values
            .context_scale
            .iter()
            .map(|&scale| scale as f32)
            .collect(),
        proj: PackedLinear::real(proj),
        norm2: mlp.norm2,
        fc1: mlp.fc1,
        gelu: mlp.gelu,
        fc2: mlp.fc2,
        query_step: steps.query.iter().map(|&step| step as f32).collect(),
        key_step: steps.key as f32,
    }
}

/// Quantizes values, context and the projection.
fn fit_context(
    observer: Observer,
    proj: &Linear<'_>,
    context: &Rows,
    value: &Ranges,
) -> (ValueQuantization, QuantizedLinear) {
    let width = proj.inputs;
    let output = real_output(proj, &context.samples);
    let ranges = channel_ranges(observer, &context.limits, &context.samples, 0, width);
    let mut candidates = value_candidates(
        observer,
        &ValueSamples {
            value,
            context: &Ranges::new(ranges),
            rows: &context.samples,
            weight_maxima: &proj.column_maxima(),
            weight_energy: &proj.column_energy(),
        },
    );
    let rows = trial_rows(proj, context.samples.len() / width);
    let trial_output = select(&output, width, &rows);
    let samples = Samples {
        input: &select(&context.samples, width, &rows),
        importance: &vec![1.0; trial_output.len()],
        output: &trial_output,
    };
    let columns: Vec<Columns> = candidates
        .iter()
        .map(|candidate| candidate.context.clone())
        .collect();
    // The clipping is part of the candidates: it belongs to the head, not to the layer.
    let mut fit = search(proj, &samples, &columns, &[1.0]);
    correct_bias(&mut fit.linear, &fit.columns, &context.samples, &output);
    (candidates.swap_remove(fit.candidate), fit.linear)
}

struct PackedMlp {
    norm2: PackedNorm,
    fc1: PackedLinear,
    gelu: [f32; 2],
    fc2: PackedLinear,
}

/// Quantizes the second layer norm and the MLP.
fn fit_mlp(observer: Observer, block: &Block, statistics: &LayerStatistics) -> PackedMlp {
    let fc1_layer = Linear::new(&block.fc1_weight, &block.fc1_bias);
    let fc2_layer = Linear::new(&block.fc2_weight, &block.fc2_bias);
    let energy = fc2_layer.column_energy();
    let mut hidden = real_output(&fc1_layer, &statistics.norm2.samples);
    let (columns, fc1) = fit_norm(
        observer,
        &fc1_layer,
        &statistics.norm2,
        &hidden,
        I8_LIMIT,
        |output| gelu_importance(output, &energy),
    );
    hidden.par_chunks_mut(fc1_layer.outputs).for_each(gelu);
    let activation = gelu_quantization(observer, statistics.hidden[0], &hidden, &energy);
    let hidden_columns = activation.columns(fc2_layer.inputs);
    let output = real_output(&fc2_layer, &hidden);
    let variance = column_variance(&hidden_columns.quantize(&hidden), fc2_layer.inputs);
    let mut fc2 = fc2_layer.quantize(&hidden_columns, &variance);
    correct_bias(&mut fc2, &hidden_columns, &hidden, &output);
    PackedMlp {
        norm2: PackedNorm::fold(&block.norm2_gain, &block.norm2_bias, &columns),
        fc1: PackedLinear::real(fc1),
        gelu: [
            (1.0 / activation.step) as f32,
            f32::from(activation.zero_point),
        ],
        fc2: PackedLinear::real(fc2),
    }
}
