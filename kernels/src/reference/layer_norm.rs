use crate::math::sat8;
use crate::ops::{LayerNorm, NormKind};
use half::f16;

/// Accumulators of a row sum. 256 is 16 vectors of 16 lanes and a 32-lane warp reading 8 elements a lane.
const ACCUMULATORS: usize = 256;

/// The one order in which a row is summed, in f32.
///
/// Element i is added to accumulator `i mod 256` in ascending order by `step(accumulator, element)`; then
/// accumulator j takes j + 128, then j + 64, ... then j + 1.
pub fn tree_sum(row: &[f16], step: impl Fn(f32, f32) -> f32) -> f32 {
    let mut sums = [0.0f32; ACCUMULATORS];
    for (i, x) in row.iter().enumerate() {
        sums[i % ACCUMULATORS] = step(sums[i % ACCUMULATORS], x.to_f32());
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

/// One row normalized, handed to `write(column, value)`: `fma((x - mean) * rstd, gain, bias)`, or without a norm
/// `fma(x, gain, bias)`.
fn normalize(norm: &LayerNorm<'_>, row: &[f16], mut write: impl FnMut(usize, f32)) {
    if norm.kind == NormKind::None {
        for (c, x) in row.iter().enumerate() {
            write(c, x.to_f32().mul_add(norm.gain[c], norm.bias[c]));
        }
        return;
    }
    let count = norm.count as f32;
    let counted = &row[..norm.count];
    let mean = match norm.kind {
        NormKind::Layer => tree_sum(counted, |sum, x| sum + x) / count,
        NormKind::Rms | NormKind::None => 0.0,
    };
    let variance = tree_sum(counted, |sum, x| (x - mean).mul_add(x - mean, sum)) / count;
    let rstd = 1.0 / (variance + norm.epsilon).sqrt();
    for (c, x) in row.iter().enumerate() {
        let x = (x.to_f32() - mean) * rstd;
        write(c, x.mul_add(norm.gain[c], norm.bias[c]));
    }
}

/// Normalizes the rows of `input` (M, L) and quantizes them to `output` (M, L).
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

/// Normalizes the rows of `input` (M, L) to f16, `output` (M, L).
pub fn layer_norm_half(norm: &LayerNorm<'_>, input: &[f16], output: &mut [f16]) {
    let width = norm.gain.len();
    assert_eq!(input.len(), output.len());
    let rows = input.chunks_exact(width);
    for (row, output) in rows.zip(output.chunks_exact_mut(width)) {
        normalize(norm, row, |c, y| output[c] = f16::from_f32(y));
    }
}

/// Normalizes the rows of `input` (M, L), `output` (M, L).
pub fn layer_norm_real(norm: &LayerNorm<'_>, input: &[f16], output: &mut [f32]) {
    let width = norm.gain.len();
    assert_eq!(input.len(), output.len());
    let rows = input.chunks_exact(width);
    for (row, output) in rows.zip(output.chunks_exact_mut(width)) {
        normalize(norm, row, |c, y| output[c] = y);
    }
}

/// Largest 16-bit activation: one more and its high byte, rounded, would be 128.
pub(crate) const WIDE_MAX: f32 = 32_639.0;

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

/// Normalizes the rows of `input` (M, L) and quantizes them to 16 bits in two bytes, (M, L) each.
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
            let row: Vec<f16> = (0..len).map(|i| f16::from_f32(i as f32)).collect();
            let want = (len * (len - 1) / 2) as f32;
            assert_eq!(tree_sum(&row, |s, x| s + x), want);
        }
    }
}
