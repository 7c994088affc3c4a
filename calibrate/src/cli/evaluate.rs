//! `evaluate`: how good a pack is.

use super::args;
use super::checkpoint::CheckpointArgs;
use super::console::{Console, warn};
use super::error::CommandError;
use super::images::{ClassFoldersName, Images, ImagesOptions, Limit, ReadingArgs};
use super::measure::{MeasureOptions, measure};
use super::output::{self, Input};
use super::reports::ReportArgs;
use crate::checkpoint::Checkpoint;
use crate::evaluate::Evaluation;
use crate::report::text;
use clap::Args;
use mergevit_kernels::ops::MAX_BATCH;
use mergevit_runtime::limits::MAX_THREADS;
use mergevit_runtime::{Engine, LoadError, ModelConfig, Pack};
use std::path::{Path, PathBuf};

/// Images for the diagnosis, unless told otherwise: some thirty passes of each are a minute or two.
const WHY_IMAGES: usize = 16;

/// Measure a pack's accuracy on a data set
#[derive(Clone, Debug, Args)]
pub(super) struct EvaluateArgs {
    /// The pack to measure
    #[arg(long, short, value_name = "M.mvit")]
    model: PathBuf,
    /// The checkpoint that the pack was made from: adds agreement with full precision, and noise
    #[arg(long, short, value_name = "DIR-or-FILE")]
    checkpoint: Option<PathBuf>,
    /// The data set: folder:DIR, list:FILE.csv or idx:IMAGES[.gz],LABELS[.gz]
    #[arg(long, short, value_name = "DATASET")]
    images: String,
    /// Use only this many images: the first of an idx file, or spread over the classes of a folder; or N/class, so many
    /// of each class
    #[arg(long, value_name = "N[/class]", allow_negative_numbers = true)]
    limit: Option<Limit>,
    #[command(flatten)]
    stated: CheckpointArgs,
    /// How sub-folders of a folder of images become classes
    #[arg(long, value_enum, default_value_t = ClassFoldersName::All)]
    class_folders: ClassFoldersName,
    #[command(flatten)]
    reading: ReadingArgs,
    /// Measure only this schedule of the pack, or this cascade and its two schedules
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// Backend that runs the pack: auto, reference, cpu, or one that `mergevit doctor` lists
    #[arg(long, default_value = "auto")]
    backend: String,
    /// Also find out which rounding costs how much: emulates the pack on some images, without one rounding after the
    /// other; needs --checkpoint
    #[arg(long, requires = "checkpoint")]
    why: bool,
    /// Images for --why
    #[arg(long, value_name = "N", default_value_t = WHY_IMAGES, requires = "why")]
    #[arg(value_parser = args::images, allow_negative_numbers = true)]
    why_limit: usize,
    #[command(flatten)]
    reports: ReportArgs,
}

impl EvaluateArgs {
    fn inputs(&self) -> Vec<Input> {
        let mut inputs = vec![Input::file("--model", &self.model)];
        inputs.extend(Input::set("--images", &self.images));
        if let Some(checkpoint) = &self.checkpoint {
            inputs.extend(Input::checkpoint("--checkpoint", checkpoint));
        }
        inputs
    }
}

/// An engine for evaluation, with the largest batches.
///
/// # Errors
/// [`LoadError`].
pub(super) fn engine(pack: Pack, backend: &str) -> Result<Engine, LoadError> {
    let options = Engine::options()
        .backend(backend)
        // As many as everything else here, so that one setting limits them all.
        .threads(rayon::current_num_threads().min(MAX_THREADS))
        .max_batch(MAX_BATCH)
        // Images arrive at model resolution.
        .max_frame(1, 1);
    options.build(pack)
}

/// Runs the command.
///
/// # Errors
/// [`CommandError`]; no output file is then half-written.
pub(super) fn run(args: &EvaluateArgs, console: Console) -> Result<(), CommandError> {
    let inputs = args.inputs();
    let reports = args.reports.open(&inputs)?;

    let engine = engine(Pack::open(&args.model)?, &args.backend)?;
    let pack = engine.pack();
    if let Some(schedule) = &args.schedule
        && !pack.cascades().iter().any(|own| own.name == *schedule)
    {
        pack.schedule_index(schedule).map_err(LoadError::from)?;
    }
    let options = ImagesOptions {
        limit: args.limit,
        cache: args.reading.cache.clone(),
        folders: args.class_folders.into(),
        strict: args.reading.strict,
        console,
    };
    let images = Images::open(&args.images, pack.config(), &options)?;
    if args.checkpoint.is_none() && !pack.config().classifies() {
        return Err(CommandError::Usage(
            "the model gives embeddings, and no classes: give --checkpoint to compare with those of full precision"
                .into(),
        ));
    }
    if args.checkpoint.is_none() && !images.is_labelled() {
        return Err(CommandError::Usage(format!(
            "--images {}: the set has no labels, so there is nothing to compare answers with; give labels, or \
             --checkpoint",
            args.images
        )));
    }
    // Crop and filter are the pack's.
    let checkpoint = args.checkpoint.as_deref();
    let checkpoint = checkpoint
        .map(|path| args.stated.load_for_pixels(path))
        .transpose()?;
    // A pack of classes of one's own has only the network from it.
    let checkpoint = checkpoint.map(|own| match pack.config().head {
        true => own,
        false => own.without_head(),
    });
    if let Some(checkpoint) = &checkpoint {
        check_origin(&args.model, pack, checkpoint)?;
    }
    let evaluation = Evaluation::new(engine, checkpoint.as_ref(), args.schedule.as_deref())?;
    let options = MeasureOptions {
        why: args.why.then_some(args.why_limit),
        looks_closer: reports.is_any(),
        console,
    };
    let report = measure(evaluation, images, &options)?.report;
    reports.write(&report)?;
    match reports.take_standard_output() {
        true => {
            console.say(&text(&report));
            Ok(())
        }
        false => output::print(&text(&report)),
    }
}

/// Checks that the pack was made from the checkpoint.
fn check_origin(path: &Path, pack: &Pack, checkpoint: &Checkpoint) -> Result<(), CommandError> {
    let shape = |model: &ModelConfig| {
        format!(
            "{} x {} pixels, patches of {}, width {}, depth {}, {} classes",
            model.image_size,
            model.image_size,
            model.patch_size,
            model.width,
            model.depth,
            model.classes
        )
    };
    let (found, expected) = (shape(pack.config()), shape(&checkpoint.model));
    if found != expected {
        return Err(CommandError::Mismatch {
            path: path.into(),
            found,
            expected,
        });
    }
    let found = &pack.provenance().checkpoint_hash;
    if found.is_empty() {
        let path = path.display();
        warn(&format!(
            "warning: {path} does not say which checkpoint it was made from\n"
        ));
    } else if *found != checkpoint.hash {
        return Err(CommandError::OtherCheckpoint {
            path: path.into(),
            found: found.clone(),
            expected: checkpoint.hash.clone(),
        });
    }
    Ok(())
}
