//! Activations: GELU, SiLU and their like, as one polynomial whose coefficients are data.

/// Coefficients of [`Activation::poly`].
pub const ACTIVATION_TERMS: usize = 10;

/// An activation `x s(x)` with `s(-x) = 1 - s(x)`, as data: GELU, SiLU and their like.
///
/// `max(x, 0) - a Q(a)` with `a = min(|x|, limit)`: `a Q(a)`, the distance from a ramp, is a polynomial without
/// branch or division, and all but vanishes at the limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Activation {
    /// Where the distance from the ramp ends to be computed.
    pub limit: f32,
    /// `2 / limit`: maps [0, limit] onto [-1, 1].
    pub map: f32,
    /// Q as a polynomial in `fma(a, map, -1)`, lowest power first.
    pub poly: [f32; ACTIVATION_TERMS],
}

impl Activation {
    /// GELU with the error function (Hendrycks and Gimpel, arXiv 1606.08415), to 1.5e-5.
    pub const GELU: Self = Self {
        limit: 4.4,
        map: (2.0 / 4.4) as f32,
        poly: [
            0.013_900_287,
            -0.078_000_15,
            0.189_044_97,
            -0.242_884_77,
            0.138_778_95,
            0.047_682_773,
            -0.119_978_085,
            0.040_187_22,
            0.028_201_083,
            -0.016_929_205,
        ],
    };

    /// GELU with tanh (same source), to 1.5e-5.
    pub const GELU_TANH: Self = Self {
        limit: 4.4,
        map: (2.0 / 4.4) as f32,
        poly: [
            0.013_780_471,
            -0.078_645_855,
            0.190_660_15,
            -0.241_050_75,
            0.133_383_11,
            0.046_935_94,
            -0.113_008_92,
            0.038_223_1,
            0.025_074_318,
            -0.015_352_025,
        ],
    };

    /// `x / (1 + exp(-1.702 x))` (same source; CLIP), to 3e-4.
    pub const QUICK_GELU: Self = Self {
        limit: 6.5,
        map: (2.0 / 6.5) as f32,
        poly: [
            0.003_934_214,
            -0.022_221_439,
            0.060_809_996,
            -0.098_800_495,
            0.126_792_92,
            -0.193_605_99,
            0.206_694_75,
            -0.012_308_485,
            -0.147_624_66,
            0.076_367_39,
        ],
    };

    /// `x / (1 + exp(-x))` (same source; gates), to 5e-4.
    pub const SILU: Self = Self {
        limit: 10.5,
        map: (2.0 / 10.5) as f32,
        poly: [
            0.005_218_726_6,
            -0.027_610_354,
            0.071_279_235,
            -0.114_123_434,
            0.142_912_66,
            -0.183_535_5,
            0.160_023_2,
            0.013_784_529,
            -0.129_570_66,
            0.061_664_354,
        ],
    };

    /// The activation of `x`; of NaN it is near 0, of -0 it is +0.
    #[inline]
    pub fn apply(&self, x: f32) -> f32 {
        let a = x.abs().min(self.limit);
        let t = a.mul_add(self.map, -1.0);
        let mut q = self.poly[ACTIVATION_TERMS - 1];
        for &c in self.poly[..ACTIVATION_TERMS - 1].iter().rev() {
            q = q.mul_add(t, c);
        }
        let ramp = if x > 0.0 { x } else { 0.0 };
        (-a).mul_add(q, ramp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// erf by its Taylor series (|x| < 3) or continued fraction, in f64: an independent judge.
    fn erf(x: f64) -> f64 {
        if x.abs() < 3.0 {
            let (mut term, mut sum) = (x, x);
            for n in 1..200 {
                term *= -x * x / f64::from(n);
                sum += term / f64::from(2 * n + 1);
            }
            sum * 2.0 / std::f64::consts::PI.sqrt()
        } else {
            let a = x.abs();
            let mut f = a;
            for n in (1..200).rev() {
                f = a + f64::from(n) / 2.0 / f;
            }
            let c = (-a * a).exp() / (std::f64::consts::PI.sqrt() * f);
            (1.0 - c).copysign(x)
        }
    }

    type Exact = fn(f64) -> f64;

    /// Each activation, its exact form, and how near it must come.
    fn activations() -> [(Activation, Exact, f64); 4] {
        use std::f64::consts::{FRAC_1_SQRT_2, FRAC_2_PI};
        let gelu: Exact = |x| x * 0.5 * (1.0 + erf(x * FRAC_1_SQRT_2));
        let tanh: Exact =
            |x| x * 0.5 * (1.0 + (FRAC_2_PI.sqrt() * (x + 0.044_715 * x * x * x)).tanh());
        [
            (Activation::GELU, gelu, 1.5e-5),
            (Activation::GELU_TANH, tanh, 1.5e-5),
            (
                Activation::QUICK_GELU,
                |x| x / (1.0 + (-1.702 * x).exp()),
                3e-4,
            ),
            (Activation::SILU, |x| x / (1.0 + (-x).exp()), 5e-4),
        ]
    }

    #[test]
    fn activations_are_near_the_truth() {
        for (activation, exact, tolerance) in activations() {
            for i in -160_000..=160_000 {
                let x = i as f32 * 1e-4;
                let error = f64::from(activation.apply(x)) - exact(f64::from(x));
                assert!(error.abs() < tolerance, "x = {x}: off by {error}");
            }
        }
    }

    #[test]
    fn activations_are_a_ramp_far_out_and_zero_at_zero() {
        for (activation, _, tolerance) in activations() {
            for x in [100.0f32, 1e3, 3e38] {
                let rounding = f64::from(x * f32::EPSILON);
                assert!(f64::from(activation.apply(x) - x).abs() <= tolerance + rounding);
                assert!(f64::from(activation.apply(-x)).abs() <= tolerance);
            }
            assert_eq!(activation.apply(0.0), 0.0);
            assert!((activation.map * activation.limit - 2.0).abs() <= f32::EPSILON);
        }
    }
}
