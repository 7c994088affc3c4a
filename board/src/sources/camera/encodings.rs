//! The formats of V4L2 that are understood.

use super::driver::{Code, Interval};
use crate::sources::encoding::Encoding;
use mergevit_kernels::frame::PixelFormat;

/// Encodings by their names in V4L2, best first: NV12 is the smallest with colour, JPEG has to be decoded, and grey
/// says the least.
pub(super) const ENCODINGS: [(&Code, Encoding); 10] = [
    (b"NV12", Encoding::Raw(PixelFormat::Nv12)),
    (b"YUYV", Encoding::Raw(PixelFormat::Yuyv)),
    (b"UYVY", Encoding::Raw(PixelFormat::Uyvy)),
    (b"NV21", Encoding::Raw(PixelFormat::Nv21)),
    (b"YU12", Encoding::Raw(PixelFormat::I420)),
    (b"RGB3", Encoding::Raw(PixelFormat::Rgb)),
    (b"BGR3", Encoding::Raw(PixelFormat::Bgr)),
    (b"MJPG", Encoding::Jpeg),
    (b"JPEG", Encoding::Jpeg),
    (b"GREY", Encoding::Raw(PixelFormat::Grey)),
];

/// What a camera can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mode {
    pub(super) code: Code,
    pub(super) encoding: Encoding,
    /// Width and height in pixels.
    pub(super) size: (u32, u32),
    /// Unknown where the driver does not list intervals.
    pub(super) interval: Option<Interval>,
}

/// What the formats of a V4L2 code are here.
pub(super) fn encoding(code: Code) -> Option<Encoding> {
    let known = ENCODINGS.iter().find(|(name, _)| **name == code);
    known.map(|(_, encoding)| *encoding)
}
