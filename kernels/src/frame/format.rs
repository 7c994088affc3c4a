//! What the bytes of a frame stand for: pixel formats and colour spaces.

/// Memory layout of a frame's samples, 8 bits each. Names are V4L2's.
///
/// Subsampled formats round their chroma size up: a frame of odd width or height has a last chroma sample
/// that covers one column or row (and, for [`Yuyv`](Self::Yuyv) and [`Uyvy`](Self::Uyvy), a last group of
/// four bytes whose second luma sample is ignored).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
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
    /// The sides are not checked here: use it for sides of at most [`MAX_SIDE`](super::MAX_SIDE).
    #[must_use]
    pub const fn frame_bytes(self, width: usize, height: usize) -> usize {
        let chroma_rows = self.chroma_planes() * height.div_ceil(2);
        self.row_bytes(width) * height + self.chroma_row_bytes(width) * chroma_rows
    }

    /// Number of planes beside the first.
    pub(super) const fn chroma_planes(self) -> usize {
        match self {
            Self::Rgb | Self::Bgr | Self::Grey | Self::Yuyv | Self::Uyvy => 0,
            Self::Nv12 | Self::Nv21 => 1,
            Self::I420 => 2,
        }
    }
}

/// How luma and chroma samples stand for R, G, B; ignored for RGB, BGR and grey frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
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
