//! Resize and centre crop, as the checkpoint was evaluated with.

use thiserror::Error;

use super::filter::Interpolation;
use super::layout::MAX_SIDE;

/// The size to which a frame is resized before the crop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Resize {
    /// The shorter side becomes this long and the other `int(n * long / short)`, as torchvision's
    /// `Resize(n)` and timm's evaluation transform do.
    ShortestSide(usize),
    /// Both sides are given; the aspect ratio is not kept (transformers' image processors).
    Exact {
        /// Pixels a row.
        width: usize,
        /// Rows.
        height: usize,
    },
}

/// What turns a frame into the network's input: resize, then a centre crop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Geometry {
    resize: Resize,
    crop_width: usize,
    crop_height: usize,
    interpolation: Interpolation,
}

/// Why a geometry is impossible.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("geometry: {field} of {found} pixels, expected 1 to {MAX_SIDE}")]
#[non_exhaustive]
pub struct GeometryError {
    /// Which length: `"shortest side"`, `"resized width"`, `"resized height"`, `"crop width"` or
    /// `"crop height"`.
    pub field: &'static str,
    /// The length given, in pixels.
    pub found: usize,
}

impl Geometry {
    /// Resizes by `resize`, then takes `crop`, (width, height) in pixels, from the middle.
    ///
    /// A crop larger than the resized frame is padded with black (zeros), as torchvision's `center_crop`
    /// pads.
    ///
    /// # Errors
    /// [`GeometryError`] for a length of zero or beyond [`MAX_SIDE`].
    pub fn new(
        resize: Resize,
        crop: (usize, usize),
        interpolation: Interpolation,
    ) -> Result<Self, GeometryError> {
        let check = |field, found| {
            if (1..=MAX_SIDE).contains(&found) {
                Ok(())
            } else {
                Err(GeometryError { field, found })
            }
        };
        match resize {
            Resize::ShortestSide(side) => check("shortest side", side)?,
            Resize::Exact { width, height } => {
                check("resized width", width)?;
                check("resized height", height)?;
            }
        }
        check("crop width", crop.0)?;
        check("crop height", crop.1)?;
        Ok(Self {
            resize,
            crop_width: crop.0,
            crop_height: crop.1,
            interpolation,
        })
    }

    /// Resize rule.
    #[must_use]
    pub const fn resize(&self) -> Resize {
        self.resize
    }

    /// Pixels a row of the output.
    #[must_use]
    pub const fn crop_width(&self) -> usize {
        self.crop_width
    }

    /// Rows of the output.
    #[must_use]
    pub const fn crop_height(&self) -> usize {
        self.crop_height
    }

    /// Resampling filter.
    #[must_use]
    pub const fn interpolation(&self) -> Interpolation {
        self.interpolation
    }

    /// Bytes of the output: (crop height, crop width, 3).
    #[must_use]
    pub const fn output_len(&self) -> usize {
        3 * self.crop_width * self.crop_height
    }

    /// (width, height) of a frame of that size after the resize.
    ///
    /// torchvision's `int(n * long / short)` divides as floats; the quotient of such small integers, if not
    /// whole, is too far from the next integer to be rounded up to it, so integer division agrees.
    #[must_use]
    pub const fn resized(&self, width: usize, height: usize) -> (usize, usize) {
        match self.resize {
            Resize::ShortestSide(side) if width <= height => (side, side * height / width),
            Resize::ShortestSide(side) => (side * width / height, side),
            Resize::Exact { width, height } => (width, height),
        }
    }

    /// Most rows that one output row reads, over all frames of at most `max_width` × `max_height`.
    pub(crate) fn max_row_taps(&self, max_width: usize, max_height: usize) -> usize {
        let scale = match self.resize {
            // The long side's scale exceeds the short side's by the floor in its length: at most (n + 1) / n.
            Resize::ShortestSide(side) => {
                let n = side as f64;
                max_width.min(max_height) as f64 / n * ((n + 1.0) / n)
            }
            Resize::Exact { height, .. } => max_height as f64 / height as f64,
        };
        let width = 2.0 * self.interpolation.radius() as f64 * scale.max(1.0);
        // One more for the fractions at both ends, one for the rounding of `width`.
        (width as usize + 2).min(max_height)
    }
}

/// Where the crop meets the resized image along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    /// First sample of the resized image that is kept.
    pub(crate) first: usize,
    /// Samples kept; at least 1.
    pub(crate) count: usize,
    /// Zeros before them in the output.
    pub(crate) pad: usize,
}

impl Span {
    /// torchvision's `center_crop`: pads `(crop - resized) // 2` before, or drops
    /// `round((resized - crop) / 2)`, half to even.
    pub(crate) const fn center(resized: usize, crop: usize) -> Self {
        if crop > resized {
            return Self {
                first: 0,
                count: resized,
                pad: (crop - resized) / 2,
            };
        }
        let excess = resized - crop;
        let half = excess / 2;
        Self {
            first: half + if excess % 2 == 1 { half % 2 } else { 0 },
            count: crop,
            pad: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn geometry(resize: Resize) -> Geometry {
        Geometry::new(resize, (224, 224), Interpolation::Bicubic).unwrap()
    }

    #[test]
    fn shortest_side_truncates() {
        let g = geometry(Resize::ShortestSide(256));
        assert_eq!(g.resized(640, 480), (341, 256));
        assert_eq!(g.resized(480, 640), (256, 341));
        assert_eq!(g.resized(1280, 720), (455, 256));
        assert_eq!(g.resized(7, 7), (256, 256));
        assert_eq!(g.resized(8192, 1), (256 * 8192, 256));
    }

    #[test]
    fn crop_offset_rounds_half_to_even() {
        let first = |excess: usize| Span::center(10 + excess, 10).first;
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 6, 7].map(first),
            [0, 0, 1, 2, 2, 2, 3, 4]
        );
        assert_eq!(
            Span::center(7, 10),
            Span {
                first: 0,
                count: 7,
                pad: 1
            }
        );
    }

    #[test]
    fn names_the_bad_length() {
        let error = Geometry::new(
            Resize::Exact {
                width: 4,
                height: 0,
            },
            (4, 4),
            Interpolation::Bilinear,
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "geometry: resized height of 0 pixels, expected 1 to 8192"
        );
        let error = Geometry::new(
            Resize::ShortestSide(256),
            (224, MAX_SIDE + 1),
            Interpolation::Bilinear,
        )
        .unwrap_err();
        assert_eq!(error.field, "crop height");
    }
}
