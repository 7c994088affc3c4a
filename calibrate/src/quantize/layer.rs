//! One encoder layer: from real weights and calibration rows to what a pack holds.

use super::attention::{
    ScoreSamples, ValueQuantization, ValueSamples, channel_ranges, score_steps, value_candidates,
};
use super::columns::{Columns, I8_LIMIT};
use super::fit::{Problem, evenly, fit_candidates, fit_norm};
use super::mlp::{PackedMlp, fit_mlp};
use super::packed::{PackedLayer, PackedLinear, PackedNorm};
use super::product::real_output;
use super::search::{Ranges, column_variance};
use super::weights::{Linear, QuantizedLinear};
use crate::checkpoint::{Block, Checkpoint};
use crate::observe::{LayerStatistics, Observer, Rows};

/// One over the variance of each of the layer's `sections`, queries, keys and values say, for each output in each row.
pub(super) fn section_importance(output: &[f32], width: usize, sections: usize) -> Vec<f32> {
    let variance = column_variance(output, sections * width);
    let section: Vec<f32> = variance
        .chunks(width)
        .map(|part| {
            let mean = part.iter().sum::<f32>() / width as f32;
            if mean > 0.0 { 1.0 / mean } else { 1.0 }
        })
        .collect();
    (0..output.len())
        .map(|i| section[i % (sections * width) / width])
        .collect()
}

/// `count` columns from `first` on of `rows` (R, width).
pub(super) fn columns(rows: &[f32], width: usize, first: usize, count: usize) -> Vec<f32> {
    let row = |row: &[f32]| row[first..first + count].to_vec();
    rows.chunks_exact(width).flat_map(row).collect()
}

/// Quantizes layer `index` of `checkpoint`.
pub fn quantize_layer(
    observer: Observer,
    checkpoint: &Checkpoint,
    index: usize,
    statistics: &LayerStatistics,
) -> PackedLayer {
    let model = &checkpoint.model;
    let block = &checkpoint.weights.blocks[index];
    let width = model.attention_width();
    let qkv_layer = Linear::new(&block.qkv_weight, &block.qkv_bias);
    let qkv = real_output(&qkv_layer, &statistics.norm1.samples);
    let (norm1, linear) = fit_norm(
        observer,
        &qkv_layer,
        &statistics.norm1,
        &qkv,
        I8_LIMIT,
        |output| section_importance(output, width, 3),
    );
    let steps = {
        let (query, key) = (
            scored(&statistics.query, &qkv, width, 0),
            scored(&statistics.key, &qkv, width, 1),
        );
        let ranges = |of: &Rows, rows: &[f32]| channel_ranges(observer, &of.limits, rows, 0, width);
        let samples = ScoreSamples {
            head_width: model.head_width,
            query: &query,
            key: &key,
            query_ranges: &ranges(&statistics.query, &query),
            key_ranges: &ranges(&statistics.key, &key),
        };
        score_steps(observer, &samples)
    };
    let value = channel_ranges(observer, &statistics.value, &qkv, 2 * width, 3 * width);
    let (values, proj) = fit_context(
        observer,
        model.head_width,
        &Linear::new(&block.proj_weight, &block.proj_bias),
        &statistics.context,
        &Ranges::new(value),
    );
    let score = |query: &f64| {
        let factor = f64::from(checkpoint.score_factor);
        (query * steps.key * std::f64::consts::LOG2_E * factor) as f32
    };
    let query = steps.query.iter();
    let query = query.flat_map(|&step| std::iter::repeat_n(step, model.head_width));
    let keys = std::iter::repeat_n(steps.key, width);
    let (step, shift) = with_values(query.chain(keys).collect(), &values.value);
    let PackedMlp {
        norm2,
        fc1,
        hidden,
        inner_norm,
        fc2,
    } = fit_mlp(observer, model, block, statistics);
    PackedLayer {
        norm1: PackedNorm::fold(&block.norm1, &norm1),
        qkv: PackedLinear::requantized(linear, &step, &shift),
        rotary: frequencies(block),
        score_scale: steps.query.iter().map(score).collect(),
        context_scale: values.context_scale.iter().map(|&s| s as f32).collect(),
        proj: PackedLinear::real(proj),
        norm2,
        fc1,
        hidden,
        inner_norm,
        fc2,
        query_step: steps.query.iter().map(|&step| step as f32).collect(),
        key_step: steps.key as f32,
    }
}

fn frequencies(block: &Block) -> Vec<f32> {
    block.rotary.iter().map(|&turns| turns as f32).collect()
}

/// Rows of queries (`section` 0) or keys (1): those recorded behind the rotation, else those of the layer's output.
fn scored(rows: &Rows, qkv: &[f32], width: usize, section: usize) -> Vec<f32> {
    match rows.samples.is_empty() {
        true => columns(qkv, 3 * width, section * width, width),
        false => rows.samples.clone(),
    }
}

/// Steps and shifts of a layer whose first outputs have the steps `first` and whose others are values.
pub(super) fn with_values(first: Vec<f64>, values: &Columns) -> (Vec<f64>, Vec<f64>) {
    let shift = std::iter::repeat_n(0.0, first.len()).chain(values.shift.iter().copied());
    let shift = shift.collect();
    (
        first
            .into_iter()
            .chain(values.step.iter().copied())
            .collect(),
        shift,
    )
}

/// Quantizes values, context and the projection.
pub(super) fn fit_context(
    observer: Observer,
    head_width: usize,
    proj: &Linear<'_>,
    context: &Rows,
    value: &Ranges,
) -> (ValueQuantization, QuantizedLinear) {
    let output = real_output(proj, &context.samples);
    let ranges = channel_ranges(observer, &context.limits, &context.samples, 0, proj.inputs);
    let mut candidates = value_candidates(
        observer,
        &ValueSamples {
            head_width,
            value,
            context: &Ranges::new(ranges),
            rows: &context.samples,
            weight_maxima: &proj.column_maxima(),
            weight_energy: &proj.column_energy(),
        },
    );
    let columns: Vec<Columns> = candidates
        .iter()
        .map(|candidate| candidate.context.clone())
        .collect();
    let problem = Problem {
        linear: proj,
        input: &context.samples,
        output: &output,
    };
    // The clipping is part of the candidates: it belongs to the head, not to the layer.
    let (best, _, proj) = fit_candidates(&problem, &columns, &[1.0], evenly);
    (candidates.swap_remove(best), proj)
}
