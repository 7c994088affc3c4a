//! Options that state how a checkpoint's images are prepared.

use crate::checkpoint::Stated;
use clap::{Args, ValueEnum};
use mergevit_runtime::Interpolation;

/// What the checkpoint's files do not say, or say wrongly
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "Preprocessing, where the checkpoint's files do not state it")]
pub(super) struct PreprocessingArgs {
    /// A published recipe; the options below change parts of it
    #[arg(long, value_enum, value_name = "RECIPE")]
    preprocessing: Option<Recipe>,
    /// Mean of red, green and blue, of pixels in 0 to 1
    #[arg(long, value_name = "R,G,B", value_parser = colours)]
    mean: Option<[f32; 3]>,
    /// Their standard deviation
    #[arg(long, value_name = "R,G,B", value_parser = deviations)]
    std: Option<[f32; 3]>,
    /// Side of the centre crop over the shorter side of the resized image
    #[arg(long, value_name = "FRACTION", value_parser = crop)]
    crop: Option<f64>,
    /// Filter of the resize
    #[arg(long, value_enum)]
    interpolation: Option<Filter>,
}

/// Recipes of published models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Recipe {
    /// torchvision's first weights: ImageNet's mean and deviation, crop 0.875, bilinear
    Imagenet,
    /// timm's Vision Transformers: mean and deviation 0.5, crop 0.9, bicubic
    Inception,
    /// OpenAI's CLIP: its own mean and deviation, crop 1, bicubic
    Clip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Filter {
    Bilinear,
    Bicubic,
}

impl From<Filter> for Interpolation {
    fn from(filter: Filter) -> Self {
        match filter {
            Filter::Bilinear => Self::Bilinear,
            Filter::Bicubic => Self::Bicubic,
        }
    }
}

impl PreprocessingArgs {
    /// What was stated.
    pub(super) fn stated(&self) -> Stated {
        let recipe = match self.preprocessing {
            None => Stated::default(),
            Some(Recipe::Imagenet) => Stated::IMAGENET,
            Some(Recipe::Inception) => Stated::INCEPTION,
            Some(Recipe::Clip) => Stated::CLIP,
        };
        Stated {
            mean: self.mean.or(recipe.mean),
            std: self.std.or(recipe.std),
            crop: self.crop.or(recipe.crop),
            interpolation: self.interpolation.map(Into::into).or(recipe.interpolation),
            ..recipe
        }
    }
}

fn three(text: &str, fits: impl Fn(f32) -> bool, expected: &str) -> Result<[f32; 3], String> {
    let numbers: Option<Vec<f32>> = text
        .split(',')
        .map(|number| number.trim().parse().ok().filter(|x| fits(*x)))
        .collect();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| format!("expected three numbers {expected}, as in 0.485,0.456,0.406"))
}

fn colours(text: &str) -> Result<[f32; 3], String> {
    three(text, |x| (0.0..=1.0).contains(&x), "from 0 to 1")
}

fn deviations(text: &str) -> Result<[f32; 3], String> {
    three(text, |x| (1e-3..=1e3).contains(&x), "from 0.001 to 1000")
}

fn crop(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(crop) if (0.05..=1.0).contains(&crop) => Ok(crop),
        _ => Err("expected a fraction from 0.05 to 1".into()),
    }
}
