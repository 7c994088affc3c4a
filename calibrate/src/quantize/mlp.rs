//! The MLP of an encoder layer, with a gate or without.

use super::attention::channel_ranges;
use super::columns::{Columns, I8_LIMIT};
use super::fit::{Problem, evenly, fit_candidates, fit_norm};
use super::hidden::hidden_quantization;
use super::packed::{PackedLinear, PackedNorm};
use super::product::real_output;
use super::search::{Ranges, column_variance, correct_bias, smoothing_candidates};
use super::weights::{Linear, QuantizedLinear};
use crate::checkpoint::Block;
use crate::fp32::{activate, gate};
use crate::observe::{LayerStatistics, Observer, Rows};
use mergevit_runtime::{ActivationName, Mlp, ModelConfig};
use rayon::prelude::*;

/// Half the distance over which the activation's slope is measured: about a quantization step of its input.
const SLOPE_REACH: f32 = 0.03;

/// Share of the mean importance that every output has at least.
const LEAST_IMPORTANCE: f32 = 1e-3;

/// The second norm and the MLP.
pub(super) struct PackedMlp {
    pub(super) norm2: PackedNorm,
    pub(super) fc1: PackedLinear,
    pub(super) hidden: Option<Vec<f32>>,
    pub(super) inner_norm: Option<PackedNorm>,
    pub(super) fc2: PackedLinear,
}

/// Quantizes the second norm and the MLP.
pub(super) fn fit_mlp(
    observer: Observer,
    model: &ModelConfig,
    block: &Block,
    statistics: &LayerStatistics,
) -> PackedMlp {
    let name = model.activation;
    let fc2_layer = Linear::new(&block.fc2_weight, &block.fc2_bias);
    let energy = fc2_layer.column_energy();
    let fc1_layer = Linear::new(&block.fc1_weight, &block.fc1_bias);
    let output = real_output(&fc1_layer, &statistics.norm2.samples);
    let importance = |output: &[f32]| match model.mlp {
        Mlp::Plain => slope_importance(name, output, &energy),
        Mlp::Gated => gate_importance(name, output, &energy),
        Mlp::GatedNorm => {
            let gain = block.inner_norm.iter().flat_map(|norm| &norm.gain);
            let energy = energy.iter().zip(gain).map(|(e, &g)| e * f64::from(g * g));
            gate_importance(name, output, &energy.collect::<Vec<_>>())
        }
    };
    let input = &statistics.norm2;
    let (columns, fc1) = fit_norm(observer, &fc1_layer, input, &output, I8_LIMIT, importance);
    let norm2 = PackedNorm::fold(&block.norm2, &columns);
    match model.mlp {
        Mlp::Plain => {
            let (hidden, fc2) = fit_plain(observer, name, &fc2_layer, &statistics.hidden, output);
            PackedMlp {
                norm2,
                fc1: PackedLinear::real(fc1),
                hidden: Some(hidden),
                inner_norm: None,
                fc2,
            }
        }
        Mlp::Gated => {
            let hidden = gated_rows(name, &output, fc1_layer.outputs);
            let (columns, fc2) = fit_gated(observer, &fc2_layer, &statistics.hidden, &hidden);
            PackedMlp {
                norm2,
                fc1: in_steps(fc1, &columns),
                hidden: None,
                inner_norm: None,
                fc2: PackedLinear::real(fc2),
            }
        }
        Mlp::GatedNorm => {
            let (inner_norm, fc2) = fit_inner(observer, block, &statistics.inner);
            PackedMlp {
                norm2,
                fc1: PackedLinear::real(fc1),
                hidden: None,
                inner_norm,
                fc2: PackedLinear::real(fc2),
            }
        }
    }
}

/// How much an error before the activation changes the MLP's output: the squared slope there times the energy of the
/// second layer's column.
fn slope_importance(name: ActivationName, output: &[f32], energy: &[f64]) -> Vec<f32> {
    let floor = least(energy);
    let beside = |reach: f32| {
        let mut values: Vec<f32> = output.par_iter().map(|y| y + reach).collect();
        values
            .par_chunks_mut(energy.len())
            .for_each(|row| activate(name, row));
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

/// The same before a gate: of a gate, its slope times the value; of a value, its activated gate.
fn gate_importance(name: ActivationName, output: &[f32], energy: &[f64]) -> Vec<f32> {
    let floor = least(energy);
    let mut importance = vec![0.0; output.len()];
    let row = 2 * energy.len();
    importance
        .par_chunks_mut(row)
        .zip(output.par_chunks(row))
        .for_each(|(importance, output)| {
            let gates: Vec<f32> = output.iter().step_by(2).copied().collect();
            let at = |reach: f32| {
                let mut gates: Vec<f32> = gates.iter().map(|gate| gate + reach).collect();
                activate(name, &mut gates);
                gates
            };
            let (here, above, below) = (at(0.0), at(SLOPE_REACH), at(-SLOPE_REACH));
            for (c, &energy) in energy.iter().enumerate() {
                let slope = (above[c] - below[c]) / (2.0 * SLOPE_REACH) * output[2 * c + 1];
                importance[2 * c] = slope * slope * energy as f32 + floor;
                importance[2 * c + 1] = here[c] * here[c] * energy as f32 + floor;
            }
        });
    importance
}

fn least(energy: &[f64]) -> f32 {
    LEAST_IMPORTANCE * (energy.iter().sum::<f64>() / energy.len() as f64) as f32
}

/// Hidden channels, whose `limits` (F') are those of all values, and the second layer without a gate; `output` (R, F') is
/// the first layer's. Returns (2, F') one over the steps and the zero points, and the layer.
pub(super) fn fit_plain(
    observer: Observer,
    name: ActivationName,
    fc2: &Linear<'_>,
    limits: &[(f32, f32)],
    output: Vec<f32>,
) -> (Vec<f32>, PackedLinear) {
    let mut hidden = output;
    hidden
        .par_chunks_mut(fc2.inputs)
        .for_each(|row| activate(name, row));
    let chosen = hidden_quantization(observer, limits, &hidden);
    let columns = chosen.columns();
    let output = real_output(fc2, &hidden);
    let variance = column_variance(&columns.quantize(&hidden), fc2.inputs);
    let mut quantized = fc2.quantize(&columns, &variance);
    correct_bias(&mut quantized, &columns, &hidden, &output);
    (chosen.packed(), PackedLinear::real(quantized))
}

/// Gated rows (R, F') of the first layer's `output` (R, 2 F').
fn gated_rows(name: ActivationName, output: &[f32], width: usize) -> Vec<f32> {
    let rows: Vec<Vec<f32>> = output
        .par_chunks(width)
        .map(|row| gate(name, row))
        .collect();
    rows.concat()
}

/// Hidden channels behind a gate, each with a step of its own and no shift: the values' rows bring it for free.
fn fit_gated(
    observer: Observer,
    fc2: &Linear<'_>,
    limits: &[(f32, f32)],
    hidden: &[f32],
) -> (Columns, QuantizedLinear) {
    let symmetric = |(min, max): (f32, f32)| {
        let largest = min.abs().max(max.abs());
        (-largest, largest)
    };
    let ranges = channel_ranges(observer, limits, hidden, 0, fc2.inputs);
    let ranges = Ranges::new(ranges.into_iter().map(symmetric));
    let candidates = smoothing_candidates(&ranges, &fc2.column_maxima(), I8_LIMIT);
    let output = real_output(fc2, hidden);
    let problem = Problem {
        linear: fc2,
        input: hidden,
        output: &output,
    };
    let (_, columns, fc2) = fit_candidates(&problem, &candidates, observer.ratios(), evenly);
    (columns, fc2)
}

/// The first layer of a gated MLP: gates in real units, values in steps of the hidden channels.
fn in_steps(fc1: QuantizedLinear, hidden: &Columns) -> PackedLinear {
    let step: Vec<f64> = hidden.step.iter().flat_map(|&step| [1.0, step]).collect();
    let shift = vec![0.0; step.len()];
    PackedLinear::requantized(fc1, &step, &shift)
}

/// The norm inside a gated MLP and the layer behind it.
fn fit_inner(
    observer: Observer,
    block: &Block,
    inner: &Rows,
) -> (Option<PackedNorm>, QuantizedLinear) {
    let fc2 = Linear::new(&block.fc2_weight, &block.fc2_bias);
    let output = real_output(&fc2, &inner.samples);
    let (columns, fc2) = fit_norm(observer, &fc2, inner, &output, I8_LIMIT, evenly);
    let fold = |affine| PackedNorm::fold(affine, &columns);
    (block.inner_norm.as_ref().map(fold), fc2)
}
