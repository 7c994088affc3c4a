//! Which format a camera delivers, and how its bytes are a frame.

use super::error::{CameraError, io_error};
use mergevit_kernels::frame::{ColorSpace, FrameLayout, MAX_SIDE, PixelFormat};
use v4l::format::{Colorspace, Quantization};
use v4l::video::Capture as _;
use v4l::{Device, Format, FourCC};

/// Formats that need no decoder, best first: NV12 is the smallest with colour.
const PREFERENCE: [(&[u8; 4], PixelFormat); 8] = [
    (b"NV12", PixelFormat::Nv12),
    (b"YUYV", PixelFormat::Yuyv),
    (b"UYVY", PixelFormat::Uyvy),
    (b"NV21", PixelFormat::Nv21),
    (b"YU12", PixelFormat::I420),
    (b"RGB3", PixelFormat::Rgb),
    (b"BGR3", PixelFormat::Bgr),
    (b"GREY", PixelFormat::Grey),
];

/// Sets the first preferred format that the device offers, at `size` or else at its current size.
pub(super) fn negotiate(
    camera: &Device,
    size: Option<(usize, usize)>,
) -> Result<(Format, PixelFormat), CameraError> {
    let current = camera.format().map_err(io_error("ask for the format of"))?;
    let offered = camera
        .enum_formats()
        .map_err(io_error("list the formats of"))?;
    let (width, height) = match size {
        Some((width, height)) => (width as u32, height as u32),
        None => (current.width, current.height),
    };
    for (code, pixels) in PREFERENCE {
        let code = FourCC::new(code);
        if offered.iter().all(|format| format.fourcc != code) {
            continue;
        }
        // A format from scratch: one that `format` returned would ask for its old stride again.
        let wanted = Format::new(width, height, code);
        let found = camera
            .set_format(&wanted)
            .map_err(io_error("set the format of"))?;
        if found.fourcc != code || (found.width, found.height) != (width, height) {
            return Err(CameraError::Refused {
                found: describe(&found),
                expected: describe(&wanted),
            });
        }
        return Ok((found, pixels));
    }
    let name = |code: &[u8; 4]| code.escape_ascii().to_string();
    Err(CameraError::Formats {
        offered: offered
            .iter()
            .map(|format| name(&format.fourcc.repr))
            .collect(),
        expected: PREFERENCE.iter().map(|(code, _)| name(code)).collect(),
    })
}

fn describe(format: &Format) -> String {
    let code = format.fourcc.repr.escape_ascii();
    format!("{code} {}x{}", format.width, format.height)
}

pub(super) fn layout(format: &Format, pixels: PixelFormat) -> Result<FrameLayout, CameraError> {
    let sides = 1..=MAX_SIDE as u32;
    if !sides.contains(&format.width) || !sides.contains(&format.height) {
        return Err(CameraError::Size {
            width: format.width,
            height: format.height,
        });
    }
    let (width, height) = (format.width as usize, format.height as usize);
    // Some drivers leave the stride of rows without padding at zero. It counts for all planes, so it is the longest
    // row's: with an odd width, chroma's.
    let stride = match format.stride as usize {
        0 => pixels.row_bytes(width).max(pixels.chroma_row_bytes(width)),
        stride => stride,
    };
    let layout = FrameLayout::new(pixels, width, height, stride)?;
    Ok(layout.with_color(color(format.colorspace, format.quantization)))
}

/// Matrix and range, with V4L2's defaults for what the driver leaves open: limited range for Y'CbCr, except
/// in JPEG.
fn color(space: Colorspace, quantization: Quantization) -> ColorSpace {
    let full = match quantization {
        Quantization::FullRange => true,
        Quantization::LimitedRange => false,
        Quantization::Default => matches!(space, Colorspace::JPEG),
    };
    match (space, full) {
        (Colorspace::Rec709 | Colorspace::SMPTE240M | Colorspace::DCIP3, true) => {
            ColorSpace::Bt709Full
        }
        (Colorspace::Rec709 | Colorspace::SMPTE240M | Colorspace::DCIP3, false) => {
            ColorSpace::Bt709Limited
        }
        (_, true) => ColorSpace::Bt601Full,
        (_, false) => ColorSpace::Bt601Limited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_kernels::frame::Planes;

    #[test]
    fn the_driver_decides_stride_and_colours() {
        let mut format = Format::new(641, 360, FourCC::new(b"NV12"));
        format.stride = 704;
        format.colorspace = Colorspace::Rec709;
        let found = layout(&format, PixelFormat::Nv12).expect("a valid size");
        assert_eq!(found.planes(), Planes::single(PixelFormat::Nv12, 360, 704));
        assert_eq!(found.color(), ColorSpace::Bt709Limited);
        format.stride = 0;
        let found = layout(&format, PixelFormat::Nv12).expect("a valid size");
        assert_eq!(found.planes().stride, 642);
        format.width = 0;
        assert!(layout(&format, PixelFormat::Nv12).is_err());
    }

    #[test]
    fn colours_follow_v4l2() {
        use Quantization::{Default, FullRange, LimitedRange};
        assert_eq!(color(Colorspace::SRGB, Default), ColorSpace::Bt601Limited);
        assert_eq!(color(Colorspace::JPEG, Default), ColorSpace::Bt601Full);
        assert_eq!(
            color(Colorspace::JPEG, LimitedRange),
            ColorSpace::Bt601Limited
        );
        assert_eq!(color(Colorspace::Rec709, FullRange), ColorSpace::Bt709Full);
        assert_eq!(
            color(Colorspace::SMPTE170M, FullRange),
            ColorSpace::Bt601Full
        );
    }
}
