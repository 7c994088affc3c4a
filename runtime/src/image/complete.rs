//! Whether a file holds its whole image, where a decoder would fill what is missing and report nothing.

use ::image::ImageFormat;

/// Whether the image in `bytes` ends within them. Formats whose decoder finds out count as complete.
pub(super) fn is_complete(bytes: &[u8], format: ImageFormat) -> bool {
    match format {
        ImageFormat::Jpeg => jpeg_ends(bytes),
        ImageFormat::WebP => riff_ends(bytes),
        _ => true,
    }
}

const RST0: u8 = 0xd0;
const RST7: u8 = 0xd7;
const SOI: u8 = 0xd8;
const EOI: u8 = 0xd9;
const TEM: u8 = 0x01;

/// Whether the end-of-image marker of the first image is there (ITU-T T.81, B.1.1).
///
/// Segments are skipped by their length, so a thumbnail's marker within EXIF does not count; nor does what follows
/// the image. Entropy-coded data cannot hold a marker but RSTn: it writes a zero after every 0xff.
fn jpeg_ends(bytes: &[u8]) -> bool {
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == 0xff) {
        rest = &rest[at + 1..];
        match rest {
            [EOI, ..] => return true,
            // A stuffed 0xff, or markers without a segment. Of fill bytes, the next round sees the last.
            [0x00 | TEM | RST0..=RST7 | SOI, ..] => rest = &rest[1..],
            [0xff, ..] => {}
            [_, high, low, ..] => {
                let length = usize::from(u16::from_be_bytes([*high, *low]));
                rest = rest.get(1 + length..).unwrap_or_default();
            }
            _ => return false,
        }
    }
    false
}

/// Whether there are as many bytes as the container says (RFC 9649, 2.4); one byte of padding may be missing.
fn riff_ends(bytes: &[u8]) -> bool {
    let size = bytes.get(4..8).and_then(|size| size.as_array::<4>());
    size.is_some_and(|size| {
        let end = u64::from(u32::from_le_bytes(*size)) + 8;
        bytes.len() as u64 + 1 >= end
    })
}
