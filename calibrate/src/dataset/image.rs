//! A decoded image.

use mergevit_kernels::frame::PixelFormat;

/// One image, row by row without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Grey or RGB.
    pub format: PixelFormat,
    /// Pixels per row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// The pixels.
    pub bytes: Vec<u8>,
    /// Its class, if the set is labelled.
    pub label: Option<usize>,
}
