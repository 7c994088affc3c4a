//! Rotary position embedding (Su et al., arXiv 2104.09864) in full precision.

use std::f64::consts::TAU;

/// Turns each pair of neighbouring channels of `rows` (T, A) by its token's position, but for the prefix's rows.
/// `frequencies` is (D / 2, 3) for all heads, or (H D / 2, 3): turns a row of patches, turns a column, turns at (0, 0).
pub(super) fn rotate(
    rows: &mut [f32],
    width: usize,
    positions: &[[f64; 2]],
    frequencies: &[f64],
    prefix: usize,
) {
    for (row, &[y, x]) in rows.chunks_exact_mut(width).zip(positions).skip(prefix) {
        let pairs = row.chunks_exact_mut(2);
        for (pair, f) in pairs.zip(frequencies.chunks_exact(3).cycle()) {
            let (sin, cos) = (TAU * (y * f[0] + x * f[1] + f[2])).sin_cos();
            let (a, b) = (f64::from(pair[0]), f64::from(pair[1]));
            pair[0] = (a * cos - b * sin) as f32;
            pair[1] = (b * cos + a * sin) as f32;
        }
    }
}
