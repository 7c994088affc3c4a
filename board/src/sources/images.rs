//! PNG and JPEG files as untrusted input.

use image::{ImageReader, Limits};
use mergevit_kernels::frame::MAX_SIDE;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Most bytes that decoding may take: four times the largest frame's RGB, since a PNG may have four 16-bit
/// channels.
const MAX_DECODED: u64 = 4 * 3 * (MAX_SIDE * MAX_SIDE) as u64;

/// An image file that cannot be used.
#[derive(Debug, Error)]
pub(crate) enum ImageError {
    #[error("{}: cannot open: {source}", path.display())]
    Open { path: PathBuf, source: io::Error },
    #[error("{}: a folder, expected an image", path.display())]
    Folder { path: PathBuf },
    #[error("{}: not a readable PNG or JPEG: {source}", path.display())]
    Decode {
        path: PathBuf,
        source: image::ImageError,
    },
    #[error("{}: {width}x{height} pixels, expected sides of 1 to {MAX_SIDE}", path.display())]
    Size {
        path: PathBuf,
        width: u32,
        height: u32,
    },
}

fn reader(path: &Path) -> Result<ImageReader<BufReader<File>>, ImageError> {
    let open_error = |source| ImageError::Open {
        path: path.into(),
        source,
    };
    let file = File::open(path).map_err(open_error)?;
    if file.metadata().map_err(open_error)?.is_dir() {
        return Err(ImageError::Folder { path: path.into() });
    }
    // The content decides, not the file's name.
    let mut reader = ImageReader::new(BufReader::new(file))
        .with_guessed_format()
        .map_err(open_error)?;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE as u32);
    limits.max_image_height = Some(MAX_SIDE as u32);
    limits.max_alloc = Some(MAX_DECODED);
    reader.limits(limits);
    Ok(reader)
}

fn check_size(path: &Path, width: u32, height: u32) -> Result<(usize, usize), ImageError> {
    let allowed = 1..=MAX_SIDE as u32;
    if allowed.contains(&width) && allowed.contains(&height) {
        Ok((width as usize, height as usize))
    } else {
        Err(ImageError::Size {
            path: path.into(),
            width,
            height,
        })
    }
}

/// Width and height in pixels, from the file's header alone.
pub(crate) fn dimensions(path: &Path) -> Result<(usize, usize), ImageError> {
    let (width, height) = reader(path)?
        .into_dimensions()
        .map_err(|source| ImageError::Decode {
            path: path.into(),
            source,
        })?;
    check_size(path, width, height)
}

/// An image in memory: R, G, B, 8 bits each. An alpha channel is dropped.
#[derive(Debug)]
pub(crate) struct Rgb {
    /// Pixels a row.
    pub(crate) width: usize,
    /// Rows.
    pub(crate) height: usize,
    /// (height, width, 3)
    pub(crate) pixels: Vec<u8>,
}

/// Reads a whole image.
pub(crate) fn decode(path: &Path) -> Result<Rgb, ImageError> {
    let image = reader(path)?
        .decode()
        .map_err(|source| ImageError::Decode {
            path: path.into(),
            source,
        })?;
    let (width, height) = check_size(path, image.width(), image.height())?;
    Ok(Rgb {
        width,
        height,
        pixels: image.into_rgb8().into_raw(),
    })
}
