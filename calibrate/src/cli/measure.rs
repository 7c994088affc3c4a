//! Measuring a pack: its noise, its answers, the worst of them, and why they differ.

use super::console::Console;
use super::error::CommandError;
use super::images::Images;
use super::progress::Progress;
use super::reports::command_line;
use crate::dataset::Batch;
use crate::diagnose::{Diagnosis, diagnose, passes};
use crate::evaluate::{Evaluation, LayerNoise};
use crate::report::{Report, Suspect, WorstImage, examine, suspects};
use mergevit_runtime::{Defect, Pack, PackError, Schedule};
use std::path::Path;

/// Images over which the noise of the residual stream is measured.
const NOISE_IMAGES: usize = 16;

/// What is measured beside answers and noise.
pub(super) struct MeasureOptions {
    /// Over how many images each rounding is left out, if that is asked for.
    pub(super) why: Option<usize>,
    /// Whether the worst images are looked at again, which takes their pictures into the report.
    pub(super) looks_closer: bool,
    pub(super) console: Console,
}

/// What a measurement gives.
pub(super) struct Measured {
    pub(super) report: Report,
    /// The schedules with their accuracy.
    pub(super) schedules: Vec<Schedule>,
}

/// Classifies all images, after measuring noise over a few that are spread over the set.
///
/// # Errors
/// [`CommandError`]: images that cannot be read, a pack that changes meanwhile, a device that fails.
pub(super) fn measure(
    mut evaluation: Evaluation<'_>,
    mut images: Images,
    options: &MeasureOptions,
) -> Result<Measured, CommandError> {
    let noise = residual_noise(&mut evaluation, &images, options.console)?;
    let why = options
        .why
        .and_then(|count| find_why(&evaluation, &images, count, options.console));
    let mut batch = images.next_batch()?;
    let passes = evaluation.passes();
    let progress = Progress::new(options.console, "measuring", images.len(), passes);
    let mut places = Vec::new();
    while let Some(Batch { pixels, labels, .. }) = &batch {
        places.extend(batch.iter().flat_map(|batch| &batch.places));
        evaluation.classify(pixels, labels, &|| progress.step())?;
        check_unchanged(evaluation.engine().pack())?;
        batch = images.next_batch()?;
    }
    drop(progress);
    images.report_skipped();
    let mut report = Report::new(&evaluation, images.name(), images.skipped(), noise);
    report.why = why;
    report.made.command = command_line();
    if options.looks_closer {
        report.worst = worst(&mut evaluation, &images, &places)?;
    }
    Ok(Measured {
        report,
        schedules: evaluation.measured(images.name()),
    })
}

fn check_unchanged(pack: &Pack) -> Result<(), PackError> {
    pack.check().map_err(|changed| PackError {
        path: pack.path().map(Path::to_path_buf),
        defect: Defect::Changed(changed),
    })
}

fn residual_noise(
    evaluation: &mut Evaluation<'_>,
    images: &Images,
    console: Console,
) -> Result<Vec<LayerNoise>, CommandError> {
    if !evaluation.has_noise() {
        return Ok(Vec::new());
    }
    let Batch { pixels, labels, .. } = images.spread(NOISE_IMAGES);
    let progress = Progress::new(console, "comparing", labels.len(), 1);
    Ok(evaluation.residual_noise(&pixels, || progress.step())?)
}

/// Which rounding costs how much; none without a checkpoint, or if no image can be read.
fn find_why(
    evaluation: &Evaluation<'_>,
    images: &Images,
    count: usize,
    console: Console,
) -> Option<Diagnosis> {
    let (checkpoint, pack) = (evaluation.checkpoint()?, evaluation.engine().pack());
    let Batch { pixels, labels, .. } = images.spread(count);
    let progress = Progress::new(console, "diagnosing", labels.len(), passes(pack));
    (!labels.is_empty()).then(|| diagnose(checkpoint, pack, &pixels, &|| progress.step()))
}

/// A closer look at the worst images. `places` are those in the set, in the order in which images were classified.
fn worst(
    evaluation: &mut Evaluation<'_>,
    images: &Images,
    places: &[usize],
) -> Result<Vec<WorstImage>, CommandError> {
    let all = suspects(evaluation);
    let look = |suspect: Suspect| {
        let (name, pixels) = images.at(places[suspect.image])?;
        Ok(examine(evaluation, &suspect, name, pixels)?)
    };
    all.into_iter().map(look).collect()
}
