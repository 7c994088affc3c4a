//! Which files are images: by name for a folder, by content for a decoder.

use super::error::ImageDefect;
use ::image::ImageFormat;
use std::path::Path;

/// Endings of the file names that count as images in a folder, in lower case.
pub const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "bmp"];

const CONVERT: &str = "convert it, e.g. with ImageMagick: magick OLD NEW.png";

/// Content that is recognized in order to be refused by name.
const REFUSED: [(&[u8], &str, &str); 14] = [
    (b"GIF8", "a GIF", CONVERT),
    (b"II*\0", "a TIFF", CONVERT),
    (b"MM\0*", "a TIFF", CONVERT),
    (b"\xff\x0a", "a JPEG XL", CONVERT),
    (b"\0\0\0\x0cJXL ", "a JPEG XL", CONVERT),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000", CONVERT),
    (b"P5", "a PGM", CONVERT),
    (b"P6", "a PPM", CONVERT),
    (b"\0\0\x01\0", "an icon", CONVERT),
    (b"%PDF", "a PDF", CONVERT),
    (b"\x1f\x8b", "a gzip file", "decompress it"),
    (b"PK\x03\x04", "a zip archive", "unpack it"),
    (b"<", "an XML or HTML file", "fetch the image itself"),
    (
        b"version https://git-lfs",
        "a pointer of Git LFS",
        "fetch the file itself: git lfs pull",
    ),
];

/// Brands of the files whose bytes 4 to 8 are `ftyp` (ISO/IEC 14496-12, 23008-12).
const BRANDS: [(&[u8], &str); 7] = [
    (b"avif", "an AVIF"),
    (b"avis", "an AVIF"),
    (b"heic", "a HEIC"),
    (b"heix", "a HEIC"),
    (b"hevc", "a HEIC"),
    (b"mif1", "a HEIF"),
    (b"msf1", "a HEIF"),
];

/// Whether a file's name ends like an image's, in either case.
pub fn has_known_extension(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|found| {
            EXTENSIONS
                .iter()
                .any(|known| known.eq_ignore_ascii_case(found))
        })
}

/// The format of an image, from its first bytes.
///
/// # Errors
/// [`ImageDefect::Empty`], [`ImageDefect::Format`] for what can be named, else [`ImageDefect::Unknown`].
pub(super) fn recognize(bytes: &[u8]) -> Result<ImageFormat, ImageDefect> {
    let is_webp = bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP");
    match bytes {
        [] => Err(ImageDefect::Empty),
        [0xff, 0xd8, 0xff, ..] => Ok(ImageFormat::Jpeg),
        [0x89, b'P', b'N', b'G', ..] => Ok(ImageFormat::Png),
        [b'B', b'M', ..] => Ok(ImageFormat::Bmp),
        _ if is_webp => Ok(ImageFormat::WebP),
        _ => Err(refused(bytes)),
    }
}

fn refused(bytes: &[u8]) -> ImageDefect {
    if bytes.get(4..8) == Some(b"ftyp") {
        let brand = bytes.get(8..12).unwrap_or_default();
        let known = BRANDS.iter().find(|(name, _)| brand.starts_with(name));
        return ImageDefect::Format {
            found: known.map_or("a video", |(_, found)| found),
            advice: CONVERT,
        };
    }
    let known = REFUSED.iter().find(|(start, ..)| bytes.starts_with(start));
    known.map_or(ImageDefect::Unknown, |&(_, found, advice)| {
        ImageDefect::Format { found, advice }
    })
}
