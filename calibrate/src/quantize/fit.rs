//! Fitting a linear layer and the quantization of its input to calibration rows.

use super::attention::channel_ranges;
use super::columns::Columns;
use super::search::{Ranges, Samples, correct_bias, search, smoothing_candidates};
use super::weights::{Linear, QuantizedLinear};
use crate::observe::{Observer, Rows};

/// Most multiply-accumulates of one trial of a search; bounds its rows.
const TRIAL_MACS: usize = 1 << 28;

/// Fewest rows of a trial.
const TRIAL_ROWS: usize = 256;

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

/// A linear layer, its real input (R, K), and its real output (R, N) for it.
#[derive(Clone, Copy)]
pub(super) struct Problem<'a> {
    pub(super) linear: &'a Linear<'a>,
    pub(super) input: &'a [f32],
    pub(super) output: &'a [f32],
}

/// Chooses among `candidates` for the layer's input, at the clipping ratios given, by the error of the output, each
/// output weighted by `importance`, which gives (R', N) for the output rows of a trial. Returns the candidate's
/// index, the quantization of the input and the layer, bias-corrected.
pub(super) fn fit_candidates(
    problem: &Problem<'_>,
    candidates: &[Columns],
    ratios: &[f64],
    importance: impl Fn(&[f32]) -> Vec<f32>,
) -> (usize, Columns, QuantizedLinear) {
    let linear = problem.linear;
    let rows = trial_rows(linear, problem.input.len() / linear.inputs);
    let output = select(problem.output, linear.outputs, &rows);
    let samples = Samples {
        input: &select(problem.input, linear.inputs, &rows),
        importance: &importance(&output),
        output: &output,
    };
    let mut fit = search(linear, &samples, candidates, ratios);
    correct_bias(&mut fit.linear, &fit.columns, problem.input, problem.output);
    (fit.candidate, fit.columns, fit.linear)
}

/// Quantizes a norm's output, `input`, and the linear layer that reads it. `output` (R, N) is the layer's real output.
pub(super) fn fit_norm(
    observer: Observer,
    linear: &Linear<'_>,
    input: &Rows,
    output: &[f32],
    limit: f32,
    importance: impl Fn(&[f32]) -> Vec<f32>,
) -> (Columns, QuantizedLinear) {
    let ranges = channel_ranges(observer, &input.limits, &input.samples, 0, linear.inputs);
    let candidates = smoothing_candidates(&Ranges::new(ranges), &linear.column_maxima(), limit);
    let problem = Problem {
        linear,
        input: &input.samples,
        output,
    };
    let (_, columns, linear) = fit_candidates(&problem, &candidates, observer.ratios(), importance);
    (columns, linear)
}

/// The same weight for every output.
pub(super) fn evenly(output: &[f32]) -> Vec<f32> {
    vec![1.0; output.len()]
}
