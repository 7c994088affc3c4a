//! Options that say what a checkpoint's files leave open.

use super::console::warn;
use super::preprocessing::PreprocessingArgs;
use crate::checkpoint::{Checkpoint, CheckpointError, Stated};
use clap::Args;
use std::path::Path;

/// How to read a checkpoint.
#[derive(Clone, Debug, Default, Args)]
pub(super) struct CheckpointArgs {
    /// Which weights of a file that holds several sets: state_dict, state_dict_ema, teacher.backbone, ...
    #[arg(long, value_name = "NAME", requires = "checkpoint")]
    weights_key: Option<String>,
    /// Name of the model, as timm, torchvision or open_clip has it, of weights without a config.json
    #[arg(long, value_name = "NAME", requires = "checkpoint")]
    architecture: Option<String>,
    /// Side of the model's images, if it is to be another: positions are resampled as the library does
    #[arg(long, value_name = "PIXELS", requires = "checkpoint")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=65_536))]
    image_size: Option<u32>,
    /// Take the network without its classifier: it then gives embeddings, on which `head` makes classes of one's own
    #[arg(long, requires = "checkpoint")]
    headless: bool,
    #[command(flatten)]
    preprocessing: PreprocessingArgs,
}

impl CheckpointArgs {
    /// Imports a checkpoint, and says on standard error what the user should know of it.
    ///
    /// # Errors
    /// As [`Checkpoint::load_with`].
    pub(super) fn load(&self, path: &Path) -> Result<Checkpoint, CheckpointError> {
        load(path, &self.stated())
    }

    /// [`CheckpointArgs::load`] for pixels that come at the model's resolution: crop and filter are not asked for.
    ///
    /// # Errors
    /// As [`Checkpoint::load_with`].
    pub(super) fn load_for_pixels(&self, path: &Path) -> Result<Checkpoint, CheckpointError> {
        load(path, &self.stated().at_model_resolution())
    }

    /// What was stated.
    fn stated(&self) -> Stated {
        Stated {
            weights_key: self.weights_key.clone(),
            architecture: self.architecture.clone(),
            image_size: self.image_size.map(|size| size as usize),
            headless: self.headless,
            ..self.preprocessing.stated()
        }
    }
}

fn load(path: &Path, stated: &Stated) -> Result<Checkpoint, CheckpointError> {
    let checkpoint = Checkpoint::load_with(path, stated)?;
    for warning in &checkpoint.warnings {
        warn(&format!("warning: {}: {warning}\n", path.display()));
    }
    Ok(checkpoint)
}
