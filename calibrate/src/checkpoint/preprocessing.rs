//! What becomes of an image before the network sees it: what a checkpoint says of it, and what must be asked for.
//!
//! No tensor tells the colours' mean and deviation, the crop or the filter, and a wrong one changes classes in
//! silence. So a family reports what its files say, or what its library documents for a file without the field; the
//! user may state the rest; what is then still unknown is an error.

use super::error::Defect;
use mergevit_runtime::{Interpolation, Preprocessing, ResizeMode};

/// What a user states of a checkpoint, over what its files say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stated {
    /// Where in its files the weights are, if they hold several sets: keys joined by dots, as in `state_dict_ema`, or
    /// what the tensors' names start with. One dot is all that is outermost.
    pub weights_key: Option<String>,
    /// Name of the architecture, as its library has it.
    pub architecture: Option<String>,
    /// Side of the images in pixels: a position table for another one is resampled.
    pub image_size: Option<usize>,
    /// Whether the network is wanted without its classifier.
    pub headless: bool,
    /// Mean of each colour, of pixels in 0 to 1.
    pub mean: Option<[f32; 3]>,
    /// Standard deviation of each colour.
    pub std: Option<[f32; 3]>,
    /// Side of the model's image over the shorter side of the resized one, above 0, at most 1.
    pub crop: Option<f64>,
    /// Filter of the resize.
    pub interpolation: Option<Interpolation>,
}

impl Stated {
    /// The recipe of torchvision's first weights, as `ViT_B_16_Weights.IMAGENET1K_V1.transforms()` documents it.
    pub const IMAGENET: Self = Self::all(
        [0.485, 0.456, 0.406],
        [0.229, 0.224, 0.225],
        0.875,
        Interpolation::Bilinear,
    );

    /// timm's recipe for its own Vision Transformers, `_cfg` in `timm/models/vision_transformer.py`.
    pub const INCEPTION: Self = Self::all([0.5; 3], [0.5; 3], 0.9, Interpolation::Bicubic);

    /// OpenAI's recipe, `_transform` in `clip/clip.py`.
    pub const CLIP: Self = Self::all(
        [0.481_454_66, 0.457_827_5, 0.408_210_73],
        [0.268_629_54, 0.261_302_6, 0.275_777_1],
        1.0,
        Interpolation::Bicubic,
    );

    const fn all(mean: [f32; 3], std: [f32; 3], crop: f64, interpolation: Interpolation) -> Self {
        Self {
            weights_key: None,
            architecture: None,
            image_size: None,
            headless: false,
            mean: Some(mean),
            std: Some(std),
            crop: Some(crop),
            interpolation: Some(interpolation),
        }
    }

    /// For pixels that come at the model's resolution: crop and filter are not asked for.
    #[must_use]
    pub fn at_model_resolution(self) -> Self {
        Self {
            crop: self.crop.or(Some(1.0)),
            interpolation: self.interpolation.or(Some(Interpolation::Bilinear)),
            ..self
        }
    }
}

/// What a checkpoint's files say.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Found {
    pub(super) mean: Option<[f32; 3]>,
    pub(super) std: Option<[f32; 3]>,
    pub(super) resize: Option<ResizeMode>,
    pub(super) interpolation: Option<Interpolation>,
}

/// Everything, known.
pub(super) struct Known {
    pub(super) mean: [f32; 3],
    pub(super) std: [f32; 3],
    pub(super) preprocessing: Preprocessing,
}

/// The shorter side in pixels from which a crop of `size` is this fraction, as `timm.data.create_transform` has it.
pub(super) fn resized(size: usize, crop: f64) -> usize {
    (size as f64 / crop).floor().min(1e6) as usize
}

impl Found {
    /// Takes what the user states, else what was found, for a model of `size` pixels a side.
    ///
    /// # Errors
    /// [`Defect::Preprocessing`] with all that neither says.
    pub(super) fn complete(self, stated: &Stated, size: usize) -> Result<Known, Defect> {
        let crop = stated
            .crop
            .map(|crop| ResizeMode::ShortestSide(resized(size, crop)));
        let mean = stated.mean.or(self.mean);
        let std = stated.std.or(self.std);
        let resize = crop.or(self.resize);
        let interpolation = stated.interpolation.or(self.interpolation);
        if let (Some(mean), Some(std), Some(resize), Some(interpolation)) =
            (mean, std, resize, interpolation)
        {
            return Ok(Known {
                mean,
                std,
                preprocessing: Preprocessing {
                    resize,
                    interpolation,
                },
            });
        }
        let questions = [
            ("mean", mean.is_none()),
            ("std", std.is_none()),
            ("crop", resize.is_none()),
            ("interpolation", interpolation.is_none()),
        ];
        let missing = questions.into_iter().filter(|(_, missing)| *missing);
        Err(Defect::Preprocessing {
            missing: missing.map(|(name, _)| name).collect(),
        })
    }
}
