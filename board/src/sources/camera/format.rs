//! How the bytes of a driver's format are a frame.

use super::driver::Format;
use super::error::CameraError;
use crate::sources::encoding::Encoding;
use mergevit_kernels::frame::{ColorSpace, FrameLayout, MAX_SIDE, PixelFormat};

/// How a frame lies in a buffer, or for JPEG images, how it lies where it is decoded to.
pub(super) fn layout(format: &Format, encoding: Encoding) -> Result<FrameLayout, CameraError> {
    let sides = 1..=MAX_SIDE as u32;
    if !sides.contains(&format.width) || !sides.contains(&format.height) {
        return Err(CameraError::Size {
            width: format.width,
            height: format.height,
        });
    }
    let (width, height) = (format.width as usize, format.height as usize);
    let Encoding::Raw(pixels) = encoding else {
        return Ok(FrameLayout::packed(PixelFormat::Rgb, width, height)?);
    };
    // Some drivers leave the stride of rows without padding at zero. It counts for all planes, so it is the longest
    // row's: with an odd width, chroma's.
    let stride = match format.stride as usize {
        0 => pixels.row_bytes(width).max(pixels.chroma_row_bytes(width)),
        stride => stride,
    };
    let layout = FrameLayout::new(pixels, width, height, stride)?;
    Ok(layout.with_color(color(format)))
}

// Of linux/videodev2.h. Numbers that are not here mean what the default means.
const COLORSPACE_SMPTE240M: u32 = 2;
const COLORSPACE_REC709: u32 = 3;
const COLORSPACE_JPEG: u32 = 7;
const COLORSPACE_DCI_P3: u32 = 12;
const MATRIX_DEFAULT: u32 = 0;
const MATRIX_709: u32 = 2;
const MATRIX_XV709: u32 = 4;
const MATRIX_SMPTE240M: u32 = 8;
const QUANTIZATION_FULL: u32 = 1;
const QUANTIZATION_LIMITED: u32 = 2;

/// Matrix and range, with V4L2's defaults for what the driver leaves open: limited range for Y'CbCr, except
/// in JPEG.
fn color(format: &Format) -> ColorSpace {
    let full = match format.quantization {
        QUANTIZATION_FULL => true,
        QUANTIZATION_LIMITED => false,
        _ => format.colorspace == COLORSPACE_JPEG,
    };
    let hd = match format.matrix {
        MATRIX_DEFAULT => matches!(
            format.colorspace,
            COLORSPACE_SMPTE240M | COLORSPACE_REC709 | COLORSPACE_DCI_P3
        ),
        // Newer than 709, and nearer to it than to 601.
        matrix => matches!(matrix, MATRIX_709 | MATRIX_XV709 | MATRIX_SMPTE240M),
    };
    match (hd, full) {
        (true, true) => ColorSpace::Bt709Full,
        (true, false) => ColorSpace::Bt709Limited,
        (false, true) => ColorSpace::Bt601Full,
        (false, false) => ColorSpace::Bt601Limited,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_kernels::frame::Planes;

    const NV12: Encoding = Encoding::Raw(PixelFormat::Nv12);

    #[test]
    fn the_driver_decides_stride_and_colours() {
        let mut format = Format::new(*b"NV12", 641, 360);
        format.stride = 704;
        format.colorspace = COLORSPACE_REC709;
        let found = layout(&format, NV12).expect("a valid size");
        assert_eq!(found.planes(), Planes::single(PixelFormat::Nv12, 360, 704));
        assert_eq!(found.color(), ColorSpace::Bt709Limited);
        format.stride = 0;
        let found = layout(&format, NV12).expect("a valid size");
        assert_eq!(found.planes().stride, 642);
        let found = layout(&format, Encoding::Jpeg).expect("a valid size");
        assert_eq!(found.bytes(), 641 * 360 * 3);
        format.width = 0;
        assert!(layout(&format, NV12).is_err());
        format.width = MAX_SIDE as u32 + 1;
        assert!(layout(&format, Encoding::Jpeg).is_err());
    }

    #[test]
    fn colours_follow_v4l2() {
        const SMPTE170M: u32 = 1;
        const SRGB: u32 = 8;
        const MATRIX_601: u32 = 1;
        let color = |colorspace, matrix, quantization| {
            color(&Format {
                colorspace,
                matrix,
                quantization,
                ..Format::default()
            })
        };
        assert_eq!(color(SRGB, 0, 0), ColorSpace::Bt601Limited);
        assert_eq!(color(COLORSPACE_JPEG, 0, 0), ColorSpace::Bt601Full);
        let limited = QUANTIZATION_LIMITED;
        assert_eq!(color(COLORSPACE_JPEG, 0, limited), ColorSpace::Bt601Limited);
        let full = QUANTIZATION_FULL;
        assert_eq!(color(COLORSPACE_REC709, 0, full), ColorSpace::Bt709Full);
        assert_eq!(color(SMPTE170M, 0, full), ColorSpace::Bt601Full);
        // The matrix alone may be named, and contradict the primaries.
        assert_eq!(color(SRGB, MATRIX_709, 0), ColorSpace::Bt709Limited);
        assert_eq!(
            color(COLORSPACE_REC709, MATRIX_601, 0),
            ColorSpace::Bt601Limited
        );
    }

    #[test]
    fn unknown_colours_are_the_default() {
        let format = Format {
            colorspace: 99,
            quantization: 77,
            ..Format::new(*b"NV12", 64, 48)
        };
        let found = layout(&format, NV12).expect("a valid size");
        assert_eq!(found.color(), ColorSpace::Bt601Limited);
    }
}
