//! Choosing the quantization of a linear layer's input by the error of the layer's output.

use super::columns::Columns;
use super::product::matmul_transposed;
use super::weights::{Linear, QuantizedLinear};
use rayon::prelude::*;

/// How far the range moves from the activations (0) to the weights' columns (1), SmoothQuant's alpha
/// (arXiv 2211.10438); 1 gives every channel its own full range, as RepQ-ViT does (arXiv 2212.08254).
const SMOOTHING: [f64; 6] = [0.0, 0.25, 0.5, 0.65, 0.8, 1.0];

/// Channels whose range is below this fraction of the widest one's are treated as if they had that range:
/// dead channels would otherwise get steps without bound.
const NARROWEST: f64 = 1e-4;

/// A candidate this many times worse than the best is not tried with clipping: it could not catch up.
const HOPELESS: f64 = 4.0;

/// Rows of one block of a parallel sum. Fixed, so sums do not depend on the number of threads.
const BLOCK: usize = 64;

/// How many ratios in a row may be worse than a candidate's best before the search gives it up.
const PATIENCE: usize = 2;

/// The range of each of K columns.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranges {
    /// (K) middle of each column's range.
    pub centre: Vec<f64>,
    /// (K) half the width of each column's range.
    pub half: Vec<f64>,
}

impl Ranges {
    /// From (minimum, maximum) pairs.
    pub fn new(limits: impl IntoIterator<Item = (f32, f32)>) -> Self {
        let (centre, half) = limits
            .into_iter()
            .map(|(min, max)| (f64::from(min), f64::from(max)))
            .map(|(min, max)| ((min + max) / 2.0, (max - min) / 2.0))
            .unzip();
        Self { centre, half }
    }
}

/// Lifts values to [`NARROWEST`] of the largest; ones if all are zero.
pub(super) fn lifted(values: &[f64]) -> Vec<f64> {
    let largest = values.iter().copied().fold(0.0, f64::max);
    if largest == 0.0 {
        return vec![1.0; values.len()];
    }
    values
        .iter()
        .map(|value| value.max(NARROWEST * largest))
        .collect()
}

/// Ways to quantize a layer norm's output, none of which clips: one step for all channels, and one for
/// each [`SMOOTHING`] exponent.
pub(super) fn smoothing_candidates(
    ranges: &Ranges,
    weight_maxima: &[f64],
    limit: f32,
) -> Vec<Columns> {
    let (half, weights) = (lifted(&ranges.half), lifted(weight_maxima));
    let unit = vec![1.0; half.len()];
    let smoothed = SMOOTHING.iter().map(|&alpha| {
        half.iter()
            .zip(&weights)
            .map(|(&half, &weight)| half.powf(alpha) / weight.powf(1.0 - alpha))
            .collect()
    });
    std::iter::once(unit)
        .chain(smoothed)
        .map(|factors| {
            let widest = half
                .iter()
                .zip(&factors)
                .map(|(&half, &factor): (&f64, &f64)| half / factor)
                .fold(0.0, f64::max);
            let unit = widest / f64::from(limit);
            Columns {
                step: factors.iter().map(|factor| factor * unit).collect(),
                shift: ranges.centre.clone(),
                limit,
            }
        })
        .collect()
}

/// Calibration rows of a linear layer: its real input and output, and the weight of each error.
#[derive(Clone, Copy, Debug)]
pub struct Samples<'a> {
    /// (R, K) real input.
    pub input: &'a [f32],
    /// (R, N) real output.
    pub output: &'a [f32],
    /// (R, N) factor of each squared error.
    pub importance: &'a [f32],
}

/// A quantized layer and its input's quantization.
#[derive(Clone, Debug)]
pub struct Fit {
    /// Index of the best candidate.
    pub candidate: usize,
    /// The quantization of the input.
    pub columns: Columns,
    /// The weights, before bias correction.
    pub linear: QuantizedLinear,
}

/// Tries every candidate at every clipping ratio (descending from 1) and keeps the one whose output, after
/// bias correction, is nearest to the real one. Ties go to the earlier candidate.
pub fn search(
    linear: &Linear<'_>,
    samples: &Samples<'_>,
    candidates: &[Columns],
    ratios: &[f64],
) -> Fit {
    let mut best: Option<(f64, Fit)> = None;
    for (candidate, base) in candidates.iter().enumerate() {
        let variance = column_variance(&base.quantize(samples.input), linear.inputs);
        let quantized = linear.quantize(base, &variance);
        let weights = quantized.as_f32();
        let (mut least, mut worse) = (f64::INFINITY, 0);
        for &ratio in ratios {
            let columns = base.scaled(ratio);
            let q = columns.quantize(samples.input);
            let sums = matmul_transposed(&q, &weights, linear.inputs);
            let trial = rescaled(&quantized, ratio);
            let error = output_error(samples, &sums, &trial);
            if error < least {
                (least, worse) = (error, 0);
            } else {
                worse += 1;
            }
            let leader = best.as_ref().map_or(f64::INFINITY, |best| best.0);
            if best.is_none() || error < leader {
                let fit = Fit {
                    candidate,
                    columns,
                    linear: trial,
                };
                best = Some((error, fit));
            }
            if worse == PATIENCE || error > HOPELESS * leader {
                break;
            }
        }
    }
    best.map(|(_, fit)| fit)
        .expect("there is at least one candidate and one ratio")
}

/// The layer after its input's steps became `ratio` times as large: the same integers.
fn rescaled(linear: &QuantizedLinear, ratio: f64) -> QuantizedLinear {
    QuantizedLinear {
        scale: linear.scale.iter().map(|scale| scale * ratio).collect(),
        ..linear.clone()
    }
}

/// (K) variance of each column of `values` (R, K).
pub(super) fn column_variance(values: &[f32], width: usize) -> Vec<f32> {
    let rows = (values.len() / width) as f64;
    let mean = block_sums(values, width, |_, x| f64::from(x));
    let square = block_sums(values, width, |c, x| {
        (f64::from(x) - mean[c] / rows).powi(2)
    });
    square.iter().map(|sum| (sum / rows) as f32).collect()
}

/// (K) sums over rows of `term(column, value)`, in an order that does not depend on the thread count.
fn block_sums(values: &[f32], width: usize, term: impl Fn(usize, f32) -> f64 + Sync) -> Vec<f64> {
    let blocks: Vec<Vec<f64>> = values
        .par_chunks(BLOCK * width)
        .map(|block| {
            let mut sums = vec![0.0; width];
            for row in block.chunks_exact(width) {
                for (c, (sum, &x)) in sums.iter_mut().zip(row).enumerate() {
                    *sum += term(c, x);
                }
            }
            sums
        })
        .collect();
    let mut total = vec![0.0; width];
    for block in blocks {
        for (total, sum) in total.iter_mut().zip(block) {
            *total += sum;
        }
    }
    total
}

/// (N) mean over rows of real output minus quantized output: what bias correction adds (arXiv 1906.04721).
/// `sums` (R, N) are the integer sums.
pub(super) fn mean_error(output: &[f32], sums: &[f32], linear: &QuantizedLinear) -> Vec<f64> {
    let width = linear.scale.len();
    let rows = (output.len() / width) as f64;
    let real = block_sums(output, width, |_, y| f64::from(y));
    let quantized = block_sums(sums, width, |n, sum| {
        f64::from(sum) * linear.scale[n] + linear.bias[n]
    });
    real.iter()
        .zip(quantized)
        .map(|(real, quantized)| (real - quantized) / rows)
        .collect()
}

/// Weighted squared error that is left after bias correction.
fn output_error(samples: &Samples<'_>, sums: &[f32], linear: &QuantizedLinear) -> f64 {
    let width = linear.scale.len();
    let mean = mean_error(samples.output, sums, linear);
    let scale: Vec<f32> = linear.scale.iter().map(|&scale| scale as f32).collect();
    let offset: Vec<f32> = linear
        .bias
        .iter()
        .zip(&mean)
        .map(|(bias, mean)| (bias + mean) as f32)
        .collect();
    let blocks: Vec<f64> = sums
        .par_chunks(width)
        .zip(samples.output.par_chunks(width))
        .zip(samples.importance.par_chunks(width))
        .map(|((sums, output), importance)| {
            let mut error = 0.0f64;
            for n in 0..width {
                let difference = sums[n] * scale[n] + offset[n] - output[n];
                error += f64::from(importance[n] * difference * difference);
            }
            error
        })
        .collect();
    blocks.iter().sum()
}

/// Adds the mean error over calibration rows to the bias: `input` (R, K), `output` (R, N).
pub(super) fn correct_bias(
    linear: &mut QuantizedLinear,
    columns: &Columns,
    input: &[f32],
    output: &[f32],
) {
    let q = columns.quantize(input);
    let sums = matmul_transposed(&q, &linear.as_f32(), columns.step.len());
    let mean = mean_error(output, &sums, linear);
    for (bias, mean) in linear.bias.iter_mut().zip(mean) {
        *bias += mean;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::columns::I8_LIMIT;

    /// Deterministic values in [-1, 1).
    fn noise(seed: usize, len: usize) -> Vec<f32> {
        (0..len)
            .map(|i| {
                let x = (i * 2 + seed * 7 + 1).wrapping_mul(0x9e37_79b9) >> 7;
                (x % 2000) as f32 / 1000.0 - 1.0
            })
            .collect()
    }

    struct Problem {
        weight: Vec<f32>,
        bias: Vec<f32>,
        input: Vec<f32>,
        ranges: Ranges,
    }

    /// 32 inputs, one of them a hundred times as large as the others and of little weight, one dead.
    fn outlier() -> Problem {
        let (inputs, outputs, rows) = (32, 16, 200);
        let mut weight = noise(1, outputs * inputs);
        let mut input = noise(2, rows * inputs);
        for row in weight.chunks_exact_mut(inputs) {
            row[3] *= 0.02;
        }
        for row in input.chunks_exact_mut(inputs) {
            row[3] = row[3] * 100.0 + 40.0;
            row[7] = 0.5;
        }
        let limits = (0..inputs).map(|c| {
            let column = input.iter().skip(c).step_by(inputs);
            column.fold((f32::INFINITY, f32::NEG_INFINITY), |(min, max), &x| {
                (min.min(x), max.max(x))
            })
        });
        let ranges = Ranges::new(limits);
        let bias = noise(3, outputs);
        Problem {
            weight,
            bias,
            input,
            ranges,
        }
    }

    fn fit(problem: &Problem, candidates: &[Columns]) -> (Fit, f64) {
        let linear = Linear::new(&problem.weight, &problem.bias);
        let output = crate::quantize::product::real_output(&linear, &problem.input);
        let samples = Samples {
            input: &problem.input,
            output: &output,
            importance: &vec![1.0; output.len()],
        };
        let mut fit = search(&linear, &samples, candidates, &[1.0, 0.9, 0.8]);
        correct_bias(&mut fit.linear, &fit.columns, &problem.input, &output);
        let q = fit.columns.quantize(&problem.input);
        let sums = matmul_transposed(&q, &fit.linear.as_f32(), linear.inputs);
        for mean in mean_error(&output, &sums, &fit.linear) {
            assert!(mean.abs() < 1e-5, "bias correction leaves {mean}");
        }
        let error = output_error(&samples, &sums, &fit.linear);
        (fit, error)
    }

    fn candidates(problem: &Problem) -> Vec<Columns> {
        let linear = Linear::new(&problem.weight, &problem.bias);
        smoothing_candidates(&problem.ranges, &linear.column_maxima(), I8_LIMIT)
    }

    #[test]
    fn no_candidate_clips_and_dead_channels_have_steps() {
        let problem = outlier();
        for columns in candidates(&problem) {
            for (half, step) in problem.ranges.half.iter().zip(&columns.step) {
                assert!(*step > 0.0 && step.is_finite());
                assert!(half / step <= f64::from(I8_LIMIT) * (1.0 + 1e-9));
            }
        }
        let dead = Ranges::new([(0.0, 0.0), (0.0, 0.0)]);
        for columns in smoothing_candidates(&dead, &[0.0, 0.0], I8_LIMIT) {
            assert!(
                columns
                    .step
                    .iter()
                    .all(|step| *step > 0.0 && step.is_finite())
            );
        }
    }

    #[test]
    fn smoothing_takes_the_outlier_out_of_the_step() {
        let problem = outlier();
        let candidates = candidates(&problem);
        let (_, plain) = fit(&problem, &candidates[..1]);
        let (best, error) = fit(&problem, &candidates);
        assert!(best.candidate > 0);
        assert!(error < 0.05 * plain, "{error} against {plain}");
    }

    #[test]
    fn the_result_does_not_depend_on_the_number_of_threads() {
        let problem = outlier();
        let candidates = candidates(&problem);
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| fit(&problem, &candidates).0.linear)
        };
        assert_eq!(run(1), run(3));
    }
}
