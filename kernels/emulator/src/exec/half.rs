//! Binary16.

use half::f16;

/// The binary32 of the same value.
pub(crate) fn from_half(bits: u16) -> f32 {
    f16::from_bits(bits).to_f32()
}

/// Rounds to nearest even; a NaN becomes the canonical one.
pub(crate) fn to_half(x: f32) -> u16 {
    if x.is_nan() {
        0x7fff
    } else {
        f16::from_f32(x).to_bits()
    }
}

/// Rounds to zero.
pub(crate) fn to_half_truncated(x: f32) -> u16 {
    let nearest = to_half(x);
    let magnitude = from_half(nearest & 0x7fff);
    // One step down where rounding went away from zero; below infinity lies the greatest number.
    nearest - u16::from(!x.is_nan() && magnitude > x.abs())
}
