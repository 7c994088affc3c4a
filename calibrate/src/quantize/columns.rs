//! How the columns of a linear layer's input become integers.

use rayon::prelude::*;

/// Largest magnitude of an i8 activation or weight.
pub const I8_LIMIT: f32 = 127.0;

/// Largest magnitude of the classifier's 16-bit input, at which the kernels saturate it.
pub const WIDE_LIMIT: f32 = 32_639.0;

/// 1.5 * 2^23: adding and subtracting it rounds an f32 below 2^22 to the nearest integer, ties to even, in
/// arithmetic that every vector unit has.
const ROUNDER: f32 = 12_582_912.0;

/// `clamp(rne(x), -limit, limit)` for finite `x` and a limit below 2^22.
#[inline]
pub(super) fn round_clamped(x: f32, limit: f32) -> f32 {
    (x.max(-limit).min(limit) + ROUNDER) - ROUNDER
}

/// Per-column affine quantization of a linear layer's input: `x = step * q + shift`, `|q| <= limit`.
///
/// Whatever produces the input (a layer norm, attention, GELU, the camera) applies it for free, and
/// whatever consumes it folds `step` into its weights' columns and `shift` into its bias.
#[derive(Clone, Debug, PartialEq)]
pub struct Columns {
    /// (K) real value of one step, above 0.
    pub step: Vec<f64>,
    /// (K) real value that `q = 0` stands for.
    pub shift: Vec<f64>,
    /// Largest integer.
    pub limit: f32,
}

impl Columns {
    /// The same with every step `ratio` times as large: a ratio below 1 clips.
    #[must_use]
    pub fn scaled(&self, ratio: f64) -> Self {
        Self {
            step: self.step.iter().map(|step| step * ratio).collect(),
            ..self.clone()
        }
    }

    /// The integers, as f32, that `input` (R, K) becomes.
    pub fn quantize(&self, input: &[f32]) -> Vec<f32> {
        let inverse: Vec<f32> = self.step.iter().map(|&step| (1.0 / step) as f32).collect();
        let shift: Vec<f32> = self.shift.iter().map(|&shift| shift as f32).collect();
        let width = inverse.len();
        let mut output = vec![0.0; input.len()];
        output
            .par_chunks_mut(width)
            .zip(input.par_chunks(width))
            .for_each(|(output, input)| {
                for (((q, &x), &inverse), &shift) in
                    output.iter_mut().zip(input).zip(&inverse).zip(&shift)
                {
                    *q = round_clamped((x - shift) * inverse, self.limit);
                }
            });
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_kernels::math::sat8;

    #[test]
    fn rounding_is_the_kernels() {
        for i in -40_000..=40_000i32 {
            let x = i as f32 / 64.0;
            assert_eq!(round_clamped(x, I8_LIMIT), f32::from(sat8(x)), "{x}");
        }
    }

    #[test]
    fn quantization_inverts_to_half_a_step() {
        let columns = Columns {
            step: vec![0.5, 0.01],
            shift: vec![-3.0, 0.2],
            limit: I8_LIMIT,
        };
        let input = [1.3, 0.7, -60.0, 100.0];
        let q = columns.quantize(&input);
        assert_eq!(q, [9.0, 50.0, -114.0, 127.0]);
        let half = columns.scaled(0.5);
        assert_eq!(half.quantize(&input)[2], -127.0);
    }
}
