//! Why an image cannot be used.

use super::limits::MAX_FILE;
use mergevit_kernels::frame::MAX_SIDE;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The formats in words.
const EXPECTED: &str = "PNG, JPEG, WebP or BMP";

/// An image file that cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
#[error("{}: {defect}", path.display())]
pub struct ImageError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    #[source]
    pub defect: ImageDefect,
}

impl ImageError {
    /// Names the file that a defect is in.
    pub(super) fn of(path: &Path) -> impl Fn(ImageDefect) -> Self {
        move |defect| Self {
            path: path.into(),
            defect,
        }
    }
}

/// What is wrong with an image.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ImageDefect {
    /// The file cannot be opened.
    #[error("cannot open: {0}")]
    Open(#[source] io::Error),
    /// Reading failed.
    #[error("cannot read: {0}")]
    Read(#[source] io::Error),
    /// It is a folder, a pipe, a socket or a device.
    #[error("{0}, expected an image file")]
    Kind(&'static str),
    /// The file is longer than any image.
    #[error("more than {} MiB, expected an image of at most {MAX_SIDE} pixels a side", MAX_FILE >> 20)]
    Large,
    /// It has no bytes.
    #[error("an empty file, expected {EXPECTED}")]
    Empty,
    /// It is something else, and what to do about it.
    #[error("{found}, expected {EXPECTED}; {advice}")]
    Format {
        /// What it is.
        found: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// Nothing that is known.
    #[error("not an image, expected {EXPECTED}")]
    Unknown,
    /// The file ends within the image.
    #[error("truncated: it ends before the image does")]
    Truncated,
    /// The image's sides.
    #[error("{width}x{height} pixels, expected sides of 1 to {MAX_SIDE}")]
    Size {
        /// Pixels a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// The decoder's own words.
    #[error("damaged or unsupported: {0}")]
    Decode(#[source] ::image::ImageError),
}

impl ImageDefect {
    /// Tells a file that ends too early from one that is damaged.
    pub(super) fn decode(error: ::image::ImageError) -> Self {
        let ends = |io: &io::Error| io.kind() == io::ErrorKind::UnexpectedEof;
        match &error {
            ::image::ImageError::IoError(io) if ends(io) => Self::Truncated,
            _ => Self::Decode(error),
        }
    }
}
