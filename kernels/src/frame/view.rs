//! A camera frame: a layout and bytes.

use super::format::{ColorSpace, PixelFormat};
use super::layout::{FrameError, FrameLayout, Planes};

/// A borrowed camera frame whose planes are known to lie inside its data.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    layout: FrameLayout,
    data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Views `data` as a frame in V4L2's single-planar layout ([`FrameLayout::new`]). The last row need not be padded
    /// to `stride` bytes; bytes after it are ignored.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn new(
        format: PixelFormat,
        width: usize,
        height: usize,
        stride: usize,
        data: &'a [u8],
    ) -> Result<Self, FrameError> {
        Self::with_layout(FrameLayout::new(format, width, height, stride)?, data)
    }

    /// Views `data` as a frame without padding between rows.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn packed(
        format: PixelFormat,
        width: usize,
        height: usize,
        data: &'a [u8],
    ) -> Result<Self, FrameError> {
        Self::with_layout(FrameLayout::packed(format, width, height)?, data)
    }

    /// Views `data` as a frame whose chroma lies where `planes` says.
    ///
    /// # Errors
    /// See [`FrameError`].
    pub fn with_planes(
        format: PixelFormat,
        width: usize,
        height: usize,
        planes: Planes,
        data: &'a [u8],
    ) -> Result<Self, FrameError> {
        let layout = FrameLayout::with_planes(format, width, height, planes)?;
        Self::with_layout(layout, data)
    }

    /// Views `data` as a frame laid out like this. Bytes after the last sample are ignored.
    ///
    /// # Errors
    /// [`FrameError::Length`].
    pub const fn with_layout(layout: FrameLayout, data: &'a [u8]) -> Result<Self, FrameError> {
        if data.len() < layout.bytes() {
            return Err(FrameError::Length {
                found: data.len(),
                expected: layout.bytes(),
            });
        }
        Ok(Self { layout, data })
    }

    /// A part of the frame, in the same bytes: see [`FrameLayout::crop`].
    #[must_use]
    pub const fn crop(&self, x: usize, y: usize, width: usize, height: usize) -> Option<Self> {
        match self.layout.crop(x, y, width, height) {
            Some(layout) => Some(Self {
                layout,
                data: self.data,
            }),
            None => None,
        }
    }

    /// The same frame with its samples read as `color`.
    #[must_use]
    pub const fn with_color(self, color: ColorSpace) -> Self {
        Self {
            layout: self.layout.with_color(color),
            data: self.data,
        }
    }

    /// How its bytes are a frame.
    #[must_use]
    pub const fn layout(&self) -> &FrameLayout {
        &self.layout
    }

    /// What the samples are and in which order.
    #[must_use]
    pub const fn format(&self) -> PixelFormat {
        self.layout.format()
    }

    /// Meaning of luma and chroma.
    #[must_use]
    pub const fn color(&self) -> ColorSpace {
        self.layout.color()
    }

    /// Pixels a row.
    #[must_use]
    pub const fn width(&self) -> usize {
        self.layout.width()
    }

    /// Rows.
    #[must_use]
    pub const fn height(&self) -> usize {
        self.layout.height()
    }

    /// Bytes that [`copy_packed`](Self::copy_packed) writes.
    #[must_use]
    pub const fn packed_bytes(&self) -> usize {
        self.layout.packed_bytes()
    }

    /// Copies the planes one after another, without padding between rows.
    ///
    /// # Panics
    /// If `out` is not [`packed_bytes`](Self::packed_bytes) long.
    pub fn copy_packed(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.packed_bytes());
        let luma = (0..self.height()).map(|y| self.row(y));
        let chroma = (0..self.format().chroma_planes()).flat_map(|plane| {
            let rows = (0..self.height()).step_by(2);
            rows.map(move |y| self.chroma_row(plane, y))
        });
        let mut at = 0;
        for row in luma.chain(chroma) {
            out[at..][..row.len()].copy_from_slice(row);
            at += row.len();
        }
    }

    /// Row `y < height` of the first plane, `row_bytes(width)` bytes.
    #[inline]
    pub(super) fn row(&self, y: usize) -> &'a [u8] {
        &self.data[self.layout.row_offset(y)..][..self.format().row_bytes(self.width())]
    }

    /// The chroma row of chroma plane `plane` that belongs to luma row `y`: `chroma_row_bytes(width)` bytes.
    #[inline]
    pub(super) fn chroma_row(&self, plane: usize, y: usize) -> &'a [u8] {
        let start = self.layout.chroma_row_offset(plane, y);
        &self.data[start..][..self.format().chroma_row_bytes(self.width())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::MAX_SIDE;

    #[test]
    fn accepts_exactly_the_bytes_of_the_frame() {
        for format in PixelFormat::ALL {
            for (width, height) in [(1, 1), (2, 2), (5, 3), (4, 7)] {
                let bytes = format.frame_bytes(width, height);
                let data = vec![0; bytes];
                assert!(Frame::packed(format, width, height, &data).is_ok());
                assert_eq!(
                    Frame::packed(format, width, height, &data[..bytes - 1]).unwrap_err(),
                    FrameError::Length {
                        found: bytes - 1,
                        expected: bytes
                    }
                );
            }
        }
    }

    #[test]
    fn last_row_needs_no_padding() {
        assert!(Frame::new(PixelFormat::Rgb, 3, 2, 16, &[0; 25]).is_ok());
        assert!(Frame::new(PixelFormat::Nv12, 3, 3, 8, &[0; 3 * 8 + 8 + 4]).is_ok());
        assert!(Frame::new(PixelFormat::Nv12, 3, 3, 8, &[0; 3 * 8 + 8 + 3]).is_err());
        assert!(Frame::new(PixelFormat::I420, 3, 3, 8, &[0; 3 * 8 + 3 * 4 + 2]).is_ok());
    }

    #[test]
    fn refuses_bad_sizes_and_strides() {
        for (width, height) in [(0, 1), (1, 0), (MAX_SIDE + 1, 1), (usize::MAX, usize::MAX)] {
            let error = FrameError::Size { width, height };
            assert_eq!(
                Frame::new(PixelFormat::I420, width, height, 8, &[]).unwrap_err(),
                error
            );
            assert_eq!(
                Frame::packed(PixelFormat::Rgb, width, height, &[]).unwrap_err(),
                error
            );
        }
        let error = Frame::new(PixelFormat::Yuyv, 3, 1, 7, &[0; 8]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "frame: first stride of 7 bytes, expected at least 8"
        );
        let planes = Planes {
            stride: 3,
            chroma_offset: 9,
            chroma_stride: 3,
        };
        let error = Frame::with_planes(PixelFormat::Nv21, 3, 3, planes, &[0; 64]).unwrap_err();
        assert_eq!(
            error,
            FrameError::Stride {
                plane: "chroma",
                found: 3,
                minimum: 4
            }
        );
        assert!(Frame::new(PixelFormat::Nv12, 8, 8, usize::MAX, &[0; 64]).is_err());
    }
}
