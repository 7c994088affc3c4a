//! `evaluate`: how good a pack is.

use super::checkpoint::CheckpointArgs;
use super::console::{Console, warn};
use super::error::CommandError;
use super::images::{ClassFoldersName, Images, ImagesOptions, Limit};
use super::output::{self, Input};
use super::progress::Progress;
use crate::checkpoint::Checkpoint;
use crate::dataset::Batch;
use crate::evaluate::Evaluation;
use crate::report::{Report, html, json, text};
use clap::Args;
use mergevit_kernels::ops::MAX_BATCH;
use mergevit_runtime::limits::MAX_THREADS;
use mergevit_runtime::{
    Defect, Engine, LoadError, ModelConfig, OutputFile, Pack, PackError, Schedule,
};
use std::path::{Path, PathBuf};

/// Images over which the noise of the residual stream is measured.
const NOISE_IMAGES: usize = 16;

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
    /// Keep images at model resolution in this folder, so that the next command need not decode them
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Fail at the first image that cannot be read, instead of skipping it
    #[arg(long)]
    strict: bool,
    /// Measure only this schedule of the pack, or this cascade and its two schedules
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// Backend that runs the pack: auto, reference, cpu, or one that `mergevit doctor` lists
    #[arg(long, default_value = "auto")]
    backend: String,
    /// Also write all results as JSON; - is standard output, and the table then goes to standard error
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write all results as an HTML page; - as above
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
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
    let open = |option, path: &Option<PathBuf>| {
        let path = path.as_deref();
        path.map(|path| output::open(option, path, &inputs))
            .transpose()
    };
    let data = open("--json", &args.json)?;
    let page = open("--report", &args.report)?;
    output::check_distinct(("--json", data.as_ref()), ("--report", page.as_ref()))?;

    let engine = engine(Pack::open(&args.model)?, &args.backend)?;
    let pack = engine.pack();
    if let Some(schedule) = &args.schedule
        && !pack.cascades().iter().any(|own| own.name == *schedule)
    {
        pack.schedule_index(schedule).map_err(LoadError::from)?;
    }
    let options = ImagesOptions {
        limit: args.limit,
        cache: args.cache.clone(),
        folders: args.class_folders.into(),
        strict: args.strict,
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
    let report = measure(evaluation, images, console)?.report;
    write(&report, data.as_ref(), page.as_ref(), console)
}

/// Writes the report in all its forms: files first, because a reader of standard output may go away.
fn write(
    report: &Report,
    data: Option<&OutputFile>,
    page: Option<&OutputFile>,
    console: Console,
) -> Result<(), CommandError> {
    if write_files(report, data, page)? {
        console.say(&text(report));
        Ok(())
    } else {
        output::print(&text(report))
    }
}

/// Writes the report as JSON and as a page; whether one of them is standard output.
///
/// # Errors
/// [`CommandError::Output`] and [`CommandError::ReaderGone`].
pub(super) fn write_files(
    report: &Report,
    data: Option<&OutputFile>,
    page: Option<&OutputFile>,
) -> Result<bool, CommandError> {
    let mut texts = Vec::new();
    if let Some(output) = data {
        let encoded = json(report);
        let fail =
            |error: serde_json::Error| CommandError::io(output.name(), "encode", error.into());
        texts.push((output, encoded.map_err(fail)?));
    }
    if let Some(output) = page {
        texts.push((output, html(report)));
    }
    texts.sort_by_key(|(output, _)| output.is_standard_output());
    let is_taken = texts.iter().any(|(output, _)| output.is_standard_output());
    for (output, text) in &texts {
        output::write_text(output, text)?;
    }
    Ok(is_taken)
}

/// What a measurement gives.
pub(super) struct Measured {
    pub(super) report: Report,
    /// The schedules with their accuracy.
    pub(super) schedules: Vec<Schedule>,
}

/// Classifies all images, after measuring noise over the first few.
pub(super) fn measure(
    mut evaluation: Evaluation<'_>,
    mut images: Images,
    console: Console,
) -> Result<Measured, CommandError> {
    let mut noise = None;
    let mut batch = images.next_batch()?;
    if let Some(Batch { pixels, labels, .. }) = &batch
        && evaluation.has_noise()
    {
        let some = NOISE_IMAGES.min(labels.len());
        let progress = Progress::new(console, "comparing", some, 1);
        let pixels = &pixels[..some * (pixels.len() / labels.len())];
        noise = Some(evaluation.residual_noise(pixels, || progress.step())?);
    }
    let progress = Progress::new(console, "measuring", images.len(), evaluation.passes());
    while let Some(Batch { pixels, labels, .. }) = &batch {
        evaluation.classify(pixels, labels, &|| progress.step())?;
        let pack = evaluation.engine().pack();
        pack.check().map_err(|changed| PackError {
            path: pack.path().map(Path::to_path_buf),
            defect: Defect::Changed(changed),
        })?;
        batch = images.next_batch()?;
    }
    drop(progress);
    images.report_skipped();
    let noise = noise.unwrap_or_default();
    Ok(Measured {
        report: Report::new(&evaluation, images.name(), images.skipped(), noise),
        schedules: evaluation.measured(images.name()),
    })
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
