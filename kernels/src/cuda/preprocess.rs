//! A camera frame to the network's input: tables of windows, and the two launches that apply them.

use super::images::Image;
use super::params::{ResampleColumnsParams, ResampleRowsParams};
use super::{Address, Kernel, Launch};
use crate::frame::{Axis, ColorSpace, Frame, Geometry, PixelFormat, Span, YuvToRgb};
use crate::ops::Patchify;

const COLUMNS: Kernel = Kernel {
    image: Image::Preprocess,
    name: "resample_columns",
};

const ROWS: Kernel = Kernel {
    image: Image::Preprocess,
    name: "resample_rows",
};

const THREADS: u32 = 256;

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

/// The windows of one axis inside the tables, in words.
#[derive(Clone, Copy, Debug, Default)]
struct AxisTable {
    windows: usize,
    coefficients: usize,
    taps: usize,
    /// Source samples that all windows together read: first, number.
    first: usize,
    count: usize,
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
    columns: AxisTable,
    rows: AxisTable,
}

impl Resampling {
    /// For frames of at most `max_frame`, (width, height) pixels.
    pub fn new(geometry: Geometry, max_frame: (usize, usize)) -> Self {
        let mut resampling = Self {
            geometry,
            max_frame,
            size: None,
            tables: Vec::new(),
            columns: AxisTable::default(),
            rows: AxisTable::default(),
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
        let radius = self.geometry.interpolation().radius();
        let words = |input: usize, kept: usize| {
            // A window has at most 2 radius max(1, scale) + 2 taps; `kept` outputs lie side by side in the
            // source, so kept x scale is at most `input`.
            2 * kept + 2 * kept + 2 * radius * kept.max(input)
        };
        let columns = words(self.max_frame.0, self.geometry.crop_width());
        let rows = words(self.max_frame.1, self.geometry.crop_height());
        (columns + 1 + rows) * size_of::<i32>()
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
        let axis = Axis::new(interpolation, width, resized.0);
        self.columns = self.append(&axis, Span::center(resized.0, self.geometry.crop_width()));
        let axis = Axis::new(interpolation, height, resized.1);
        self.rows = self.append(&axis, Span::center(resized.1, self.geometry.crop_height()));
        true
    }

    fn append(&mut self, axis: &Axis, span: Span) -> AxisTable {
        let window = |index: usize| axis.window(span.first + index);
        // Windows are read as pairs.
        let windows = self.tables.len().next_multiple_of(2);
        self.tables.resize(windows, 0);
        for index in 0..span.count {
            let window = window(index);
            self.tables.extend([window.start as i32, window.len as i32]);
        }
        let taps = (0..span.count).map(|i| window(i).len).max().unwrap_or(0);
        let coefficients = self.tables.len();
        for index in 0..span.count {
            let window = window(index);
            self.tables.extend((0..taps).map(|i| match i < window.len {
                true => window.coefficient(i),
                false => 0,
            }));
        }
        // Starts and ends of windows ascend.
        let (first, last) = (window(0), window(span.count - 1));
        AxisTable {
            windows,
            coefficients,
            taps,
            first: first.start,
            count: last.start + last.len - first.start,
        }
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
        let first = ResampleColumnsParams {
            frame: workspace.frame,
            windows: word(columns.windows),
            coefficients: word(columns.coefficients),
            out: workspace.scratch,
            stride: format.row_bytes(width) as u32,
            chroma: (format.row_bytes(width) * height) as u32,
            chroma_stride: chroma_stride as u32,
            second_chroma: (chroma_stride * height.div_ceil(2)) as u32,
            first_row: rows.first as u32,
            first_column: columns.first as u32,
            pixels: columns.count as u32,
            columns: kept_columns.count as u32,
            taps: columns.taps as u32,
            format: code(format),
            color: color(frame.color()),
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
            first_row: rows.first as u32,
            columns: kept_columns.count as u32,
            left: kept_columns.pad as u32,
            kept: kept_rows.count as u32,
            top: kept_rows.pad as u32,
            taps: rows.taps as u32,
            width: self.geometry.crop_width() as u32,
            patch_size: patch_size as u32,
            row_bytes: row_bytes as u32,
            padding: 0,
        };
        let lines = self.geometry.crop_height() as u32;
        [
            Launch::new(COLUMNS, [rows.count as u32, 1, 1], THREADS, 0, &first),
            Launch::new(ROWS, [lines, 1, 1], THREADS, 0, &second),
        ]
    }
}

/// The kernel's number of a format.
const fn code(format: PixelFormat) -> u32 {
    match format {
        PixelFormat::Rgb => 0,
        PixelFormat::Bgr => 1,
        PixelFormat::Grey => 2,
        PixelFormat::Yuyv => 3,
        PixelFormat::Uyvy => 4,
        PixelFormat::Nv12 => 5,
        PixelFormat::Nv21 => 6,
        PixelFormat::I420 => 7,
    }
}

fn color(space: ColorSpace) -> [i32; 6] {
    YuvToRgb::of(space).coefficients()
}
