//! A camera frame as a checked view: lengths are validated once, then access cannot fail.

use thiserror::Error;

/// Longest side of a frame, of a resized image or of a crop, in pixels: 8K video is 7680 × 4320. It bounds
/// every table and keeps all sizes far from integer overflow.
pub const MAX_SIDE: usize = 8192;

/// Memory layout of a frame's samples, 8 bits each. Names are V4L2's.
///
/// Subsampled formats round their chroma size up: a frame of odd width or height has a last chroma sample
/// that covers one column or row (and, for [`Yuyv`](Self::Yuyv) and [`Uyvy`](Self::Uyvy), a last group of
/// four bytes whose second luma sample is ignored).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PixelFormat {
    /// Interleaved R, G, B (`RGB3`).
    Rgb,
    /// Interleaved B, G, R (`BGR3`).
    Bgr,
    /// One full-range luminance sample a pixel (`GREY`), taken as R = G = B.
    Grey,
    /// 4:2:2, bytes Y0 Cb Y1 Cr for two pixels.
    Yuyv,
    /// 4:2:2, bytes Cb Y0 Cr Y1 for two pixels.
    Uyvy,
    /// 4:2:0, a luma plane, then a plane of interleaved Cb, Cr.
    Nv12,
    /// 4:2:0, a luma plane, then a plane of interleaved Cr, Cb.
    Nv21,
    /// 4:2:0, a luma plane, then a Cb plane, then a Cr plane (V4L2's `YU12`, Y4M's `C420`).
    I420,
}

impl PixelFormat {
    /// Every format.
    pub const ALL: [Self; 8] = [
        Self::Rgb,
        Self::Bgr,
        Self::Grey,
        Self::Yuyv,
        Self::Uyvy,
        Self::Nv12,
        Self::Nv21,
        Self::I420,
    ];

    /// Bytes that `width` pixels of the first plane take: the smallest stride.
    #[must_use]
    pub const fn row_bytes(self, width: usize) -> usize {
        match self {
            Self::Rgb | Self::Bgr => 3 * width,
            Self::Grey | Self::Nv12 | Self::Nv21 | Self::I420 => width,
            Self::Yuyv | Self::Uyvy => 4 * width.div_ceil(2),
        }
    }

    /// Bytes of one row of a chroma plane, 0 for a format without chroma planes.
    #[must_use]
    pub const fn chroma_row_bytes(self, width: usize) -> usize {
        match self {
            Self::Rgb | Self::Bgr | Self::Grey | Self::Yuyv | Self::Uyvy => 0,
            Self::Nv12 | Self::Nv21 => 2 * width.div_ceil(2),
            Self::I420 => width.div_ceil(2),
        }
    }

    /// Bytes of a whole frame without padding.
    ///
    /// The sides are not checked here: use it for sides of at most [`MAX_SIDE`].
    #[must_use]
    pub const fn frame_bytes(self, width: usize, height: usize) -> usize {
        let chroma_rows = self.chroma_planes() * height.div_ceil(2);
        self.row_bytes(width) * height + self.chroma_row_bytes(width) * chroma_rows
    }

    /// Number of planes beside the first.
    const fn chroma_planes(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr | Self::Grey | Self::Yuyv | Self::Uyvy => 0,
            Self::Nv12 | Self::Nv21 => 1,
            Self::I420 => 2,
        }
    }
}

/// How luma and chroma samples stand for R, G, B; ignored for RGB, BGR and grey frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ColorSpace {
    /// ITU-R BT.601, luma in 16..=235, chroma in 16..=240: what most webcams and SD video carry.
    #[default]
    Bt601Limited,
    /// ITU-R BT.601, all samples in 0..=255: JPEG.
    Bt601Full,
    /// ITU-R BT.709, luma in 16..=235, chroma in 16..=240: HD video.
    Bt709Limited,
    /// ITU-R BT.709, all samples in 0..=255.
    Bt709Full,
}

impl ColorSpace {
    /// Every colour space.
    pub const ALL: [Self; 4] = [
        Self::Bt601Limited,
        Self::Bt601Full,
        Self::Bt709Limited,
        Self::Bt709Full,
    ];
}

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

/// A borrowed camera frame whose planes are known to lie inside its data.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    format: PixelFormat,
    color: ColorSpace,
    width: usize,
    height: usize,
    planes: Planes,
    data: &'a [u8],
}

impl<'a> Frame<'a> {
    /// Views `data` as a frame in V4L2's single-planar layout ([`Planes::single`]), colours as
    /// [`ColorSpace::default`]. The last row need not be padded to `stride` bytes; bytes after it are
    /// ignored.
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
        Self::with_planes(
            format,
            width,
            height,
            Planes::single(format, height, stride),
            data,
        )
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
        // A width beyond the limit is refused by `new`; clamping keeps the products in range until then.
        let (w, h) = (width.min(MAX_SIDE + 1), height.min(MAX_SIDE + 1));
        let planes = Planes {
            stride: format.row_bytes(w),
            chroma_offset: format.row_bytes(w) * h,
            chroma_stride: format.chroma_row_bytes(w),
        };
        Self::with_planes(format, width, height, planes, data)
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
        let mut expected = planes.stride.saturating_mul(height - 1).saturating_add(row);
        if format.chroma_planes() > 0 {
            let chroma_row = format.chroma_row_bytes(width);
            check_stride("chroma", planes.chroma_stride, chroma_row)?;
            let rows = format.chroma_planes() * height.div_ceil(2);
            let chroma_end = planes
                .chroma_stride
                .saturating_mul(rows - 1)
                .saturating_add(planes.chroma_offset)
                .saturating_add(chroma_row);
            expected = expected.max(chroma_end);
        }
        // Saturated sums fail here: no slice is `usize::MAX` bytes long.
        if data.len() < expected {
            return Err(FrameError::Length {
                found: data.len(),
                expected,
            });
        }
        Ok(Self {
            format,
            color: ColorSpace::default(),
            width,
            height,
            planes,
            data,
        })
    }

    /// The same frame with its samples read as `color`.
    #[must_use]
    pub const fn with_color(self, color: ColorSpace) -> Self {
        Self { color, ..self }
    }

    /// Memory layout.
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

    /// Bytes that [`copy_packed`](Self::copy_packed) writes.
    #[must_use]
    pub const fn packed_bytes(&self) -> usize {
        self.format.frame_bytes(self.width, self.height)
    }

    /// Copies the planes one after another, without padding between rows.
    ///
    /// # Panics
    /// If `out` is not [`packed_bytes`](Self::packed_bytes) long.
    pub fn copy_packed(&self, out: &mut [u8]) {
        assert_eq!(out.len(), self.packed_bytes());
        let luma = (0..self.height).map(|y| self.row(y));
        let chroma = (0..self.format.chroma_planes()).flat_map(|plane| {
            let rows = (0..self.height).step_by(2);
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
        &self.data[y * self.planes.stride..][..self.format.row_bytes(self.width)]
    }

    /// The chroma row of chroma plane `plane` that belongs to luma row `y`: `chroma_row_bytes(width)` bytes.
    #[inline]
    pub(super) fn chroma_row(&self, plane: usize, y: usize) -> &'a [u8] {
        let row = plane * self.height.div_ceil(2) + y / 2;
        let start = self.planes.chroma_offset + row * self.planes.chroma_stride;
        &self.data[start..][..self.format.chroma_row_bytes(self.width)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
