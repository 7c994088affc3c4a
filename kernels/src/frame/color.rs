//! Y'CbCr to R'G'B' in integers: one formula, one set of coefficients a colour space.
//!
//! Recommendations ITU-R BT.601-7 and BT.709-6 define luma as Y' = Kr R' + Kg G' + Kb B' and the colour
//! differences as (B' − Y') / (2 (1 − Kb)) and (R' − Y') / (2 (1 − Kr)), with Kr, Kb = 0.299, 0.114 and
//! 0.2126, 0.0722. Inverted, on samples of 8 bits with y, cb, cr their distances from black and from 128:
//!
//! ```text
//! R' = sy y + sc 2 (1 − Kr) cr                                     limited range: sy = 255/219, sc = 255/224
//! G' = sy y − sc 2 Kb (1 − Kb) / Kg cb − sc 2 Kr (1 − Kr) / Kg cr  full range:    sy = sc = 1
//! B' = sy y + sc 2 (1 − Kb) cb
//! ```
//!
//! Each factor is rounded once to 13 fractional bits: the most with which every factor fits 16 bits, so that
//! every product is one of 16 by 16 bits. The sum is exact; it is rounded half up and clamped to 0..=255. The
//! result differs from the correctly rounded one by at most one.

use super::format::ColorSpace;

/// Fractional bits of the coefficients.
const BITS: u32 = 13;

/// Coefficients of one colour space, in units of 2⁻¹³.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct YuvToRgb {
    black: i16,
    luma: i16,
    red_cr: i16,
    green_cb: i16,
    green_cr: i16,
    blue_cb: i16,
}

impl YuvToRgb {
    pub(crate) const fn of(color: ColorSpace) -> Self {
        const BT601_LIMITED: YuvToRgb = YuvToRgb::derive(2990, 1140, true);
        const BT601_FULL: YuvToRgb = YuvToRgb::derive(2990, 1140, false);
        const BT709_LIMITED: YuvToRgb = YuvToRgb::derive(2126, 722, true);
        const BT709_FULL: YuvToRgb = YuvToRgb::derive(2126, 722, false);
        match color {
            ColorSpace::Bt601Limited => BT601_LIMITED,
            ColorSpace::Bt601Full => BT601_FULL,
            ColorSpace::Bt709Limited => BT709_LIMITED,
            ColorSpace::Bt709Full => BT709_FULL,
        }
    }

    /// `kr`, `kb`: the recommendation's luma weights times 10,000.
    const fn derive(kr: i64, kb: i64, limited: bool) -> Self {
        const ONE: i64 = 10_000;
        let kg = ONE - kr - kb;
        let (luma_range, chroma_range) = if limited { (219, 224) } else { (255, 255) };
        Self {
            black: if limited { 16 } else { 0 },
            luma: fixed(255, luma_range),
            red_cr: fixed(2 * (ONE - kr) * 255, ONE * chroma_range),
            green_cb: fixed(2 * kb * (ONE - kb) * 255, kg * ONE * chroma_range),
            green_cr: fixed(2 * kr * (ONE - kr) * 255, kg * ONE * chroma_range),
            blue_cb: fixed(2 * (ONE - kb) * 255, ONE * chroma_range),
        }
    }

    /// The offset of luma, then the factors of luma, Cr in red, Cb in green, Cr in green, Cb in blue.
    pub(crate) fn coefficients(&self) -> [i32; 6] {
        let Self {
            black,
            luma,
            red_cr,
            green_cb,
            green_cr,
            blue_cb,
        } = *self;
        [black, luma, red_cr, green_cb, green_cr, blue_cb].map(i32::from)
    }

    /// R, G, B of a pixel from its Y, Cb, Cr.
    #[inline(always)]
    pub(super) fn rgb(&self, y: u8, cb: u8, cr: u8) -> [u8; 3] {
        self.with_luma(y, self.chroma(cb, cr))
    }

    /// What Cb and Cr add to the sums of R, G, B, with all that is constant: the offsets of the three samples, and the
    /// half that rounds.
    #[inline(always)]
    pub(super) fn chroma(&self, cb: u8, cr: u8) -> [i32; 3] {
        let [red_cr, green_cb, green_cr, blue_cb] =
            [self.red_cr, self.green_cb, self.green_cr, self.blue_cb].map(i32::from);
        let constant = (1 << (BITS - 1)) - i32::from(self.luma) * i32::from(self.black);
        let (cb, cr) = (i32::from(cb), i32::from(cr));
        [
            red_cr * cr + (constant - 128 * red_cr),
            (constant + 128 * (green_cb + green_cr)) - green_cb * cb - green_cr * cr,
            blue_cb * cb + (constant - 128 * blue_cb),
        ]
    }

    /// R, G, B of one of the pixels that share [`chroma`](Self::chroma).
    #[inline(always)]
    pub(super) fn with_luma(&self, y: u8, chroma: [i32; 3]) -> [u8; 3] {
        let luma = i32::from(self.luma) * i32::from(y);
        let [red, green, blue] = chroma;
        [clamp(luma + red), clamp(luma + green), clamp(luma + blue)]
    }
}

/// Rounded sum to sample. It stays within ±600, and 16 bits are what vector units clamp fastest.
#[inline(always)]
fn clamp(sum: i32) -> u8 {
    ((sum >> BITS) as i16).clamp(0, 255) as u8
}

/// `numerator / denominator` to the nearest multiple of 2⁻¹³; both positive.
const fn fixed(numerator: i64, denominator: i64) -> i16 {
    let value = ((numerator << (BITS + 1)) / denominator + 1) / 2;
    assert!(value <= i16::MAX as i64, "the coefficient needs 16 bits");
    value as i16
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(color: ColorSpace, y: u8, cb: u8, cr: u8) -> [u8; 3] {
        YuvToRgb::of(color).rgb(y, cb, cr)
    }

    /// The recommendations' formula in f64, before rounding.
    fn exact(color: ColorSpace, y: u8, cb: u8, cr: u8) -> [f64; 3] {
        let (kr, kb) = match color {
            ColorSpace::Bt601Limited | ColorSpace::Bt601Full => (0.299, 0.114),
            ColorSpace::Bt709Limited | ColorSpace::Bt709Full => (0.2126, 0.0722),
        };
        let (y, cb, cr) = (f64::from(y), f64::from(cb) - 128.0, f64::from(cr) - 128.0);
        let (y, cb, cr) = match color {
            ColorSpace::Bt601Full | ColorSpace::Bt709Full => (y, cb, cr),
            _ => (
                (y - 16.0) * 255.0 / 219.0,
                cb * 255.0 / 224.0,
                cr * 255.0 / 224.0,
            ),
        };
        let (r, b) = (y + 2.0 * (1.0 - kr) * cr, y + 2.0 * (1.0 - kb) * cb);
        [r, (y - kr * r - kb * b) / (1.0 - kr - kb), b]
    }

    #[test]
    fn coefficients_are_the_published_ones() {
        let expected = YuvToRgb {
            black: 16,
            luma: 9539,
            red_cr: 13075,
            green_cb: 3209,
            green_cr: 6660,
            blue_cb: 16525,
        };
        assert_eq!(YuvToRgb::of(ColorSpace::Bt601Limited), expected);
        let expected = YuvToRgb {
            black: 0,
            luma: 8192,
            red_cr: 12901,
            green_cb: 1535,
            green_cr: 3835,
            blue_cb: 15201,
        };
        assert_eq!(YuvToRgb::of(ColorSpace::Bt709Full), expected);
    }

    #[test]
    fn grey_axis_ends_and_steps() {
        for y in 0..=255 {
            assert_eq!(convert(ColorSpace::Bt601Full, y, 128, 128), [y; 3]);
            assert_eq!(convert(ColorSpace::Bt709Full, y, 128, 128), [y; 3]);
        }
        for color in [ColorSpace::Bt601Limited, ColorSpace::Bt709Limited] {
            assert_eq!(convert(color, 16, 128, 128), [0; 3]);
            assert_eq!(convert(color, 235, 128, 128), [255; 3]);
            assert_eq!(convert(color, 0, 128, 128), [0; 3]);
            assert_eq!(convert(color, 255, 128, 128), [255; 3]);
        }
    }

    /// The rounded factors move the sum by less than 0.04, so the result is within 0.54 of the real value.
    #[test]
    fn close_to_the_recommendation_everywhere() {
        for color in ColorSpace::ALL {
            for y in 0..=255 {
                for cb in (0..=255).step_by(5) {
                    for cr in (0..=255).step_by(5) {
                        let found = convert(color, y, cb, cr);
                        for (found, exact) in found.iter().zip(exact(color, y, cb, cr)) {
                            let error = (f64::from(*found) - exact.clamp(0.0, 255.0)).abs();
                            assert!(error < 0.54, "{color:?} {y} {cb} {cr}: off by {error}");
                        }
                    }
                }
            }
        }
    }
}
