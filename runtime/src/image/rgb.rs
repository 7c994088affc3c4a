//! A decoded image.

use ::image::codecs::png::PngEncoder;
use ::image::{ExtendedColorType, ImageEncoder};
use mergevit_kernels::frame::{Frame, MAX_SIDE, PixelFormat};

/// An image in memory: R, G, B, 8 bits each, row by row without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

impl Rgb {
    /// `pixels` are (height, width, 3); both sides are above 0 and within a frame's limits.
    pub(super) fn new(width: usize, height: usize, pixels: Vec<u8>) -> Self {
        Self {
            width,
            height,
            pixels,
        }
    }

    /// An image of `pixels`, (height, width, 3); none if they are not as many, or if a side is 0 or more than
    /// [`MAX_SIDE`].
    pub fn from_pixels(width: usize, height: usize, pixels: Vec<u8>) -> Option<Self> {
        let sides = 1..=MAX_SIDE;
        let is_whole =
            sides.contains(&width) && sides.contains(&height) && pixels.len() == 3 * width * height;
        is_whole.then(|| Self::new(width, height, pixels))
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

    /// The image as a PNG file, without loss.
    pub fn to_png(&self) -> Vec<u8> {
        let mut png = Vec::new();
        let (width, height) = (self.width as u32, self.height as u32);
        PngEncoder::new(&mut png)
            .write_image(&self.pixels, width, height, ExtendedColorType::Rgb8)
            .expect("memory can be written, and the pixels are as many as the sides say");
        png
    }

    /// The image as a frame that an engine classifies.
    pub fn frame(&self) -> Frame<'_> {
        Frame::packed(PixelFormat::Rgb, self.width, self.height, &self.pixels)
            .expect("a decoded image has a frame's size and all its pixels")
    }
}
