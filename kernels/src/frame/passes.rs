//! The two passes of the fast version, for any [`Vector`].
//!
//! No closure may hold a vector operation: it would be compiled without the instructions that its caller enables,
//! and every operation in it become a call.

use super::rows::unpack;
use super::table::{Row, Table};
use super::vector::Vector;
use super::view::Frame;

/// Rows of the ring are padded to a multiple of this many elements: four of the widest vectors.
pub(super) const BLOCK: usize = 32;

/// Everything that one frame's passes read and overwrite.
pub(super) struct Passes<'a> {
    /// Tables of the crop's columns and rows.
    pub(super) columns: &'a Table,
    pub(super) rows: &'a Table,
    /// Unpacked source row: three planes of `plane_len` samples, of which grey uses the first.
    pub(super) planes: &'a mut [i16],
    pub(super) plane_len: usize,
    /// Horizontally resampled rows, two source rows interleaved: (`ring_pairs`, `ring_len`, 2).
    pub(super) ring: &'a mut [i16],
    pub(super) ring_pairs: usize,
    /// Elements of a resampled row, a multiple of [`BLOCK`]: columns × channels, padded.
    pub(super) ring_len: usize,
    /// 1 or 3.
    pub(super) channels: usize,
}

/// Where the rows go.
pub(super) struct Output<'a> {
    /// From the first pixel that is not padding on.
    pub(super) data: &'a mut [u8],
    /// Bytes from row to row.
    pub(super) stride: usize,
}

impl Passes<'_> {
    #[inline(always)]
    pub(super) fn run<V: Vector>(&mut self, frame: &Frame<'_>, output: &mut Output<'_>) {
        let (mut next, _) = self.rows.extent();
        for y in 0..self.rows.len() {
            let window = self.rows.row(y);
            next = next.max(window.start);
            while next < window.end {
                self.horizontal::<V>(frame, next);
                next += 1;
            }
            let columns = self.columns.len();
            let row = &mut output.data[y * output.stride..][..3 * columns];
            self.vertical_row::<V>(window, row);
        }
    }

    /// Unpacks source row `y` and resamples it into its place in the ring.
    #[inline(always)]
    fn horizontal<V: Vector>(&mut self, frame: &Frame<'_>, y: usize) {
        let (first, last) = self.columns.extent();
        let first = first / 2 * 2;
        let (r, rest) = self.planes.split_at_mut(self.plane_len);
        let (g, b) = rest.split_at_mut(self.plane_len);
        unpack(frame, y, first, last - first, [r, g, b]);

        let at = y / 2 % self.ring_pairs * self.ring_len * 2;
        let (pairs, _) = self.ring[at..][..2 * self.ring_len].as_chunks_mut::<2>();
        let parity = y % 2;
        if self.channels == 3 {
            let (pixels, _) = pairs.as_chunks_mut::<3>();
            for (x, pixel) in pixels[..self.columns.len()].iter_mut().enumerate() {
                let window = self.columns.row(x);
                let start = window.start - first;
                let sums = V::finish_sums([
                    dot(&r[start..], window),
                    dot(&g[start..], window),
                    dot(&b[start..], window),
                    V::zero(),
                ]);
                for (pair, sum) in pixel.iter_mut().zip(sums) {
                    pair[parity] = i16::from(sum);
                }
            }
        } else {
            let (groups, _) = pairs.as_chunks_mut::<4>();
            for (i, group) in groups.iter_mut().enumerate() {
                let mut sums = [V::zero(); 4];
                for (j, sum) in sums.iter_mut().enumerate() {
                    // The padding of the ring repeats the last column.
                    let window = self.columns.row((4 * i + j).min(self.columns.len() - 1));
                    *sum = dot(&r[window.start - first..], window);
                }
                let sums = V::finish_sums(sums);
                for (pair, sum) in group.iter_mut().zip(sums) {
                    pair[parity] = i16::from(sum);
                }
            }
        }
    }

    /// The output row whose window is `window`: (columns, 3).
    #[inline(always)]
    fn vertical_row<V: Vector>(&self, window: Row<'_>, row: &mut [u8]) {
        let elements = row.len() / 3 * self.channels;
        let mut block = [0; BLOCK];
        let block = &mut block[..4 * V::LANES];
        let mut at = 0;
        while at < elements {
            V::finish_lanes(self.vertical(window, at), block);
            if self.channels == 3 {
                let out = &mut row[at..];
                let count = out.len().min(block.len());
                out[..count].copy_from_slice(&block[..count]);
            } else {
                let (pixels, _) = row[3 * at..].as_chunks_mut::<3>();
                for (pixel, sample) in pixels.iter_mut().zip(&*block) {
                    *pixel = [*sample; 3];
                }
            }
            at += block.len();
        }
    }

    /// The sums of elements `at..at + 4 V::LANES` of an output row.
    #[inline(always)]
    fn vertical<V: Vector>(&self, window: Row<'_>, at: usize) -> [V; 4] {
        let mut low_sums = [V::zero(); 4];
        let mut high_sums = [V::zero(); 4];
        let (low, _) = window.low.as_chunks::<2>();
        let (high, _) = window.high.as_chunks::<2>();
        let mut pair = window.start / 2 % self.ring_pairs;
        for (low, high) in low.iter().zip(high) {
            let samples = &self.ring[2 * (pair * self.ring_len + at)..][..8 * V::LANES];
            let (low, high) = (V::splat(*low), V::splat(*high));
            for i in 0..4 {
                let samples = V::load(&samples[2 * V::LANES * i..]);
                low_sums[i] = low_sums[i].multiply_add(samples, low);
                high_sums[i] = high_sums[i].multiply_add(samples, high);
            }
            pair += 1;
            if pair == self.ring_pairs {
                pair = 0;
            }
        }
        let mut sums = [V::zero(); 4];
        for i in 0..4 {
            sums[i] = V::join(low_sums[i], high_sums[i]);
        }
        sums
    }
}

/// Lane sums of one window that starts at the first of `samples`.
#[inline(always)]
fn dot<V: Vector>(samples: &[i16], window: Row<'_>) -> V {
    let taps = 2 * V::LANES;
    let samples = &samples[..window.low.len()];
    let (mut low_sum, mut high_sum) = (V::zero(), V::zero());
    let coefficients = window
        .low
        .chunks_exact(taps)
        .zip(window.high.chunks_exact(taps));
    for (samples, (low, high)) in samples.chunks_exact(taps).zip(coefficients) {
        let samples = V::load(samples);
        low_sum = low_sum.multiply_add(samples, V::load(low));
        high_sum = high_sum.multiply_add(samples, V::load(high));
    }
    V::join(low_sum, high_sum)
}
