use crate::math::sat8;
use crate::ops::{LayerNorm, MAX_WIDTH};
use half::f16;

/// Accumulators of a row sum. 256 is 16 vectors of 16 lanes and a 32-lane warp reading 8 elements a lane.
const ACCUMULATORS: usize = 256;

/// The one order in which a row of f32 values is summed.
///
/// Element i is added to accumulator `i mod 256` in ascending order by `step(accumulator, element)`; then
/// accumulator j takes j + 128, then j + 64, ... then j + 1.
pub fn tree_sum(row: &[f32], step: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0f32; ACCUMULATORS];
    for (i, &x) in row.iter().enumerate() {
        sums[i % ACCUMULATORS] = step(sums[i % ACCUMULATORS], x);
    }
    let mut half = ACCUMULATORS / 2;
    while half > 0 {
        for j in 0..half {
            sums[j] += sums[j + half];
        }
        half /= 2;
    }
    sums[0]
}

/// `fma((x - mean) * rstd, gain, bias)` of one row, handed to `write(column, value)`.
fn normalize(norm: &LayerNorm<'_>, row: &[f16], mut write: impl FnMut(usize, f32)) {
    let mut buffer = [0.0f32; MAX_WIDTH];
    for (x, half) in buffer.iter_mut().zip(row) {
        *x = half.to_f32();
    }
    let row = &buffer[..row.len()];
    let count = row.len() as f32;
    let mean = tree_sum(row, |sum, x| sum + x) / count;
    let variance = tree_sum(row, |sum, x| (x - mean).mul_add(x - mean, sum)) / count;
    let rstd = 1.0 / (variance + norm.epsilon).sqrt();
    for (c, &x) in row.iter().enumerate() {
        write(c, ((x - mean) * rstd).mul_add(norm.gain[c], norm.bias[c]));
    }
}

/// Normalizes the rows of `input` (M, C) and quantizes them to `output` (M, C).
pub fn layer_norm(norm: &LayerNorm<'_>, input: &[f16], output: &mut [i8]) {
    let width = norm.gain.len();
    assert_eq!(input.len(), output.len());
    for (row, output) in input
        .chunks_exact(width)
        .zip(output.chunks_exact_mut(width))
    {
        normalize(norm, row, |c, y| output[c] = sat8(y));
    }
}

/// Largest 16-bit activation: one more and its high byte, rounded, would be 128.
const WIDE_MAX: f32 = 32_639.0;

/// Splits `clamp(rne(y), -32639, 32639)` into `256 * high + low` with both in i8.
#[expect(
    clippy::manual_clamp,
    reason = "clamp would keep NaN; here it is the smallest value"
)]
fn split(y: f32) -> (i8, i8) {
    let q = y.max(-WIDE_MAX).min(WIDE_MAX).round_ties_even() as i32;
    let high = (q + 128) >> 8;
    (high as i8, (q - (high << 8)) as i8)
}

/// Normalizes the rows of `input` (M, C) and quantizes them to 16 bits in two bytes, (M, C) each.
pub fn layer_norm_wide(norm: &LayerNorm<'_>, input: &[f16], high: &mut [i8], low: &mut [i8]) {
    let width = norm.gain.len();
    assert_eq!(input.len(), high.len());
    assert_eq!(input.len(), low.len());
    let outputs = high
        .chunks_exact_mut(width)
        .zip(low.chunks_exact_mut(width));
    for (row, (high, low)) in input.chunks_exact(width).zip(outputs) {
        normalize(norm, row, |c, y| (high[c], low[c]) = split(y));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_is_exact_over_the_whole_range() {
        for q in -32_639..=32_639 {
            let (high, low) = split(q as f32);
            assert_eq!(256 * i32::from(high) + i32::from(low), q);
        }
        assert_eq!(split(1e9), (127, 127));
        assert_eq!(split(-1e9), (-127, -127));
    }

    #[test]
    fn tree_sum_is_a_sum() {
        for len in [1, 64, 255, 256, 257, 768, 1024] {
            let row: Vec<f32> = (0..len).map(|i| i as f32).collect();
            let want = (len * (len - 1) / 2) as f32;
            assert_eq!(tree_sum(&row, |s, x| s + x), want);
        }
    }
}
