//! The softmax numerator as a byte: an exponential, and a rounding that spreads its error.
//!
//! Rounding each numerator to the nearest integer sends a long tail of small ones to zero together, and so moves the
//! average of the values in one direction. Here an offset between 0 and 1 is added before the fraction is cut off:
//! a numerator of 0.3 becomes 1 for three keys in ten. The offsets are a lattice, so that neighbouring keys, whose
//! values are alike, and neighbouring queries get different ones (ordered dither, Roberts 1962). Over a period every
//! multiple of 1/256 below 1 occurs once, which makes the mean error nought.

/// Below this the numerator is 0 whatever the offset: `255 * 2^x` rounds to 0/256 from -17 on. Keeps the exponent
/// arithmetic finite.
pub const EXP2_FLOOR: f32 = -24.0;

/// `255 * 2^f` for f in [-1/2, 1/2], lowest power first, relative error 3e-6.
pub const EXP2_POLY: [f32; 5] = [255.0, 176.746_67, 61.261_45, 14.256_138, 2.443_627_6];

/// Queries after which the lattice repeats.
pub const DITHER_QUERIES: usize = 8;

/// Keys after which the lattice repeats.
pub const DITHER_KEYS: usize = 32;

/// The lattice's steps from query to query and from key to key, in 1/256: near the golden section and its square,
/// multiples of which spread evenly; the second a multiple of 8, hence the short period.
const STEPS: [usize; 2] = [97, 152];

/// `2^15`, whose last place is 1/256.
const ROUNDER: f32 = 32_768.0;

/// `2^15` plus the offset of a query and a key, given by their numbers in the image: what [`softmax_weight`] adds.
pub const fn softmax_offset(query: usize, key: usize) -> f32 {
    let steps = STEPS[0] * (query % DITHER_QUERIES) + STEPS[1] * (key % DITHER_KEYS);
    ROUNDER + (steps % 256) as f32 / 256.0
}

/// `255 * 2^x` for `x <= 0`: a softmax numerator before it is rounded; below [`EXP2_FLOOR`] that of the floor.
///
/// The integer part of `x` goes into the exponent field, the rest through one polynomial.
#[inline]
pub fn exp2_255(x: f32) -> f32 {
    let x = x.max(EXP2_FLOOR);
    let n = x.round_ties_even();
    let f = x - n;
    let mut p = EXP2_POLY[4];
    for &c in EXP2_POLY[..4].iter().rev() {
        p = p.mul_add(f, c);
    }
    f32::from_bits(p.to_bits().wrapping_add(((n as i32) << 23) as u32))
}

/// `floor(255 * 2^x + offset)` for `x <= 0` and an offset of [`softmax_offset`], the sum rounded to 1/256: a softmax
/// numerator in 0..=255. It is 255 for an `x` of 0, and 0 for all below -17.
#[inline]
pub fn softmax_weight(x: f32, offset: f32) -> u32 {
    // The sum lies between 2^15 and 2^15 + 256, so its 16 low bits count steps of 1/256.
    (exp2_255(x) + offset).to_bits() >> 8 & 0xff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets() -> Vec<f32> {
        let query = |q| (0..DITHER_KEYS).map(move |k| softmax_offset(q, k));
        (0..DITHER_QUERIES).flat_map(query).collect()
    }

    #[test]
    fn a_period_has_every_offset_once() {
        let mut offsets = offsets();
        offsets.sort_by(f32::total_cmp);
        let all: Vec<f32> = (0..256).map(|d| 32_768.0 + d as f32 / 256.0).collect();
        assert_eq!(offsets, all);
        assert_eq!(softmax_offset(5, 9), softmax_offset(5 + 8 * 31, 9 + 32 * 7));
    }

    #[test]
    fn eight_neighbouring_keys_leave_no_wide_gap_between_their_offsets() {
        for first in 0..DITHER_KEYS {
            let mut offsets: Vec<f32> = (first..first + 8)
                .map(|key| softmax_offset(0, key) - 32_768.0)
                .collect();
            offsets.sort_by(f32::total_cmp);
            let around = offsets[0] + 1.0 - offsets[7];
            let widest = offsets.windows(2).map(|pair| pair[1] - pair[0]);
            assert!(widest.fold(around, f32::max) <= 0.3, "from key {first} on");
        }
    }

    #[test]
    fn the_weight_is_the_power_and_its_offset_rounded_down() {
        let offsets = [
            softmax_offset(0, 0),
            softmax_offset(7, 31),
            32_768.0 + 255.0 / 256.0,
        ];
        for i in 0..=2_000_000 {
            let x = -(i as f32) * 1e-5;
            for offset in offsets {
                let truth = 255.0 * f64::from(x).exp2() + f64::from(offset) - 32_768.0;
                let got = f64::from(softmax_weight(x, offset));
                // Half a step of the sum, and the polynomial's error.
                let distance = truth - got;
                assert!(
                    (-3e-3..1.0 + 3e-3).contains(&distance),
                    "x = {x}: {got} for {truth}"
                );
            }
        }
    }

    #[test]
    fn the_ends_do_not_depend_on_the_offset() {
        for offset in offsets() {
            assert_eq!(softmax_weight(0.0, offset), 255);
            for x in [-17.0, -1e30, f32::NEG_INFINITY] {
                assert_eq!(softmax_weight(x, offset), 0, "{x}");
            }
        }
    }

    #[test]
    fn the_mean_over_a_period_is_the_power() {
        let offsets = offsets();
        for i in 0..1700 {
            let x = -(i as f32) * 0.01;
            let sum: u32 = offsets
                .iter()
                .map(|&offset| softmax_weight(x, offset))
                .sum();
            let mean = f64::from(sum) / 256.0;
            let truth = 255.0 * f64::from(x).exp2();
            assert!((mean - truth).abs() < 3e-3, "x = {x}: {mean} for {truth}");
        }
    }
}
