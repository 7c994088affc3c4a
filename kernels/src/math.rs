//! Elementwise arithmetic that all implementations share: saturation, activations, exp2, sine, the log2 table.
//!
//! Polynomials were fitted by iteratively reweighted least squares on Chebyshev nodes (Lawson's
//! algorithm) for minimal absolute error of the final value, then rounded to f32. They are part of the
//! arithmetic contract: another coefficient is another pack version.

use crate::ops::MAX_TOKENS;

/// `clamp(rne(x), -127, 127)`. Clamping first gives the same integer and makes NaN a defined -127,
/// which is what `max` does in x86 (second operand), Arm (`fmaxnm`), CUDA and Rust alike.
#[inline]
#[expect(clippy::manual_clamp, reason = "clamp would keep NaN")]
pub fn sat8(x: f32) -> i8 {
    x.max(-127.0).min(127.0).round_ties_even() as i8
}

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
            -0.113_008_916,
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
            0.076_367_393,
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

    /// The activation of `x`; of NaN it is near 0.
    #[inline]
    pub fn apply(&self, x: f32) -> f32 {
        let a = x.abs().min(self.limit);
        let t = a.mul_add(self.map, -1.0);
        let mut q = self.poly[ACTIVATION_TERMS - 1];
        for &c in self.poly[..ACTIVATION_TERMS - 1].iter().rev() {
            q = q.mul_add(t, c);
        }
        (-a).mul_add(q, x.max(0.0))
    }
}

/// `sin(2 pi u) / u` for u in [-1/2, 1/2] as a polynomial in `u^2`, lowest power first; the sine to 1e-7.
pub const SINE_POLY: [f32; 6] = [
    6.283_182_6,
    -41.341_423,
    81.596_184,
    -76.580_1,
    41.205_395,
    -12.271_261,
];

/// `cos(2 pi u)` likewise, to 1e-7.
pub const COSINE_POLY: [f32; 7] = [
    1.0,
    -19.739_206,
    64.939_16,
    -85.450_77,
    60.171_906,
    -25.981_46,
    6.545_891_8,
];

/// (cosine, sine) of `turns` whole turns.
#[inline]
pub fn cos_sin(turns: f32) -> (f32, f32) {
    let u = turns - turns.round_ties_even();
    let w = u * u;
    let horner = |poly: &[f32]| {
        let (last, rest) = poly.split_last().expect("a polynomial has terms");
        rest.iter().rev().fold(*last, |p, &c| p.mul_add(w, c))
    };
    (horner(&COSINE_POLY), u * horner(&SINE_POLY))
}

/// Below this, `255 * 2^x` rounds to zero (it does from -8.995 on); keeps the exponent arithmetic finite.
pub const EXP2_FLOOR: f32 = -16.0;

/// `255 * 2^f` for f in [-1/2, 1/2], lowest power first, relative error 3e-6.
pub const EXP2_POLY: [f32; 5] = [255.0, 176.746_67, 61.261_45, 14.256_138, 2.443_627_6];

/// `rne(255 * 2^x)` for `x <= 0`: a softmax numerator as an integer in 0..=255.
///
/// The integer part goes into the exponent field, the rest through one polynomial.
#[inline]
pub fn exp2_255(x: f32) -> u32 {
    let x = x.max(EXP2_FLOOR);
    let n = x.round_ties_even();
    let f = x - n;
    let mut p = EXP2_POLY[4];
    for &c in EXP2_POLY[..4].iter().rev() {
        p = p.mul_add(f, c);
    }
    let scaled = f32::from_bits(p.to_bits().wrapping_add(((n as i32) << 23) as u32));
    scaled.round_ties_even() as u32
}

/// `log2(n)` for token sizes n = 0..=[`MAX_TOKENS`] (entry 0 is unused and 0).
///
/// Computed in f64 and rounded once. A test shows that no entry lies near enough to the middle of two
/// f32 values for two correct mathematics libraries to disagree.
pub fn log2_table() -> Box<[f32]> {
    (0..=MAX_TOKENS)
        .map(|n| {
            if n == 0 {
                0.0
            } else {
                (n as f64).log2() as f32
            }
        })
        .collect()
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
                assert!(f64::from(activation.apply(x) - x).abs() <= tolerance);
                assert!(f64::from(activation.apply(-x)).abs() <= tolerance);
            }
            assert_eq!(activation.apply(0.0), 0.0);
            assert_eq!(activation.map, 2.0 / activation.limit);
        }
    }

    #[test]
    fn turns_have_their_cosine_and_sine() {
        for i in -300_000..=300_000 {
            let turns = i as f32 * 1e-4;
            let angle = f64::from(turns) * std::f64::consts::TAU;
            let (cos, sin) = cos_sin(turns);
            assert!((f64::from(cos) - angle.cos()).abs() < 4e-7, "{turns} turns");
            assert!((f64::from(sin) - angle.sin()).abs() < 4e-7, "{turns} turns");
        }
        assert_eq!(cos_sin(0.0), (1.0, 0.0));
        assert_eq!(cos_sin(-7.0), (1.0, 0.0));
    }

    #[test]
    fn exp2_is_the_rounded_power() {
        for i in 0..=2_000_000 {
            let x = -(i as f32) * 1e-5;
            let truth = 255.0 * f64::from(x).exp2();
            let got = f64::from(exp2_255(x));
            // The polynomial's error may only show where the truth is almost half way.
            assert!(
                (got - truth).abs() <= 0.5 + 1e-3,
                "x = {x}: {got} for {truth}"
            );
        }
        assert_eq!(exp2_255(0.0), 255);
        assert_eq!(exp2_255(f32::NEG_INFINITY), 0);
        assert_eq!(exp2_255(-1e30), 0);
    }

    #[test]
    fn saturation_rounds_to_even_and_defines_nan() {
        for (x, want) in [
            (0.5, 0),
            (1.5, 2),
            (-0.5, 0),
            (-2.5, -2),
            (126.5, 126),
            (127.5, 127),
            (1e30, 127),
            (f32::NEG_INFINITY, -127),
            (f32::NAN, -127),
        ] {
            assert_eq!(sat8(x), want, "{x}");
        }
    }

    #[test]
    fn log2_table_does_not_depend_on_the_mathematics_library() {
        for (n, &entry) in log2_table().iter().enumerate().skip(1) {
            let truth = (n as f64).log2();
            let ulp = f64::from(entry.next_up()) - f64::from(entry);
            let to_middle = ((truth - f64::from(entry)).abs() - ulp / 2.0).abs();
            assert!(n.is_power_of_two() || to_middle > 1e-14, "log2({n})");
        }
    }
}
