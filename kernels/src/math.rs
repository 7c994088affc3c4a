//! Elementwise arithmetic that all implementations share: saturation, GELU, exp2, the log2 table.
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

/// Beyond this magnitude GELU is 0 or the identity to within 8.7e-7.
pub const GELU_LIMIT: f32 = 5.1;

/// `2 / GELU_LIMIT^2`: maps `u = a^2` onto [-1, 1].
pub const GELU_MAP: f32 = (2.0 / (5.1 * 5.1)) as f32;

/// `(Phi(a) - 1/2) / a` as a polynomial in `t = a^2 GELU_MAP - 1`, lowest power first.
pub const GELU_POLY: [f32; 13] = [
    0.138_605_28,
    -0.069_003_26,
    0.050_782_956,
    -0.040_218_674,
    0.031_716_023,
    -0.024_016_36,
    0.017_465_442,
    -0.012_024_595,
    0.006_860_141,
    -0.003_229_168_5,
    0.002_404_080_7,
    -0.001_957_047_7,
    0.000_654_374_66,
];

/// GELU with the error function, `x Phi(x)`, to 1e-6 absolute (2e-6 is what the contract asks).
///
/// `gelu(x) = relu(x) - a (1/2 - a P(a^2))` with `a = min(|x|, 5.1)`: exact for large x, and one
/// polynomial without division or branch. Source of the function: Hendrycks and Gimpel, arXiv 1606.08415.
#[inline]
pub fn gelu(x: f32) -> f32 {
    let a = x.abs().min(GELU_LIMIT);
    let t = (a * a).mul_add(GELU_MAP, -1.0);
    let mut p = GELU_POLY[12];
    for &c in GELU_POLY[..12].iter().rev() {
        p = p.mul_add(t, c);
    }
    let tail = (-a).mul_add(p, 0.5);
    (-a).mul_add(tail, x.max(0.0))
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

    #[test]
    fn gelu_is_within_two_millionths_of_the_truth() {
        for i in -800_000..=800_000 {
            let x = i as f32 * 1e-5;
            let truth = f64::from(x) * 0.5 * (1.0 + erf(f64::from(x) / 2f64.sqrt()));
            assert!((f64::from(gelu(x)) - truth).abs() < 2e-6, "x = {x}");
        }
    }

    #[test]
    fn gelu_is_exact_far_out_and_at_zero() {
        for x in [10.0f32, 100.0, 3e38] {
            assert!((gelu(x) - x).abs() <= 2e-6);
            assert!(gelu(-x).abs() <= 2e-6);
        }
        assert_eq!(gelu(0.0), 0.0);
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
