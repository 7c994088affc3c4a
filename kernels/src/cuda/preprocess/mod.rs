//! A camera frame to the network's input: tables of windows, and the two launches that apply them.

mod columns;
mod rows;
mod tables;

pub use columns::ResampleColumnsParams;
pub use rows::ResampleRowsParams;

use super::address::Address;
use super::launch::Launch;
use crate::frame::{Axis, ColorSpace, Frame, Geometry, PixelFormat, Span, YuvToRgb};
use crate::ops::Patchify;
use tables::{Columns, Rows};

/// Where preprocessing works in device memory.
#[derive(Clone, Copy, Debug)]
pub struct Workspace {
    /// [`Resampling::frame_bytes`]: a frame as [`Frame::copy_packed`] writes it.
    pub frame: Address,
    /// [`Resampling::table_bytes`]: what [`Resampling::tables`] holds.
    pub tables: Address,
    /// [`Resampling::scratch_bytes`]: rows between the two passes.
    pub scratch: Address,
}

/// What the second pass writes.
#[derive(Clone, Copy, Debug)]
pub enum Destination {
    /// (height, width, 3) u8
    Pixels(Address),
    /// (patches, row) i8, pixel - 128: one image of a batch, for a square crop.
    Patches(Address, Patchify),
}

/// Resizing and cropping of frames on a device.
///
/// Made once for the largest frame; then any frame up to it is prepared and launched without allocation.
#[derive(Debug)]
pub struct Resampling {
    geometry: Geometry,
    max_frame: (usize, usize),
    /// (width, height) that the tables are for.
    size: Option<(usize, usize)>,
    tables: Vec<i32>,
    columns: Columns,
    rows: Rows,
}

impl Resampling {
    /// For frames of at most `max_frame`, (width, height) pixels.
    pub fn new(geometry: Geometry, max_frame: (usize, usize)) -> Self {
        let mut resampling = Self {
            geometry,
            max_frame,
            size: None,
            tables: Vec::new(),
            columns: Columns::default(),
            rows: Rows::default(),
        };
        let bytes = resampling.table_bytes();
        resampling.tables.reserve_exact(bytes / size_of::<i32>());
        resampling
    }

    /// Bytes of the largest frame in any format.
    pub fn frame_bytes(&self) -> usize {
        let (width, height) = self.max_frame;
        let bytes = PixelFormat::ALL.map(|format| format.frame_bytes(width, height));
        bytes.into_iter().max().unwrap_or(0)
    }

    /// Bytes of the largest tables.
    pub fn table_bytes(&self) -> usize {
        let (kind, crop) = (
            self.geometry.interpolation(),
            (self.geometry.crop_width(), self.geometry.crop_height()),
        );
        // No frame is resized to fewer columns than the smallest.
        let (min_columns, _) = self.geometry.resized(1, 1);
        let words = Columns::max_words(kind, self.max_frame.0, min_columns.min(crop.0), crop.0)
            + Rows::max_words(kind, self.max_frame.1, crop.1);
        words * size_of::<i32>()
    }

    /// Bytes of the rows between the passes, for the largest frame.
    pub fn scratch_bytes(&self) -> usize {
        3 * self.geometry.crop_width() * self.max_frame.1
    }

    /// Whether a frame is within the largest.
    pub fn takes(&self, frame: &Frame<'_>) -> bool {
        frame.width() <= self.max_frame.0 && frame.height() <= self.max_frame.1
    }

    /// Makes the tables for frames of this size; true if they differ from those before.
    ///
    /// # Panics
    /// If a side is beyond the largest.
    pub fn prepare(&mut self, width: usize, height: usize) -> bool {
        assert!(width <= self.max_frame.0 && height <= self.max_frame.1);
        if self.size == Some((width, height)) {
            return false;
        }
        self.size = Some((width, height));
        self.tables.clear();
        let interpolation = self.geometry.interpolation();
        let resized = self.geometry.resized(width, height);
        // Rows first: their windows are read as pairs.
        let axis = Axis::new(interpolation, height, resized.1);
        let kept = Span::center(resized.1, self.geometry.crop_height());
        self.rows = Rows::append(&mut self.tables, &axis, kept);
        let axis = Axis::new(interpolation, width, resized.0);
        let kept = Span::center(resized.0, self.geometry.crop_width());
        self.columns = Columns::append(&mut self.tables, &axis, kept);
        true
    }

    /// The tables of the last preparation, to be copied to the device when they differ.
    pub fn tables(&self) -> &[u8] {
        bytemuck::cast_slice(&self.tables)
    }

    /// Both passes over a frame whose bytes and tables are in the workspace.
    ///
    /// # Panics
    /// If the tables are for another size.
    pub fn launches(
        &self,
        frame: &Frame<'_>,
        workspace: &Workspace,
        destination: &Destination,
    ) -> [Launch; 2] {
        let (width, height) = (frame.width(), frame.height());
        assert_eq!(self.size, Some((width, height)), "tables for this size");
        let word = |index: usize| workspace.tables.offset(index * size_of::<i32>());
        let resized = self.geometry.resized(width, height);
        let kept_columns = Span::center(resized.0, self.geometry.crop_width());
        let kept_rows = Span::center(resized.1, self.geometry.crop_height());
        let (format, columns, rows) = (frame.format(), self.columns, self.rows);
        let chroma_stride = format.chroma_row_bytes(width);
        // Rows go in pairs, of which each has its chroma.
        let first_row = rows.first / 2 * 2;
        let first = ResampleColumnsParams {
            frame: workspace.frame,
            starts: word(columns.starts),
            coefficients: word(columns.coefficients),
            out: workspace.scratch,
            stride: format.row_bytes(width) as u32,
            chroma: (format.row_bytes(width) * height) as u32,
            chroma_stride: chroma_stride as u32,
            second_chroma: (chroma_stride * height.div_ceil(2)) as u32,
            first_row: first_row as u32,
            rows: (rows.first + rows.count - first_row) as u32,
            first_column: columns.first as u32,
            pixels: columns.count as u32,
            columns: kept_columns.count as u32,
            groups: columns.groups as u32,
            format: code(format),
            color: color(frame.color()),
            padding: 0,
        };
        let (out, patch_size, row_bytes) = match *destination {
            Destination::Pixels(out) => (out, 0, 0),
            Destination::Patches(out, shape) => (out, shape.patch_size, shape.row()),
        };
        let second = ResampleRowsParams {
            rows: workspace.scratch,
            windows: word(rows.windows),
            coefficients: word(rows.coefficients),
            out,
            first_row: first_row as u32,
            columns: kept_columns.count as u32,
            left: kept_columns.pad as u32,
            kept: kept_rows.count as u32,
            top: kept_rows.pad as u32,
            taps: rows.taps as u32,
            width: self.geometry.crop_width() as u32,
            patch_size: patch_size as u32,
            row_bytes: row_bytes as u32,
            source_rows: first.rows,
        };
        let lines = self.geometry.crop_height();
        // Rows beyond the last whole patch are nobody's.
        let lines = match *destination {
            Destination::Pixels(_) => lines,
            Destination::Patches(_, shape) => lines - lines % shape.patch_size,
        } as u32;
        [
            columns::resample_columns(&first),
            rows::resample_rows(lines, &second),
        ]
    }
}

/// The kernels' number of a format.
const fn code(format: PixelFormat) -> u32 {
    match format {
        PixelFormat::Rgb => 0,
        PixelFormat::Bgr => 1,
        PixelFormat::Grey => 2,
        PixelFormat::Yuyv => 3,
        PixelFormat::Uyvy => 4,
        PixelFormat::Nv12 => 5,
        PixelFormat::Nv21 => 6,
        PixelFormat::I420 => columns::I420,
    }
}

fn color(space: ColorSpace) -> [i32; 6] {
    YuvToRgb::of(space).coefficients()
}
