//! Scales of queries, keys, values and of attention's output.

use super::columns::{Columns, I8_LIMIT, round_clamped};
use super::search::{Ranges, lifted};
use crate::observe::Observer;
use std::ops::Range;

/// Exponents of [`value_candidates`]: 1 gives every channel its full range.
const BALANCE: [f64; 3] = [1.0, 0.75, 0.5];

/// A head whose values stay below this is dead; its step only has to be above 0.
const DEAD: f64 = 1e-6;

/// Quantization steps of queries (one per head) and of keys.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ScoreSteps {
    /// (H) one per head.
    pub query: Vec<f64>,
    /// One for all heads, so that the merge metric, the plain sum of integer keys over heads, is
    /// proportional to the mean of the real ones.
    pub key: f64,
}

/// One head's rows and the weight of an error in each of its channels.
struct Head {
    /// (R, D)
    values: Vec<f32>,
    /// (D)
    importance: Vec<f32>,
    largest: f64,
}

impl Head {
    fn error(&self, step: f64) -> f64 {
        let (step, inverse) = (step as f32, (1.0 / step) as f32);
        let mut total = 0.0f64;
        for row in self.values.chunks_exact(self.importance.len()) {
            let mut sum = 0.0f32;
            for (&x, &importance) in row.iter().zip(&self.importance) {
                let error = x - step * round_clamped(x * inverse, I8_LIMIT);
                sum += importance * error * error;
            }
            total += f64::from(sum);
        }
        total
    }
}

/// `columns` of `rows` (R, width).
fn gather(rows: &[f32], width: usize, columns: Range<usize>) -> Vec<f32> {
    rows.chunks_exact(width)
        .flat_map(|row| &row[columns.clone()])
        .copied()
        .collect()
}

/// The ratio with the least error; ties go to the earlier one.
fn best_ratio(ratios: &[f64], error: impl Fn(f64) -> f64) -> f64 {
    let mut best = (1.0, f64::INFINITY);
    for &ratio in ratios {
        let error = error(ratio);
        if error < best.1 {
            best = (ratio, error);
        }
    }
    best.0
}

/// Each channel's (minimum, maximum), which `observer` chooses from the limits of all values and sample rows.
pub(super) fn channel_ranges(
    observer: Observer,
    limits: &[(f32, f32)],
    rows: &[f32],
    first: usize,
    width: usize,
) -> Vec<(f32, f32)> {
    limits
        .iter()
        .enumerate()
        .map(|(c, &full)| {
            let column = rows.iter().skip(first + c).step_by(width).copied();
            observer.range(full, column)
        })
        .collect()
}

/// Sample rows of queries and keys, (R, A) each, and the ranges of their channels.
#[derive(Clone, Copy, Debug)]
pub(super) struct ScoreSamples<'a> {
    /// D
    pub head_width: usize,
    /// (R, A)
    pub query: &'a [f32],
    /// (R, A)
    pub key: &'a [f32],
    /// (A)
    pub query_ranges: &'a [(f32, f32)],
    /// (A)
    pub key_ranges: &'a [(f32, f32)],
}

/// Chooses the steps of queries and keys.
///
/// An error in a query's channel changes scores by that channel's spread over keys, and vice versa;
/// a key's mean over tokens shifts all scores of a row alike, so softmax ignores it.
pub(super) fn score_steps(observer: Observer, samples: &ScoreSamples<'_>) -> ScoreSteps {
    let largest = |ranges: &[(f32, f32)]| {
        let magnitude = |&(min, max): &(f32, f32)| f64::from(min.abs().max(max.abs()));
        ranges.iter().map(magnitude).fold(DEAD, f64::max)
    };
    let width = samples.query_ranges.len();
    let heads: Vec<(Head, Head)> = (0..width)
        .step_by(samples.head_width)
        .map(|start| {
            let columns = start..start + samples.head_width;
            let queries = gather(samples.query, width, columns.clone());
            let keys = gather(samples.key, width, columns.clone());
            let energy = mean_square(&queries, samples.head_width);
            let spread = super::search::column_variance(&keys, samples.head_width);
            let of = |values, importance, ranges: &[(f32, f32)]| Head {
                values,
                importance,
                largest: largest(&ranges[columns.clone()]),
            };
            (
                of(queries, spread, samples.query_ranges),
                of(keys, energy, samples.key_ranges),
            )
        })
        .collect();
    let limit = f64::from(I8_LIMIT);
    let query = heads
        .iter()
        .map(|(query, _)| {
            let full = query.largest / limit;
            full * best_ratio(observer.ratios(), |ratio| query.error(full * ratio))
        })
        .collect();
    let full = heads.iter().map(|(_, key)| key.largest).fold(0.0, f64::max) / limit;
    let key = full
        * best_ratio(observer.ratios(), |ratio| {
            heads.iter().map(|(_, key)| key.error(full * ratio)).sum()
        });
    ScoreSteps { query, key }
}

/// (D) mean of squares of each column of `values` (R, D).
fn mean_square(values: &[f32], width: usize) -> Vec<f32> {
    let mut sums = vec![0.0f64; width];
    for row in values.chunks_exact(width) {
        for (sum, &x) in sums.iter_mut().zip(row) {
            *sum += f64::from(x * x);
        }
    }
    let rows = (values.len() / width) as f64;
    sums.iter().map(|sum| (sum / rows) as f32).collect()
}

/// A way to quantize values and the context that attention averages from them.
#[derive(Clone, Debug)]
pub(super) struct ValueQuantization {
    /// That of the values; its steps and shifts go into the QKV layer's scale and bias.
    pub value: Columns,
    /// (H) steps of the context's integers in steps of the value's.
    pub context_scale: Vec<f64>,
    /// That of the context, for the projection.
    pub context: Columns,
}

/// The calibration data by which values and context are quantized.
#[derive(Clone, Copy, Debug)]
pub(super) struct ValueSamples<'a> {
    /// D
    pub head_width: usize,
    /// (C) limits of the values.
    pub value: &'a Ranges,
    /// (C) limits of the context.
    pub context: &'a Ranges,
    /// (R, C) context rows.
    pub rows: &'a [f32],
    /// (C) largest magnitude of the projection's columns.
    pub weight_maxima: &'a [f64],
    /// (C) sum of squares of the projection's columns.
    pub weight_energy: &'a [f64],
}

/// Ways to quantize values and context. Attention's weights sum to one, so a shift of a value channel
/// passes through it unchanged, and a value channel's step is also its context channel's, up to one
/// factor per head.
pub(super) fn value_candidates(
    observer: Observer,
    samples: &ValueSamples<'_>,
) -> Vec<ValueQuantization> {
    let mut candidates = Vec::new();
    for centre in [&samples.value.centre, &samples.context.centre] {
        let half: Vec<f64> = (0..centre.len())
            .map(|c| samples.value.half[c] + (samples.value.centre[c] - centre[c]).abs())
            .collect();
        let (half, weights) = (lifted(&half), lifted(samples.weight_maxima));
        for alpha in BALANCE {
            let step = half
                .chunks(samples.head_width)
                .zip(weights.chunks(samples.head_width));
            let step = step.flat_map(|(half, weights)| balanced(half, weights, alpha));
            let value = Columns {
                step: step.collect(),
                shift: centre.clone(),
                limit: I8_LIMIT,
            };
            candidates.push(with_context(observer, samples, value));
        }
    }
    candidates
}

/// Steps proportional to `half^alpha / weight^(1 - alpha)` within a head, none of which clips.
fn balanced(half: &[f64], weights: &[f64], alpha: f64) -> Vec<f64> {
    let factors: Vec<f64> = half
        .iter()
        .zip(weights)
        .map(|(half, weight)| half.powf(alpha) / weight.powf(1.0 - alpha))
        .collect();
    let widest = half
        .iter()
        .zip(&factors)
        .map(|(half, factor)| half / factor);
    let unit = widest.fold(0.0, f64::max) / f64::from(I8_LIMIT);
    factors.iter().map(|factor| factor * unit).collect()
}

/// Adds each head's context scale: the clipping that loses least, weighted by the projection's columns.
fn with_context(
    observer: Observer,
    samples: &ValueSamples<'_>,
    value: Columns,
) -> ValueQuantization {
    let width = value.step.len();
    let mut context = value.clone();
    let mut context_scale = Vec::with_capacity(width / samples.head_width);
    for start in (0..width).step_by(samples.head_width) {
        let channels = start..start + samples.head_width;
        // The context in steps of the value.
        let mut values = gather(samples.rows, width, channels.clone());
        for row in values.chunks_exact_mut(samples.head_width) {
            for (x, c) in row.iter_mut().zip(channels.clone()) {
                *x = ((f64::from(*x) - value.shift[c]) / value.step[c]) as f32;
            }
        }
        let largest = channels
            .clone()
            .map(|c| {
                let offset = (samples.context.centre[c] - value.shift[c]).abs();
                (samples.context.half[c] + offset) / value.step[c]
            })
            .fold(DEAD, f64::max);
        let importance = channels
            .clone()
            .map(|c| (samples.weight_energy[c] * value.step[c].powi(2)) as f32)
            .collect();
        let head = Head {
            values,
            importance,
            largest,
        };
        let full = head.largest / f64::from(I8_LIMIT);
        let step = full * best_ratio(observer.ratios(), |ratio| head.error(full * ratio));
        context_scale.push(1.0 / step);
        for c in channels {
            context.step[c] = value.step[c] * step;
        }
    }
    ValueQuantization {
        value,
        context_scale,
        context,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD_WIDTH: usize = 64;
    const WIDTH: usize = 2 * HEAD_WIDTH;

    /// (R, 3C) with a second head ten times as large, and its limits per channel.
    fn qkv(rows: usize) -> (Vec<f32>, Vec<(f32, f32)>) {
        let value = |i: usize| {
            let channel = i % (3 * WIDTH);
            let large = channel % WIDTH >= HEAD_WIDTH;
            ((i * 37 + 11) % 201) as f32 / 100.0 * if large { 10.0 } else { 1.0 } - 1.0
        };
        let rows: Vec<f32> = (0..rows * 3 * WIDTH).map(value).collect();
        let limits = (0..3 * WIDTH).map(|c| {
            let column = || rows.iter().skip(c).step_by(3 * WIDTH).copied();
            (
                column().fold(f32::MAX, f32::min),
                column().fold(f32::MIN, f32::max),
            )
        });
        let limits = limits.collect();
        (rows, limits)
    }

    #[test]
    fn queries_have_a_step_a_head_and_keys_one_for_all() {
        let (rows, limits) = qkv(300);
        let samples = ScoreSamples {
            head_width: HEAD_WIDTH,
            query: &gather(&rows, 3 * WIDTH, 0..WIDTH),
            key: &gather(&rows, 3 * WIDTH, WIDTH..2 * WIDTH),
            query_ranges: &limits[..WIDTH],
            key_ranges: &limits[WIDTH..2 * WIDTH],
        };
        let steps = score_steps(Observer::MinMax, &samples);
        let largest = |limits: &[(f32, f32)]| {
            limits
                .iter()
                .fold(0.0f32, |max, l| max.max(l.0.abs()).max(l.1.abs()))
        };
        let step = |limits| f64::from(largest(limits)) / 127.0;
        assert_eq!(steps.query, [step(&limits[..64]), step(&limits[64..128])]);
        assert_eq!(steps.key, step(&limits[128..256]));
    }

    #[test]
    fn dead_heads_have_steps() {
        let rows = vec![0.0; 10 * WIDTH];
        let limits = vec![(0.0, 0.0); WIDTH];
        let samples = ScoreSamples {
            head_width: HEAD_WIDTH,
            query: &rows,
            key: &rows,
            query_ranges: &limits,
            key_ranges: &limits,
        };
        for observer in [Observer::MinMax, Observer::Percentile(99.0), Observer::Mse] {
            let steps = score_steps(observer, &samples);
            assert!(
                steps
                    .query
                    .iter()
                    .chain([&steps.key])
                    .all(|&step| step > 0.0)
            );
        }
    }

    #[test]
    fn values_pass_through_attention_within_a_step() {
        let (rows, limits) = qkv(300);
        let values: Vec<f32> = rows
            .chunks_exact(3 * WIDTH)
            .flat_map(|row| &row[2 * WIDTH..])
            .copied()
            .collect();
        let ranges = Ranges::new(limits[2 * WIDTH..].iter().copied());
        // Attention that looks at one token only: the context is the value.
        let samples = ValueSamples {
            head_width: HEAD_WIDTH,
            value: &ranges,
            context: &ranges,
            rows: &values,
            weight_maxima: &vec![1.0; WIDTH],
            weight_energy: &vec![1.0; WIDTH],
        };
        for candidate in value_candidates(Observer::MinMax, &samples) {
            let q = candidate.value.quantize(&values);
            for (i, (q, x)) in q.iter().zip(&values).enumerate() {
                let c = i % WIDTH;
                let scale = candidate.context_scale[c / HEAD_WIDTH];
                let context = (f64::from(*q) * scale).round();
                assert!(context.abs() <= 127.5);
                let back = context * candidate.context.step[c] + candidate.context.shift[c];
                let tolerance = 0.51 * (candidate.value.step[c] + candidate.context.step[c]);
                assert!((back - f64::from(*x)).abs() <= tolerance);
            }
        }
    }
}
