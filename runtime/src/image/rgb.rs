//! A decoded image.

use mergevit_kernels::frame::{Frame, PixelFormat};

/// An image in memory: R, G, B, 8 bits each, row by row without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Rgb {
    /// `pixels` are (height, width, 3); both sides are within a frame's limits.
    pub(super) fn new(width: usize, height: usize, pixels: Vec<u8>) -> Self {
        Self {
            width,
            height,
            pixels,
        }
    }

    /// Pixels a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// (height, width, 3)
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// (height, width, 3)
    pub fn into_pixels(self) -> Vec<u8> {
        self.pixels
    }

    /// The image as a frame that an engine classifies.
    pub fn frame(&self) -> Frame<'_> {
        Frame::packed(PixelFormat::Rgb, self.width, self.height, &self.pixels)
            .expect("a decoded image has a frame's size and all its pixels")
    }
}
