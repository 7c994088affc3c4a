//! Which files are images: by name for a folder, by content for a decoder.

use super::error::ImageDefect;
use crate::foreign::{self, Kind};
use ::image::ImageFormat;
use std::path::Path;

/// Endings of the file names that count as images in a folder, in lower case.
pub const EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "bmp"];

const CONVERT: &str = "convert it, e.g. with ImageMagick: magick OLD NEW.png";
const EXTRACT: &str = "take frames out of it, e.g.: ffmpeg -i VIDEO FRAME%05d.png";
const UNPACK: &str = "unpack it";
const CHOOSE: &str = "choose an image";

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
    let Some(foreign) = foreign::recognize(bytes) else {
        return ImageDefect::Unknown;
    };
    let advice = match foreign.kind {
        Kind::Picture => CONVERT,
        Kind::Video => EXTRACT,
        Kind::Zip => UNPACK,
        _ => CHOOSE,
    };
    ImageDefect::Format {
        found: foreign.name,
        advice: foreign.advice(advice),
    }
}
