//! From a frame to the network's pixels.

use super::{ConfigError, refuse};
use mergevit_kernels::frame::{Geometry, Resize};
use serde::{Deserialize, Serialize};

/// Resampling filter, antialiased, as Pillow computes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Triangle filter.
    Bilinear,
    /// Keys' cubic, a = -0.5.
    Bicubic,
}

impl From<Interpolation> for mergevit_kernels::frame::Interpolation {
    fn from(interpolation: Interpolation) -> Self {
        match interpolation {
            Interpolation::Bilinear => Self::Bilinear,
            Interpolation::Bicubic => Self::Bicubic,
        }
    }
}

/// The size to which a frame is resized before the centre crop to the model's image size. In pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ResizeMode {
    /// The shorter side becomes this long, the aspect ratio stays.
    ShortestSide(usize),
    /// Both sides are given, the aspect ratio is lost.
    Exact {
        /// Pixels a row.
        width: usize,
        /// Rows.
        height: usize,
    },
}

/// From a frame to the network's pixels, as the checkpoint was evaluated with. The crop is
/// [`ModelConfig::image_size`](super::ModelConfig::image_size); mean and standard deviation are folded into the patch
/// embedding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Size before the crop.
    pub resize: ResizeMode,
    /// Filter of the resize.
    pub interpolation: Interpolation,
}

impl Preprocessing {
    /// As the kernels take it, for square images of `image_size` pixels.
    pub(super) fn geometry(&self, image_size: usize) -> Result<Geometry, ConfigError> {
        let resize = match self.resize {
            ResizeMode::ShortestSide(side) => Resize::ShortestSide(side),
            ResizeMode::Exact { width, height } => Resize::Exact { width, height },
        };
        let crop = (image_size, image_size);
        Geometry::new(resize, crop, self.interpolation.into()).or_else(|error| {
            refuse(
                "model.preprocessing",
                &format!("{} of {} pixels", error.field, error.found),
                format!("1 to {} pixels", mergevit_kernels::frame::MAX_SIDE),
            )
        })
    }
}
