//! Elementwise functions of the full-precision pass: loops that the compiler vectorizes on any target.
//!
//! They multiply and add separately: without FMA in the build's target, a fused multiply-add is a library
//! call.

use mergevit_kernels::math::{GELU_LIMIT, GELU_MAP, GELU_POLY};

/// GELU with the error function, in place, to 2e-6 absolute.
pub(crate) fn gelu(values: &mut [f32]) {
    for x in values {
        let a = x.abs().min(GELU_LIMIT);
        let t = a * a * GELU_MAP - 1.0;
        let p = GELU_POLY.iter().rev().fold(0.0, |p, &c| p * t + c);
        *x = x.max(0.0) - a * (0.5 - a * p);
    }
}

/// Taylor coefficients of 2^f, highest first: `ln(2)^k / k!`. Error 5e-9 for |f| <= 1/2.
const EXP2: [f32; 8] = [
    1.525_273_4e-5,
    1.540_353e-4,
    1.333_355_8e-3,
    9.618_129e-3,
    5.550_411e-2,
    0.240_226_5,
    std::f32::consts::LN_2,
    1.0,
];

/// `e^x` for x <= 0, relative error 2e-7; below -87 the result is next to zero.
#[inline(always)]
fn exp(x: f32) -> f32 {
    /// Adding and subtracting 1.5 * 2^23 rounds to an integer.
    const ROUND: f32 = 12_582_912.0;
    let y = x.max(-87.0) * std::f32::consts::LOG2_E;
    let n = (y + ROUND) - ROUND;
    let f = y - n;
    let p = EXP2.iter().fold(0.0, |p, &c| p * f + c);
    f32::from_bits(p.to_bits().wrapping_add(((n as i32) << 23) as u32))
}

/// Softmax of `scale * row + bias` for every row; `bias` is as long as a row.
pub(super) fn softmax_rows(scores: &mut [f32], scale: f32, bias: &[f32]) {
    for row in scores.chunks_exact_mut(bias.len()) {
        let mut max = f32::NEG_INFINITY;
        for (s, b) in row.iter_mut().zip(bias) {
            *s = *s * scale + b;
            max = max.max(*s);
        }
        for s in row.iter_mut() {
            *s = exp(*s - max);
        }
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|s| *s /= sum);
    }
}

/// Layer norm of every row of `input` (M, C).
pub(super) fn layer_norm(input: &[f32], gain: &[f32], bias: &[f32], epsilon: f32) -> Vec<f32> {
    let width = gain.len();
    let mut output = Vec::with_capacity(input.len());
    for row in input.chunks_exact(width) {
        let sum: f64 = row.iter().map(|&x| f64::from(x)).sum();
        let mean = (sum / width as f64) as f32;
        let squares: f64 = row
            .iter()
            .map(|&x| f64::from((x - mean) * (x - mean)))
            .sum();
        let rstd = 1.0 / ((squares / width as f64) as f32 + epsilon).sqrt();
        let affine = gain.iter().zip(bias);
        output.extend(
            row.iter()
                .zip(affine)
                .map(|(x, (g, b))| (x - mean) * rstd * g + b),
        );
    }
    output
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_the_library() {
        for i in 0..=870_000 {
            let x = -(i as f32) * 1e-4;
            let truth = f64::from(x).exp();
            assert!((f64::from(exp(x)) - truth).abs() <= 1e-5 * truth, "x = {x}");
        }
        assert_eq!(exp(0.0), 1.0);
    }

    #[test]
    fn gelu_agrees_with_the_kernels() {
        for i in -10_000..=10_000 {
            let x = i as f32 * 1e-3;
            let mut y = [x];
            gelu(&mut y);
            assert!((y[0] - mergevit_kernels::math::gelu(x)).abs() < 2e-6);
        }
    }
}
