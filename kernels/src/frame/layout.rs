//! How bytes are a frame, validated once; then access cannot fail.

use super::format::{ColorSpace, PixelFormat};
use thiserror::Error;

/// Longest side of a frame, of a resized image or of a crop, in pixels: 8K video is 7680 × 4320. It bounds
/// every table and keeps all sizes far from integer overflow.
pub const MAX_SIDE: usize = 8192;

/// Where a frame's planes lie in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planes {
    /// Bytes from one row of the first plane to the next.
    pub stride: usize,
    /// Byte at which the first chroma plane starts; ignored by formats without one.
    pub chroma_offset: usize,
    /// Bytes from one chroma row to the next; ignored by formats without a chroma plane. The second plane
    /// of [`PixelFormat::I420`] follows `ceil(height / 2)` such rows.
    pub chroma_stride: usize,
}

impl Planes {
    /// V4L2's single-planar layout: chroma follows `height` rows of luma, with the same stride, or half of
    /// it (rounded up) where chroma has a plane for each component.
    #[must_use]
    pub const fn single(format: PixelFormat, height: usize, stride: usize) -> Self {
        Self {
            stride,
            chroma_offset: stride.saturating_mul(height),
            chroma_stride: match format {
                PixelFormat::I420 => stride.div_ceil(2),
                _ => stride,
            },
        }
    }
}

/// Why bytes are not a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FrameError {
    /// A side is zero or beyond [`MAX_SIDE`].
    #[error("frame: size {width}x{height}, expected sides of 1 to {MAX_SIDE}")]
    Size {
        /// Pixels a row.
        width: usize,
        /// Rows.
        height: usize,
    },
    /// Rows of a plane would overlap.
    #[error("frame: {plane} stride of {found} bytes, expected at least {minimum}")]
    Stride {
        /// Which plane: `"first"` or `"chroma"`.
        plane: &'static str,
        /// The stride given.
        found: usize,
        /// Bytes of one row.
        minimum: usize,
    },
    /// The data ends inside the frame.
    #[error("frame: {found} bytes of data, expected at least {expected}")]
    Length {
        /// Bytes given.
        found: usize,
        /// Bytes up to the last sample of the last row.
        expected: usize,
    },
}

/// How bytes are a frame: format, colours, size, and where the planes lie. Every value is valid: its sides are within
/// [`MAX_SIDE`] and rows of a plane don't overlap.
///
/// ```
/// use mergevit_kernels::frame::{Frame, FrameLayout, PixelFormat};
///
/// // NV12 whose rows of 638 bytes are padded to 640.
/// let layout = FrameLayout::new(PixelFormat::Nv12, 638, 480, 640)?;
/// let bytes = vec![0; layout.bytes()];
/// let frame = Frame::with_layout(layout, &bytes)?;
/// assert_eq!(frame.layout().planes().chroma_offset, 640 * 480);
/// # Ok::<(), mergevit_kernels::frame::FrameError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLayout {
    format: PixelFormat,
    color: ColorSpace,
    width: usize,
    height: usize,
    planes: Planes,
    /// Where the first plane starts: 0 unless it is a part of a larger one.
    offset: usize,
    /// Rows from the start of one chroma plane to that of the next.
    chroma_rows: usize,
    bytes: usize,
}

impl FrameLayout {
    /// V4L2's single-planar layout ([`Planes::single`]) of `width` × `height` pixels with `stride` bytes from one row
    /// to the next, colours as [`ColorSpace::default`].
    ///
    /// # Errors
    /// [`FrameError::Size`], [`FrameError::Stride`].
    pub fn new(
        format: PixelFormat,
        width: usize,
        height: usize,
        stride: usize,
    ) -> Result<Self, FrameError> {
        Self::with_planes(
            format,
            width,
            height,
            Planes::single(format, height, stride),
        )
    }

    /// No padding between rows, colours as [`ColorSpace::default`].
    ///
    /// # Errors
    /// [`FrameError::Size`].
    pub fn packed(format: PixelFormat, width: usize, height: usize) -> Result<Self, FrameError> {
        // A side beyond the limit is refused below; clamping keeps the products in range until then.
        let (w, h) = (width.min(MAX_SIDE + 1), height.min(MAX_SIDE + 1));
        let planes = Planes {
            stride: format.row_bytes(w),
            chroma_offset: format.row_bytes(w) * h,
            chroma_stride: format.chroma_row_bytes(w),
        };
        Self::with_planes(format, width, height, planes)
    }

    /// Chroma where `planes` says, colours as [`ColorSpace::default`].
    ///
    /// # Errors
    /// [`FrameError::Size`], [`FrameError::Stride`].
    pub fn with_planes(
        format: PixelFormat,
        width: usize,
        height: usize,
        planes: Planes,
    ) -> Result<Self, FrameError> {
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return Err(FrameError::Size { width, height });
        }
        let check_stride = |plane, found, minimum| {
            if found < minimum {
                Err(FrameError::Stride {
                    plane,
                    found,
                    minimum,
                })
            } else {
                Ok(())
            }
        };
        let row = format.row_bytes(width);
        check_stride("first", planes.stride, row)?;
        if format.chroma_planes() > 0 {
            let chroma_row = format.chroma_row_bytes(width);
            check_stride("chroma", planes.chroma_stride, chroma_row)?;
        }
        Ok(Self {
            format,
            color: ColorSpace::default(),
            width,
            height,
            planes,
            offset: 0,
            chroma_rows: height.div_ceil(2),
            bytes: 0,
        }
        .measured())
    }

    /// The same with its bytes counted. Sums that saturate refuse all data: no slice is `usize::MAX` bytes long.
    const fn measured(self) -> Self {
        let Self {
            format,
            width,
            height,
            planes,
            ..
        } = self;
        let mut bytes = planes.stride.saturating_mul(height - 1);
        bytes = bytes
            .saturating_add(self.offset)
            .saturating_add(format.row_bytes(width));
        if format.chroma_planes() > 0 {
            let last = (format.chroma_planes() - 1) * self.chroma_rows + height.div_ceil(2) - 1;
            let end = planes.chroma_stride.saturating_mul(last);
            let end = end
                .saturating_add(planes.chroma_offset)
                .saturating_add(format.chroma_row_bytes(width));
            if end > bytes {
                bytes = end;
            }
        }
        Self { bytes, ..self }
    }

    /// The part of the frame that starts at (`x`, `y`), `width` by `height` pixels, in the same bytes: nothing is copied.
    /// `None` unless all of it lies inside and neither side is 0.
    ///
    /// Chroma that two pixels share is not cut apart: where the format shares it between neighbours in a row, an odd `x`
    /// means the pixel before it, and where also between rows, an odd `y` the row above. The size stays.
    ///
    /// ```
    /// use mergevit_kernels::frame::{Frame, FrameLayout, PixelFormat};
    ///
    /// let whole = FrameLayout::packed(PixelFormat::Nv12, 640, 480)?;
    /// let bytes = vec![0; whole.bytes()];
    /// let part = whole.crop(321, 0, 224, 224).expect("it lies inside");
    /// let frame = Frame::with_layout(part, &bytes)?;
    /// assert_eq!((frame.width(), frame.height()), (224, 224));
    /// # Ok::<(), mergevit_kernels::frame::FrameError>(())
    /// ```
    #[must_use]
    pub const fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Option<Self> {
        let (Some(right), Some(bottom)) = (x.checked_add(width), y.checked_add(height)) else {
            return None;
        };
        if width == 0 || height == 0 || right > self.width || bottom > self.height {
            return None;
        }
        let format = self.format;
        let (x, y) = match format {
            PixelFormat::Rgb | PixelFormat::Bgr | PixelFormat::Grey => (x, y),
            PixelFormat::Yuyv | PixelFormat::Uyvy => (x & !1, y),
            PixelFormat::Nv12 | PixelFormat::Nv21 | PixelFormat::I420 => (x & !1, y & !1),
        };
        let mut planes = self.planes;
        if format.chroma_planes() > 0 {
            let rows = planes.chroma_stride.saturating_mul(y / 2);
            let start = rows.saturating_add(format.chroma_row_bytes(x));
            planes.chroma_offset = planes.chroma_offset.saturating_add(start);
        }
        let start = planes.stride.saturating_mul(y);
        let start = start.saturating_add(format.row_bytes(x));
        let part = Self {
            width,
            height,
            planes,
            offset: self.offset.saturating_add(start),
            ..*self
        };
        Some(part.measured())
    }

    /// The same layout with its samples read as `color`.
    #[must_use]
    pub const fn with_color(self, color: ColorSpace) -> Self {
        Self { color, ..self }
    }

    /// What the samples are and in which order.
    #[must_use]
    pub const fn format(&self) -> PixelFormat {
        self.format
    }

    /// Meaning of luma and chroma.
    #[must_use]
    pub const fn color(&self) -> ColorSpace {
        self.color
    }

    /// Pixels a row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.height
    }

    /// Where the planes lie; of a [part](Self::crop), the first starts later than at byte 0.
    #[must_use]
    pub const fn planes(&self) -> Planes {
        self.planes
    }

    /// Bytes up to the last sample of the last row: the least that a frame has. The last row need not be padded.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of a frame of this format and size without padding.
    #[must_use]
    pub const fn packed_bytes(&self) -> usize {
        self.format.frame_bytes(self.width, self.height)
    }

    /// Where row `y < height` of the first plane starts; it has `row_bytes(width)` bytes.
    #[inline]
    pub(super) fn row_offset(&self, y: usize) -> usize {
        self.offset + y * self.planes.stride
    }

    /// Where the row of chroma plane `plane` that belongs to luma row `y` starts; it has `chroma_row_bytes(width)`
    /// bytes.
    #[inline]
    pub(super) fn chroma_row_offset(&self, plane: usize, y: usize) -> usize {
        let row = plane * self.chroma_rows + y / 2;
        self.planes.chroma_offset + row * self.planes.chroma_stride
    }
}
