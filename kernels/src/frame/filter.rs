//! Pillow's resampling coefficients (`src/libImaging/Resample.c`, `precompute_coeffs` and
//! `normalize_coeffs_8bpc`), operation for operation in f64.
//!
//! Pillow's own results agree on every machine whose C compiler does not contract `a * b + c` (x86-64);
//! here nothing is ever contracted.

/// Fractional bits of a coefficient: 32 bits less 8 for the sample and 2 for overshoot.
pub(super) const PRECISION_BITS: u32 = 32 - 8 - 2;

/// The resampling filter, stretched by the scale when an image shrinks (antialiasing).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Interpolation {
    /// Triangle of radius 1.
    Bilinear,
    /// Keys' cubic with a = −0.5, radius 2.
    Bicubic,
}

impl Interpolation {
    /// Half the filter's width at scale 1, in pixels.
    pub(crate) const fn radius(self) -> usize {
        match self {
            Self::Bilinear => 1,
            Self::Bicubic => 2,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = if x < 0.0 { -x } else { x };
        match self {
            Self::Bilinear if x < 1.0 => 1.0 - x,
            Self::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// Resampling of one axis from `input` to `output` samples.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Axis {
    interpolation: Interpolation,
    input: usize,
    scale: f64,
    filter_scale: f64,
    support: f64,
}

/// The source samples that one output sample reads, and their weights before normalization.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    axis: Axis,
    center: f64,
    sum: f64,
    /// First source sample.
    pub(crate) start: usize,
    /// Number of source samples, at least 1.
    pub(crate) len: usize,
}

impl Axis {
    pub(crate) fn new(interpolation: Interpolation, input: usize, output: usize) -> Self {
        let scale = input as f64 / output as f64;
        let filter_scale = if scale < 1.0 { 1.0 } else { scale };
        Self {
            interpolation,
            input,
            scale,
            filter_scale,
            support: interpolation.radius() as f64 * filter_scale,
        }
    }

    /// Number of source samples.
    pub(crate) fn input(&self) -> usize {
        self.input
    }

    /// The window of output sample `index`. Starts and ends never decrease as `index` grows.
    pub(crate) fn window(&self, index: usize) -> Window {
        let center = (index as f64 + 0.5) * self.scale;
        // C's conversion truncates; a float-to-integer `as` saturates a negative value to 0, Pillow's clamp.
        let start = (center - self.support + 0.5) as usize;
        let end = ((center + self.support + 0.5) as usize).min(self.input);
        let mut window = Window {
            axis: *self,
            center,
            sum: 0.0,
            start,
            len: end - start,
        };
        for i in 0..window.len {
            window.sum += window.weight(i);
        }
        window
    }
}

impl Window {
    fn weight(&self, i: usize) -> f64 {
        // Pillow multiplies by the reciprocal.
        let inverse = 1.0 / self.axis.filter_scale;
        let distance = (i + self.start) as f64 - self.center + 0.5;
        self.axis.interpolation.weight(distance * inverse)
    }

    /// The coefficient of source sample `start + i` with [`PRECISION_BITS`] fractional bits.
    pub(crate) fn coefficient(&self, i: usize) -> i32 {
        let mut weight = self.weight(i);
        if self.sum != 0.0 {
            weight /= self.sum;
        }
        let scaled = weight * f64::from(1 << PRECISION_BITS);
        if weight < 0.0 {
            (-0.5 + scaled) as i32
        } else {
            (0.5 + scaled) as i32
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum of 255 times every coefficient's magnitude, plus the rounding half, must fit an i32, whatever
    /// the sizes: both implementations rely on it.
    #[test]
    fn sums_fit_32_bits() {
        let sizes = (1..=40).chain([97, 224, 255, 256, 640, 1080]);
        for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
            for input in sizes.clone() {
                for output in sizes.clone() {
                    let axis = Axis::new(interpolation, input, output);
                    // Where the window is cut off at the edge, normalization enlarges its negative part.
                    for index in (0..output).take(12) {
                        let window = axis.window(index);
                        let sum: i64 = (0..window.len)
                            .map(|i| i64::from(window.coefficient(i)).abs())
                            .sum();
                        let bound = 255 * sum + (1 << (PRECISION_BITS - 1));
                        assert!(
                            i32::try_from(bound).is_ok(),
                            "{input} to {output} at {index}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn equal_sizes_give_the_identity() {
        for interpolation in [Interpolation::Bilinear, Interpolation::Bicubic] {
            let axis = Axis::new(interpolation, 100, 100);
            for index in 0..100 {
                let window = axis.window(index);
                for i in 0..window.len {
                    let expected = i32::from(window.start + i == index) << PRECISION_BITS;
                    assert_eq!(window.coefficient(i), expected);
                }
            }
        }
    }
}
