//! Elementwise arithmetic that all implementations share: saturation, activations, softmax, sine, the log2 table.
//!
//! Polynomials were fitted by iteratively reweighted least squares on Chebyshev nodes (Lawson's
//! algorithm) for minimal absolute error of the final value, then rounded to f32. They are part of the
//! arithmetic contract: another coefficient is another pack version.

pub(crate) mod activation;
mod log2;
mod softmax;

pub use activation::{ACTIVATION_TERMS, Activation};
pub use log2::log2_table;
pub use softmax::{
    DITHER_KEYS, DITHER_QUERIES, EXP2_FLOOR, EXP2_POLY, exp2_255, softmax_offset, softmax_weight,
};

/// `clamp(rne(x), -127, 127)`. Clamping first gives the same integer and makes NaN a defined -127,
/// which is what `max` does in x86 (second operand), Arm (`fmaxnm`), CUDA and Rust alike.
#[inline]
#[expect(clippy::manual_clamp, reason = "clamp would keep NaN")]
pub fn sat8(x: f32) -> i8 {
    x.max(-127.0).min(127.0).round_ties_even() as i8
}

/// `sin(2 pi u) / u` for u in [-1/2, 1/2] as a polynomial in `u^2`, lowest power first; the sine to 5e-7, and to
/// 7e-7 as [`cos_sin`] rounds it.
pub const SINE_POLY: [f32; 6] = [
    6.283_182_6,
    -41.341_423,
    81.596_18,
    -76.580_1,
    41.205_395,
    -12.271_261,
];

/// `cos(2 pi u)` likewise, to 1e-7, and to 3e-7.
pub const COSINE_POLY: [f32; 7] = [
    1.0,
    -19.739_206,
    64.939_16,
    -85.450_77,
    60.171_906,
    -25.981_46,
    6.545_892,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_have_their_cosine_and_sine() {
        for i in -300_000..=300_000 {
            let turns = i as f32 * 1e-4;
            let angle = f64::from(turns) * std::f64::consts::TAU;
            let (cos, sin) = cos_sin(turns);
            assert!((f64::from(cos) - angle.cos()).abs() < 3e-7, "{turns} turns");
            assert!((f64::from(sin) - angle.sin()).abs() < 7e-7, "{turns} turns");
        }
        assert_eq!(cos_sin(0.0), (1.0, 0.0));
        assert_eq!(cos_sin(-7.0), (1.0, 0.0));
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
}
