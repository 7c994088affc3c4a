//! The judge: the same preprocessing, written for reading. Whole images, one pass after another, allocating
//! freely.

use super::color::YuvToRgb;
use super::filter::{Axis, Interpolation, PRECISION_BITS, Window};
use super::format::PixelFormat;
use super::geometry::{Geometry, Span};
use super::view::Frame;

/// An RGB image: (height, width, 3), packed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// Pixels a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// R, G, B of each pixel.
    pub data: Vec<u8>,
}

impl Image {
    fn black(width: usize, height: usize) -> Self {
        Self {
            width,
            height,
            data: vec![0; 3 * width * height],
        }
    }

    fn pixel(&self, x: usize, y: usize) -> [u8; 3] {
        let at = 3 * (y * self.width + x);
        [self.data[at], self.data[at + 1], self.data[at + 2]]
    }

    fn set(&mut self, x: usize, y: usize, pixel: [u8; 3]) {
        let at = 3 * (y * self.width + x);
        self.data[at..at + 3].copy_from_slice(&pixel);
    }
}

/// Resizes and crops `frame`: the bytes that [`Preprocessor::preprocess`](super::Preprocessor::preprocess)
/// writes, (crop height, crop width, 3).
#[must_use]
pub fn preprocess(geometry: &Geometry, frame: &Frame<'_>) -> Vec<u8> {
    let (width, height) = geometry.resized(frame.width(), frame.height());
    let resized = resize(&to_rgb(frame), width, height, geometry.interpolation());
    center_crop(&resized, geometry.crop_width(), geometry.crop_height()).data
}

/// Every pixel of the frame as R, G, B.
#[must_use]
pub fn to_rgb(frame: &Frame<'_>) -> Image {
    let mut image = Image::black(frame.width(), frame.height());
    for y in 0..frame.height() {
        for x in 0..frame.width() {
            image.set(x, y, pixel(frame, x, y));
        }
    }
    image
}

fn pixel(frame: &Frame<'_>, x: usize, y: usize) -> [u8; 3] {
    let row = frame.row(y);
    let pair = x / 2;
    let yuv = |luma, cb, cr| YuvToRgb::of(frame.color()).rgb(luma, cb, cr);
    match frame.format() {
        PixelFormat::Rgb => [row[3 * x], row[3 * x + 1], row[3 * x + 2]],
        PixelFormat::Bgr => [row[3 * x + 2], row[3 * x + 1], row[3 * x]],
        PixelFormat::Grey => [row[x]; 3],
        PixelFormat::Yuyv => yuv(row[2 * x], row[4 * pair + 1], row[4 * pair + 3]),
        PixelFormat::Uyvy => yuv(row[2 * x + 1], row[4 * pair], row[4 * pair + 2]),
        PixelFormat::Nv12 => {
            let chroma = frame.chroma_row(0, y);
            yuv(row[x], chroma[2 * pair], chroma[2 * pair + 1])
        }
        PixelFormat::Nv21 => {
            let chroma = frame.chroma_row(0, y);
            yuv(row[x], chroma[2 * pair + 1], chroma[2 * pair])
        }
        PixelFormat::I420 => {
            let (cb, cr) = (frame.chroma_row(0, y), frame.chroma_row(1, y));
            yuv(row[x], cb[pair], cr[pair])
        }
    }
}

/// Pillow's `Image.resize` of an RGB image, bit for bit: horizontal, then vertical, 8 bits in between, a pass
/// that changes nothing skipped.
///
/// That is Pillow before version 13. Version 13 takes the vertical pass first where the height shrinks much more
/// than the width, which moves some samples by one.
#[must_use]
pub fn resize(image: &Image, width: usize, height: usize, interpolation: Interpolation) -> Image {
    let mut image = image.clone();
    if width != image.width {
        let axis = Axis::new(interpolation, image.width, width);
        let mut out = Image::black(width, image.height);
        for x in 0..width {
            let window = axis.window(x);
            let coefficients = coefficients(&window);
            for y in 0..image.height {
                let pixel = weigh(&coefficients, |i| image.pixel(window.start + i, y));
                out.set(x, y, pixel);
            }
        }
        image = out;
    }
    if height != image.height {
        let axis = Axis::new(interpolation, image.height, height);
        let mut out = Image::black(width, height);
        for y in 0..height {
            let window = axis.window(y);
            let coefficients = coefficients(&window);
            for x in 0..width {
                let pixel = weigh(&coefficients, |i| image.pixel(x, window.start + i));
                out.set(x, y, pixel);
            }
        }
        image = out;
    }
    image
}

fn coefficients(window: &Window) -> Vec<i32> {
    (0..window.len).map(|i| window.coefficient(i)).collect()
}

/// The weighted sum of source pixels, rounded half up and clamped.
fn weigh(coefficients: &[i32], source: impl Fn(usize) -> [u8; 3]) -> [u8; 3] {
    let mut sums = [1 << (PRECISION_BITS - 1); 3];
    for (i, coefficient) in coefficients.iter().enumerate() {
        for (sum, sample) in sums.iter_mut().zip(source(i)) {
            *sum += i32::from(sample) * coefficient;
        }
    }
    sums.map(|sum| (sum >> PRECISION_BITS).clamp(0, 255) as u8)
}

/// torchvision's `center_crop`: black around an image that is smaller than the crop.
#[must_use]
pub fn center_crop(image: &Image, width: usize, height: usize) -> Image {
    let columns = Span::center(image.width, width);
    let rows = Span::center(image.height, height);
    let mut out = Image::black(width, height);
    for y in 0..rows.count {
        for x in 0..columns.count {
            let pixel = image.pixel(columns.first + x, rows.first + y);
            out.set(columns.pad + x, rows.pad + y, pixel);
        }
    }
    out
}
