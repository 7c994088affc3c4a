//! The two passes of the fast version, for any [`Vector`].
//!
//! No closure may hold a vector operation: it would be compiled without the instructions that its caller enables,
//! and every operation in it become a call.

use super::strip::Strip;
use super::table::{Row, Table};
use super::vector::{Pair, Vector};
use super::view::Frame;

/// Rows of the ring are padded to a multiple of this many elements: four of the widest vectors.
pub(super) const BLOCK: usize = 64;

/// Everything that one frame's passes read and overwrite.
pub(super) struct Passes<'a> {
    /// Tables of the crop's columns and rows.
    pub(super) columns: &'a Table,
    pub(super) rows: &'a Table,
    pub(super) strip: Strip<'a>,
    /// Horizontally resampled rows, two source rows together: (`ring_pairs`, `ring_len`, 2), each four elements in the
    /// order of [`Vector::load`].
    pub(super) ring: &'a mut [i16],
    /// A multiple of a strip's pairs of rows, so that no strip is split by the ring's end.
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
        if self.channels == 1 {
            self.resample::<V, 1>(frame, output);
        } else {
            self.resample::<V, 3>(frame, output);
        }
    }

    #[inline(always)]
    fn resample<V: Vector, const CHANNELS: usize>(
        &mut self,
        frame: &Frame<'_>,
        output: &mut Output<'_>,
    ) {
        let (first, end) = self.rows.extent();
        let mut next = first;
        for y in 0..self.rows.len() {
            let window = self.rows.row(y);
            while next < window.end {
                let strip_end = end.min(next + V::LANES);
                self.strip.fill::<V, CHANNELS>(frame, next, strip_end);
                self.horizontal::<V, CHANNELS>((next - first) / 2 % self.ring_pairs);
                next += V::LANES;
            }
            let columns = self.columns.len();
            let row = &mut output.data[y * output.stride..][..3 * columns];
            let pair = (window.start - first) / 2 % self.ring_pairs;
            self.vertical_row::<V, CHANNELS>(window, pair, row);
        }
    }

    /// Resamples the strip into the ring's rows from pair `pair` on.
    #[inline(always)]
    fn horizontal<V: Vector, const CHANNELS: usize>(&mut self, pair: usize) {
        let ring = &mut self.ring[2 * pair * self.ring_len..];
        let columns = self.columns.len();
        // Four columns are a whole number of fours of elements.
        for (i, x) in (0..columns).step_by(4).enumerate() {
            let mut sums = [[V::zero().round(); CHANNELS]; 4];
            for (j, sums) in sums.iter_mut().enumerate() {
                // The padding of the ring repeats the last column.
                let window = self.columns.row((x + j).min(columns - 1));
                *sums = weigh_columns::<V, CHANNELS>(&self.strip, window);
            }
            let (fours, _) = sums.as_flattened().as_chunks::<4>();
            for (j, four) in fours.iter().enumerate() {
                let at = 8 * (CHANNELS * i + j);
                V::store_pairs(*four, &mut ring[at..], 2 * self.ring_len);
            }
        }
    }

    /// The output row whose window is `window` and starts at pair `pair` of the ring: (columns, 3).
    #[inline(always)]
    fn vertical_row<V: Vector, const CHANNELS: usize>(
        &self,
        window: Row<'_>,
        pair: usize,
        row: &mut [u8],
    ) {
        let elements = row.len() / 3 * CHANNELS;
        let mut block = [0; BLOCK];
        let block = &mut block[..4 * V::LANES];
        let mut at = 0;
        while at < elements {
            V::store_bytes(self.weigh_rows::<V>(window, pair, at), block);
            if CHANNELS == 3 {
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

    /// Elements `at..at + 4 V::LANES` of an output row whose window starts at pair `pair` of the ring.
    #[inline(always)]
    fn weigh_rows<V: Vector>(
        &self,
        window: Row<'_>,
        mut pair: usize,
        at: usize,
    ) -> [V::Rounded; 4] {
        let mut sums = [V::zero(); 4];
        for coefficients in window.coefficients {
            let samples = &self.ring[2 * (pair * self.ring_len + at)..][..8 * V::LANES];
            add_products(&mut sums, samples, coefficients);
            pair += 1;
            if pair == self.ring_pairs {
                pair = 0;
            }
        }
        round(sums)
    }
}

/// For every row of the strip, one window of its columns weighed: a result a channel.
#[inline(always)]
fn weigh_columns<V: Vector, const CHANNELS: usize>(
    strip: &Strip<'_>,
    window: Row<'_>,
) -> [V::Rounded; CHANNELS] {
    let step = 2 * V::LANES * CHANNELS;
    let first = (window.start - strip.columns.0) / 2;
    let samples = &strip.lanes[first * step..][..window.coefficients.len() * step];
    let mut sums = [V::zero(); CHANNELS];
    for (samples, coefficients) in samples.chunks_exact(step).zip(window.coefficients) {
        add_products(&mut sums, samples, coefficients);
    }
    round(sums)
}

/// Adds the products of as many vectors of samples as there are sums.
#[inline(always)]
fn add_products<V: Vector>(sums: &mut [V], samples: &[i16], coefficients: &Pair) {
    let weights = V::weights(coefficients);
    for (sum, samples) in sums.iter_mut().zip(samples.chunks_exact(2 * V::LANES)) {
        *sum = sum.multiply_add(V::load(samples), weights);
    }
}

#[inline(always)]
fn round<V: Vector, const COUNT: usize>(sums: [V; COUNT]) -> [V::Rounded; COUNT] {
    let mut rounded = [V::zero().round(); COUNT];
    for (rounded, sum) in rounded.iter_mut().zip(sums) {
        *rounded = sum.round();
    }
    rounded
}
