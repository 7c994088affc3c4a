//! Image files as frames: PNG, JPEG, WebP and BMP, as untrusted input; and [pictures](merged_tokens) of what merging
//! does. Needs the feature `image`.
//!
//! ```
//! use mergevit_runtime::{Engine, image};
//!
//! let mut engine = Engine::load("../board/assets/garments.mvit")?;
//! let picture = image::decode("../board/assets/pullover.png")?;
//! println!("{}", engine.classify(&[picture.frame()])?.best(0)); // pullover 90.1 %
//! # assert_eq!(engine.classify(&[picture.frame()])?.best(0).label, Some("pullover"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What becomes of a file's pixels:
//!
//! - the content decides the format, not the file's name;
//! - the image is turned upright as its EXIF orientation says, so [`dimensions`] and [`decode`] mean the image as
//!   people see it;
//! - grey, palettes, 16 bits a channel, CMYK and YCCK become RGB of 8 bits; an alpha channel is dropped, whatever it
//!   hides shows; colour profiles are not applied;
//! - of an animation, the first frame counts.
//!
//! A file that ends too early is refused, even where a decoder would fill the rest with grey. Bytes after the image
//! are not looked at: phones append videos and depth maps.

mod complete;
mod error;
mod file;
mod format;
mod limits;
mod merged;
mod rgb;

pub use error::{ImageDefect, ImageError};
pub use format::{EXTENSIONS, has_known_extension};
pub use limits::MAX_FILE;
pub use merged::merged_tokens;
pub use rgb::Rgb;

use ::image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use limits::MAX_DECODED;
use mergevit_kernels::frame::MAX_SIDE;
use std::fs::File;
use std::io::{BufRead, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

/// How much of a JPEG holds its headers, nearly always. `image`'s decoder reads what it is given to the end.
const JPEG_HEADERS: u64 = 1 << 18;

/// Reads an image file.
///
/// # Errors
/// [`ImageError`] names the file. What is not a regular file, such as a pipe or a device, is refused unopened.
pub fn decode(path: impl AsRef<Path>) -> Result<Rgb, ImageError> {
    let path = path.as_ref();
    let file = file::open(path).map_err(ImageError::of(path))?;
    decode_reader(file).map_err(ImageError::of(path))
}

/// Reads an image to the end of `reader`, of which at most [`MAX_FILE`] bytes: for standard input and sockets.
///
/// # Errors
/// As [`decode_bytes`], and [`ImageDefect::Read`].
pub fn decode_reader(reader: impl Read) -> Result<Rgb, ImageDefect> {
    let mut bytes = Vec::new();
    reader
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(ImageDefect::Read)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(ImageDefect::Large);
    }
    decode_bytes(&bytes)
}

/// Decodes an image file's content.
///
/// # Errors
/// [`ImageDefect`] for content that is no image, incomplete, of an unsupported format, or too large.
pub fn decode_bytes(bytes: &[u8]) -> Result<Rgb, ImageDefect> {
    let format = format::recognize(bytes)?;
    if !complete::is_complete(bytes, format) {
        return Err(ImageDefect::Truncated);
    }
    let mut decoder = decoder(Cursor::new(bytes), format)?;
    let orientation = decoder.orientation().map_err(ImageDefect::decode)?;
    let decoded = DynamicImage::from_decoder(decoder).map_err(ImageDefect::decode)?;
    // First to 8 bits, which turns less memory.
    let mut upright = DynamicImage::ImageRgb8(decoded.into_rgb8());
    upright.apply_orientation(orientation);
    let image = upright.into_rgb8();
    let (width, height) = (image.width() as usize, image.height() as usize);
    Ok(Rgb::new(width, height, image.into_raw()))
}

/// Width and height in pixels of an upright image, from the file's headers alone. The pixels may still turn out
/// damaged.
///
/// # Errors
/// As [`decode`].
pub fn dimensions(path: impl AsRef<Path>) -> Result<(usize, usize), ImageError> {
    let path = path.as_ref();
    file::open(path)
        .and_then(read_dimensions)
        .map_err(ImageError::of(path))
}

fn read_dimensions(mut file: File) -> Result<(usize, usize), ImageDefect> {
    let mut start = Vec::new();
    (&mut file)
        .take(JPEG_HEADERS)
        .read_to_end(&mut start)
        .map_err(ImageDefect::Read)?;
    let format = format::recognize(&start)?;
    if format == ImageFormat::Jpeg
        && let Ok(found) = upright_dimensions(Cursor::new(start), format)
    {
        return Ok(found);
    }
    file.seek(SeekFrom::Start(0)).map_err(ImageDefect::Read)?;
    upright_dimensions(BufReader::new(file), format)
}

fn upright_dimensions(
    reader: impl BufRead + Seek,
    format: ImageFormat,
) -> Result<(usize, usize), ImageDefect> {
    let mut decoder = decoder(reader, format)?;
    let orientation = decoder.orientation().map_err(ImageDefect::decode)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    // EXIF's orientations 5 to 8 exchange rows and columns.
    if orientation.to_exif() >= 5 {
        Ok((height, width))
    } else {
        Ok((width, height))
    }
}

/// Reads the headers, and refuses an image whose sides exceed a frame's.
fn decoder<'a>(
    reader: impl BufRead + Seek + 'a,
    format: ImageFormat,
) -> Result<impl ImageDecoder + 'a, ImageDefect> {
    let mut reader = ImageReader::with_format(reader, format);
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(ImageDefect::decode)?;
    let (width, height) = decoder.dimensions();
    let allowed = 1..=MAX_SIDE as u32;
    if allowed.contains(&width) && allowed.contains(&height) {
        Ok(decoder)
    } else {
        Err(ImageDefect::Size { width, height })
    }
}
