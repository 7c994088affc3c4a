//! Windows and coefficients of both passes, as the kernels read them.

use crate::frame::{Axis, Interpolation, Span};

/// Samples that one dot product takes.
const GROUP: usize = 4;

/// The signed bytes that a coefficient is cut into.
const PARTS: usize = 3;

/// Outputs whose coefficients lie side by side: those of a warp.
const LANES: usize = 32;

/// What the first pass reads: where it starts in the tables, in words, and its shape.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Columns {
    /// (W): first source column of each, a multiple of 4.
    pub(super) starts: usize,
    /// (W / 32 rounded up, groups, 3, 32): bytes of four coefficients, low, middle and high.
    pub(super) coefficients: usize,
    pub(super) groups: usize,
    /// Source columns that all windows together read: first, number, both multiples of 4.
    pub(super) first: usize,
    pub(super) count: usize,
}

impl Columns {
    /// Most words of a table of between `min_kept` and `kept` outputs, from at most `input` samples.
    pub(super) fn max_words(
        interpolation: Interpolation,
        input: usize,
        min_kept: usize,
        kept: usize,
    ) -> usize {
        // Filled up to whole warps, the outputs reach over so many samples.
        let reach = input + (LANES - 1) * input.div_ceil(min_kept);
        let padded = kept + LANES - 1;
        // Aligned at both ends, a window has at most six taps more than it reads.
        let taps = max_taps(interpolation, reach, padded) + 6 * padded;
        kept + (PARTS * taps).div_ceil(GROUP)
    }

    /// Appends the table of the outputs in `span`.
    pub(super) fn append(tables: &mut Vec<i32>, axis: &Axis, span: Span) -> Self {
        let window = |index: usize| axis.window(span.first + index);
        let aligned = |start: usize| start / GROUP * GROUP;
        let groups = (0..span.count).map(|index| {
            let window = window(index);
            (window.start + window.len - aligned(window.start)).div_ceil(GROUP)
        });
        let groups = groups.max().unwrap_or(0);
        // The last windows move to the left, so that none reaches beyond the last group of samples.
        let last_start = axis.input().next_multiple_of(GROUP) - GROUP * groups;
        let start = |index: usize| aligned(window(index).start).min(last_start);

        let starts = tables.len();
        tables.extend((0..span.count).map(|index| start(index) as i32));
        let coefficients = tables.len();
        let warps = span.count.div_ceil(LANES);
        tables.resize(coefficients + warps * groups * PARTS * LANES, 0);
        for index in 0..span.count {
            let (window, start) = (window(index), start(index));
            for tap in 0..window.len {
                let place = window.start - start + tap;
                let group = index / LANES * groups + place / GROUP;
                for (part, byte) in bytes(window.coefficient(tap)).into_iter().enumerate() {
                    let byte = i32::from(byte.cast_unsigned());
                    let word = (group * PARTS + part) * LANES + index % LANES;
                    tables[coefficients + word] |= byte << (8 * (place % GROUP));
                }
            }
        }
        let (first, last) = (start(0), start(span.count - 1));
        Self {
            starts,
            coefficients,
            groups,
            first,
            count: last + GROUP * groups - first,
        }
    }
}

/// What the second pass reads: where it starts in the tables, in words, and its shape.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rows {
    /// (kept, 2): first source row, number of rows.
    pub(super) windows: usize,
    /// (kept, taps)
    pub(super) coefficients: usize,
    pub(super) taps: usize,
    /// Source rows that all windows together read: first, number.
    pub(super) first: usize,
    pub(super) count: usize,
}

impl Rows {
    /// Most words of a table of `kept` of any number of outputs, from at most `input` samples.
    pub(super) fn max_words(interpolation: Interpolation, input: usize, kept: usize) -> usize {
        2 * kept + max_taps(interpolation, input, kept)
    }

    /// Appends the table of the outputs in `span`.
    pub(super) fn append(tables: &mut Vec<i32>, axis: &Axis, span: Span) -> Self {
        let window = |index: usize| axis.window(span.first + index);
        let windows = tables.len();
        for index in 0..span.count {
            let window = window(index);
            tables.extend([window.start as i32, window.len as i32]);
        }
        let taps = (0..span.count).map(|index| window(index).len).max();
        let taps = taps.unwrap_or(0);
        let coefficients = tables.len();
        for index in 0..span.count {
            let window = window(index);
            tables.extend((0..window.len).map(|tap| window.coefficient(tap)));
            tables.resize(coefficients + (index + 1) * taps, 0);
        }
        // Starts and ends of windows ascend.
        let (first, last) = (window(0), window(span.count - 1));
        Self {
            windows,
            coefficients,
            taps,
            first: first.start,
            count: last.start + last.len - first.start,
        }
    }
}

/// Most taps of all of `kept` windows over at most `input` samples.
fn max_taps(interpolation: Interpolation, input: usize, kept: usize) -> usize {
    // A window has at most 2 radius max(1, scale) + 2 taps; `kept` outputs lie side by side in the source, so
    // kept x scale is at most `input`.
    2 * kept + 2 * interpolation.radius() * kept.max(input)
}

/// c = low + 2⁸ middle + 2¹⁶ high. A coefficient's magnitude is below 127 × 2¹⁶: a sum of 255 times each
/// fits 32 bits.
fn bytes(c: i32) -> [i8; PARTS] {
    let low = c as i8;
    let rest = (c - i32::from(low)) >> 8;
    let middle = rest as i8;
    let high = (rest - i32::from(middle)) >> 8;
    debug_assert!(i8::try_from(high).is_ok());
    [low, middle, high as i8]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_coefficient() {
        for c in (-(100 << 16)..100 << 16).step_by(61) {
            let [low, middle, high] = bytes(c).map(i32::from);
            assert_eq!(low + 256 * middle + 65536 * high, c);
        }
    }

    #[test]
    fn tables_stay_within_what_was_reserved() {
        let sizes = [1, 2, 7, 24, 100, 224, 257, 640, 1919];
        for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
            for (input, resized) in sizes.iter().flat_map(|&i| sizes.map(|r| (i, r))) {
                for crop in [1, 24, 224] {
                    let (axis, span) = (
                        Axis::new(interpolation, input, resized),
                        Span::center(resized, crop),
                    );
                    let mut tables = Vec::new();
                    let columns = Columns::append(&mut tables, &axis, span);
                    let max_words =
                        Columns::max_words(interpolation, input, resized.min(crop), crop);
                    assert!(tables.len() <= max_words);
                    assert!(columns.first + columns.count <= input.next_multiple_of(GROUP));
                    let mut tables = Vec::new();
                    let rows = Rows::append(&mut tables, &axis, span);
                    assert!(tables.len() <= Rows::max_words(interpolation, input, crop));
                    assert!(rows.first + rows.count <= input);
                }
            }
        }
    }
}
