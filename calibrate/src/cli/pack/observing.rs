//! The activations of a checkpoint, over a calibration set or random frames.

use super::super::console::Console;
use super::super::error::CommandError;
use super::super::images::Images;
use super::super::progress::Progress;
use crate::checkpoint::Checkpoint;
use crate::observe::{Observation, Statistics};
use mergevit_kernels::testing::Random;

/// Random frames on which a random model is calibrated.
const SYNTHETIC_IMAGES: usize = 8;

/// What a calibration set shows, and its name.
pub(super) fn observe(
    checkpoint: &Checkpoint,
    mut images: Images,
    console: Console,
) -> Result<(Statistics, String), CommandError> {
    let progress = Progress::new(console, "observing", images.len(), 1);
    let mut observation = Observation::new(checkpoint, images.len()).on_image(|| progress.step());
    while let Some(batch) = images.next_batch()? {
        observation.see(&batch.pixels);
    }
    images.report_skipped();
    Ok((observation.finish()?, images.name().into()))
}

/// What random frames show of a random model.
pub(super) fn observe_synthetic(
    checkpoint: &Checkpoint,
    seed: u64,
    console: Console,
) -> Result<(Statistics, String), CommandError> {
    let progress = Progress::new(console, "observing", SYNTHETIC_IMAGES, 1);
    let mut observation =
        Observation::new(checkpoint, SYNTHETIC_IMAGES).on_image(|| progress.step());
    let bytes = SYNTHETIC_IMAGES * checkpoint.model.image_bytes();
    observation.see(&Random(seed).bytes(bytes));
    Ok((
        observation.finish()?,
        format!("{SYNTHETIC_IMAGES} random frames"),
    ))
}
