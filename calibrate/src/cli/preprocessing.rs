//! Options that state what a checkpoint's files do not.

use super::console::warn;
use crate::checkpoint::{Checkpoint, CheckpointError, Stated};
use clap::{Args, ValueEnum};
use mergevit_runtime::Interpolation;
use std::path::Path;

/// What the checkpoint's files do not say, or say wrongly
#[derive(Clone, Debug, Default, Args)]
#[command(next_help_heading = "The checkpoint, where its files do not state it")]
pub(super) struct PreprocessingArgs {
    /// Name of the model, as timm, torchvision or open_clip has it, of weights without a config.json
    #[arg(long, value_name = "NAME")]
    architecture: Option<String>,
    /// Side of the model's images, if it is to be another: positions are resampled as the library does
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(1..=65_536))]
    image_size: Option<u32>,
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
    /// Imports a checkpoint, and says on standard error what the user should know of it.
    ///
    /// # Errors
    /// As [`Checkpoint::load_with`].
    pub(super) fn load(&self, path: &Path) -> Result<Checkpoint, CheckpointError> {
        load(path, &self.stated())
    }

    /// [`PreprocessingArgs::load`] for pixels that come at the model's resolution: crop and filter are not asked for.
    ///
    /// # Errors
    /// As [`Checkpoint::load_with`].
    pub(super) fn load_for_pixels(&self, path: &Path) -> Result<Checkpoint, CheckpointError> {
        load(path, &self.stated().at_model_resolution())
    }

    /// What was stated.
    fn stated(&self) -> Stated<'_> {
        let recipe = match self.preprocessing {
            None => Stated::default(),
            Some(Recipe::Imagenet) => Stated::IMAGENET,
            Some(Recipe::Inception) => Stated::INCEPTION,
            Some(Recipe::Clip) => Stated::CLIP,
        };
        Stated {
            architecture: self.architecture.as_deref(),
            image_size: self.image_size.map(|size| size as usize),
            mean: self.mean.or(recipe.mean),
            std: self.std.or(recipe.std),
            crop: self.crop.or(recipe.crop),
            interpolation: self.interpolation.map(Into::into).or(recipe.interpolation),
        }
    }
}

fn load(path: &Path, stated: &Stated<'_>) -> Result<Checkpoint, CheckpointError> {
    let checkpoint = Checkpoint::load_with(path, stated)?;
    for warning in &checkpoint.warnings {
        warn(&format!("warning: {}: {warning}\n", path.display()));
    }
    Ok(checkpoint)
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
