//! The fast version: strips of the source rows and columns that the crop needs are unpacked once, resampled
//! horizontally once, and kept in a ring only as long as an output row reads them.

use thiserror::Error;

use super::filter::Axis;
use super::geometry::{Geometry, Span};
use super::layout::MAX_SIDE;
use super::passes::{BLOCK, Output, Passes};
use super::rows::channels;
use super::simd;
use super::strip::{Strip, lanes_len, tile_len};
use super::table::{Table, reserve_to};
use super::vector_unit::VectorUnit;
use super::view::Frame;

/// Why an output buffer cannot be filled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("preprocess: output of {found} bytes, expected {expected}")]
pub struct OutputLengthError {
    /// Bytes given.
    pub found: usize,
    /// [`Geometry::output_len`].
    pub expected: usize,
}

/// Turns camera frames into network input.
///
/// It holds coefficient tables for the last frame size, a strip of unpacked rows and a ring of resampled ones. Frames up
/// to the reserved size never allocate, whatever their format and however often their size changes.
#[derive(Debug)]
pub struct Preprocessor {
    geometry: Geometry,
    unit: VectorUnit,
    reserved: (usize, usize),
    /// (width, height) that the tables are for.
    size: Option<(usize, usize)>,
    columns: Table,
    rows: Table,
    tile: Vec<i16>,
    lanes: Vec<i16>,
    ring: Vec<i16>,
}

impl Preprocessor {
    /// Reserves memory for frames of at most `max_width` × `max_height` pixels (see [`reserve`](Self::reserve))
    /// and chooses the machine's best vector unit.
    #[must_use]
    pub fn new(geometry: Geometry, max_width: usize, max_height: usize) -> Self {
        Self::with_unit(geometry, max_width, max_height, VectorUnit::best())
    }

    /// As [`new`](Self::new), with a vector unit of the caller's choice; one that the machine lacks is replaced
    /// by [`VectorUnit::Portable`].
    #[must_use]
    pub fn with_unit(
        geometry: Geometry,
        max_width: usize,
        max_height: usize,
        unit: VectorUnit,
    ) -> Self {
        let mut preprocessor = Self {
            geometry,
            unit: if unit.is_available() {
                unit
            } else {
                VectorUnit::Portable
            },
            reserved: (0, 0),
            size: None,
            columns: Table::default(),
            rows: Table::default(),
            tile: Vec::new(),
            lanes: Vec::new(),
            ring: Vec::new(),
        };
        preprocessor.reserve(max_width, max_height);
        preprocessor
    }

    /// Grows the reservation to `max_width` × `max_height`, each side at most [`MAX_SIDE`]; it never shrinks.
    pub fn reserve(&mut self, max_width: usize, max_height: usize) {
        let width = self.reserved.0.max(max_width.min(MAX_SIDE));
        let height = self.reserved.1.max(max_height.min(MAX_SIDE));
        if (width, height) == self.reserved {
            return;
        }
        self.reserved = (width, height);
        let radius = self.geometry.interpolation().radius();
        let (crop_width, crop_height) = (self.geometry.crop_width(), self.geometry.crop_height());
        self.columns.reserve(radius, width, crop_width);
        self.rows.reserve(radius, height, crop_height);
        let rows = self.unit.lanes();
        reserve_to(&mut self.tile, tile_len(rows));
        reserve_to(&mut self.lanes, lanes_len(width, rows));
        // Two more than a window's rows: its start is rounded down to even, its end up.
        let pairs = ring_pairs(self.geometry.max_row_taps(width, height) / 2 + 1, rows);
        reserve_to(&mut self.ring, 2 * pairs * ring_len(crop_width, 3));
    }

    /// The resize and crop.
    #[must_use]
    pub const fn geometry(&self) -> &Geometry {
        &self.geometry
    }

    /// Heap bytes held.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        let buffers = 2 * (self.tile.capacity() + self.lanes.capacity() + self.ring.capacity());
        self.columns.bytes() + self.rows.bytes() + buffers
    }

    /// Writes `frame`, resized and cropped, to `out`: (crop height, crop width, 3), R, G, B, 8 bits each.
    ///
    /// A frame beyond the reserved size grows the reservation first: the one case that allocates.
    ///
    /// # Errors
    /// [`OutputLengthError`] unless `out` is [`Geometry::output_len`] bytes long.
    pub fn preprocess(
        &mut self,
        frame: &Frame<'_>,
        out: &mut [u8],
    ) -> Result<(), OutputLengthError> {
        let expected = self.geometry.output_len();
        if out.len() != expected {
            return Err(OutputLengthError {
                found: out.len(),
                expected,
            });
        }
        self.reserve(frame.width(), frame.height());
        self.prepare(frame.width(), frame.height());

        let (width, height) = self.geometry.resized(frame.width(), frame.height());
        let columns = Span::center(width, self.geometry.crop_width());
        let rows = Span::center(height, self.geometry.crop_height());
        let row_len = 3 * self.geometry.crop_width();
        if columns.count * rows.count != self.geometry.crop_width() * self.geometry.crop_height() {
            out.fill(0);
        }
        let channels = channels(frame.format());
        let mut passes = Passes {
            columns: &self.columns,
            rows: &self.rows,
            strip: Strip {
                tile: &mut self.tile,
                lanes: &mut self.lanes,
                columns: self.columns.extent(),
            },
            ring: &mut self.ring,
            ring_pairs: ring_pairs(self.rows.pairs(), self.unit.lanes()),
            ring_len: ring_len(columns.count, channels),
            channels,
        };
        let mut output = Output {
            data: &mut out[rows.pad * row_len + 3 * columns.pad..],
            stride: row_len,
        };
        simd::run(self.unit, &mut passes, frame, &mut output);
        Ok(())
    }

    /// Tables and buffers for frames of `width` × `height`, within the reservation.
    fn prepare(&mut self, width: usize, height: usize) {
        if self.size == Some((width, height)) {
            return;
        }
        self.size = Some((width, height));
        let interpolation = self.geometry.interpolation();
        let resized = self.geometry.resized(width, height);
        let columns = Span::center(resized.0, self.geometry.crop_width());
        let rows = Span::center(resized.1, self.geometry.crop_height());
        let axis = Axis::new(interpolation, width, resized.0);
        self.columns.build(&axis, columns);
        let axis = Axis::new(interpolation, height, resized.1);
        self.rows.build(&axis, rows);
        // Zeros or an earlier frame's samples beyond a window's end are multiplied by zero coefficients.
        let strip = self.unit.lanes();
        self.tile.resize(tile_len(strip), 0);
        self.lanes.resize(lanes_len(width, strip), 0);
        let ring = 2 * ring_pairs(self.rows.pairs(), strip) * ring_len(columns.count, 3);
        self.ring.resize(ring, 0);
    }
}

/// Pairs of rows that a ring needs for windows of `window` pairs that end anywhere in a strip of `rows` rows: whole
/// strips, so that none of them is split by the ring's end.
const fn ring_pairs(window: usize, rows: usize) -> usize {
    let strip = rows / 2;
    (window + strip - 1).next_multiple_of(strip)
}

/// Elements of a ring row: the horizontal pass writes fours of columns, the vertical one reads whole blocks.
const fn ring_len(columns: usize, channels: usize) -> usize {
    (columns.next_multiple_of(4) * channels).next_multiple_of(BLOCK)
}
