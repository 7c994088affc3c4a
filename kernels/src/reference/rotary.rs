use crate::math::cos_sin;
use crate::ops::{Positions, Rotary};

/// Cosine and sine of every pair of channels at every token's position: `table` (B, T, R, D).
///
/// Turns are `fma(row, f[0], fma(column, f[1], f[2]))`; the prefix is not turned.
pub fn rotary(shape: &Rotary<'_>, positions: Positions<'_>, table: &mut [f32]) {
    let row = shape.frequencies.len() / 3 * 2;
    assert!(row.is_multiple_of(shape.head_width));
    assert_eq!(table.len(), shape.batch * shape.tokens * row);
    for (token, row) in table.chunks_exact_mut(row).enumerate() {
        let (image, token) = (token / shape.tokens, token % shape.tokens);
        let [y, x] = positions.of(image, token, shape.tokens, shape.prefix);
        let frequencies = shape.frequencies.chunks_exact(3);
        for (pair, f) in row.chunks_exact_mut(2).zip(frequencies) {
            let turns = y.mul_add(f[0], x.mul_add(f[1], f[2]));
            let (cos, sin) = match token < shape.prefix {
                true => (1.0, 0.0),
                false => cos_sin(turns),
            };
            pair.copy_from_slice(&[cos, sin]);
        }
    }
}
