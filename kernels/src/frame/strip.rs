//! Source rows turned into lanes: a strip of them, unpacked and transposed.
//!
//! In the horizontal pass a lane is a row. All lanes take the same coefficients, so that a window needs no more taps than
//! it has, and its sum is one lane: nothing is added up across a vector.

use super::rows::{MAX_COUNT, unpack};
use super::vector::Vector;
use super::view::Frame;

/// Most rows of a strip: the widest vector's lanes.
pub(super) const MAX_LANES: usize = 16;

/// Columns unpacked at a time: few enough that [`Strip::tile`] stays in the nearest cache.
const TILE: usize = MAX_COUNT;

/// The source columns that the crop needs, of as many rows as a vector has lanes.
pub(super) struct Strip<'a> {
    /// (channels, rows, [`TILE`]): unpacked samples on their way to `lanes`.
    pub(super) tile: &'a mut [i16],
    /// (columns / 2, channels, rows, 2) in the order of [`Vector::load`].
    pub(super) lanes: &'a mut [i16],
    /// First and one past the last source column; the first is even.
    pub(super) columns: (usize, usize),
}

/// Elements of [`Strip::tile`] for `rows` rows.
pub(super) const fn tile_len(rows: usize) -> usize {
    3 * rows * TILE
}

/// Elements of [`Strip::lanes`] for `rows` rows of `columns` columns: whole vectors of columns, whose padding no
/// window gives any weight.
pub(super) const fn lanes_len(columns: usize, rows: usize) -> usize {
    3 * rows * columns.next_multiple_of(2 * MAX_LANES)
}

impl Strip<'_> {
    /// Fills the strip with the frame's rows from `first` to before `end`, at most `LANES`. Lanes beyond them keep what
    /// they had.
    #[inline(always)]
    pub(super) fn fill<V: Vector, const CHANNELS: usize>(
        &mut self,
        frame: &Frame<'_>,
        first: usize,
        end: usize,
    ) {
        let (left, right) = self.columns;
        let step = 2 * V::LANES * CHANNELS;
        for column in (left..right).step_by(TILE) {
            let count = TILE.min(right - column);
            for y in first..end {
                let rows = &mut self.tile[(y - first) * TILE..];
                let (a, rest) = rows.split_at_mut(V::LANES * TILE);
                let (b, c) = rest.split_at_mut(V::LANES * TILE);
                unpack(frame, y, column, count, [a, b, c]);
            }
            let lanes = &mut self.lanes[(column - left) / 2 * step..];
            for at in (0..count).step_by(2 * V::LANES) {
                for channel in 0..CHANNELS {
                    let rows = &self.tile[channel * V::LANES * TILE + at..];
                    let lanes = &mut lanes[at / 2 * step + 2 * V::LANES * channel..];
                    V::transpose(rows, TILE, lanes, step);
                }
            }
        }
    }
}
