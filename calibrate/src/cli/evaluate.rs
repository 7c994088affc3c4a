//! `evaluate`: how good a pack is.

use super::error::CommandError;
use super::files;
use super::images::{ClassFoldersName, Images, ImagesOptions, progress};
use super::preprocessing::PreprocessingArgs;
use crate::checkpoint::Checkpoint;
use crate::evaluate::Evaluation;
use crate::report::{Report, html, text};
use clap::Args;
use mergevit_kernels::ops::MAX_BATCH;
use mergevit_runtime::limits::MAX_THREADS;
use mergevit_runtime::{Defect, Engine, ModelConfig, PackError};
use std::path::{Path, PathBuf};

/// Images over which the noise of the residual stream is measured.
const NOISE_IMAGES: usize = 16;

/// Measure a pack's accuracy on a data set
#[derive(Clone, Debug, Args)]
pub(super) struct EvaluateArgs {
    /// The pack to measure
    #[arg(long, value_name = "M.mvit")]
    model: PathBuf,
    /// The checkpoint that the pack was made from: adds agreement with full precision, and noise
    #[arg(long, value_name = "DIR-or-FILE")]
    checkpoint: Option<PathBuf>,
    /// The data set: folder:DIR or idx:IMAGES[.gz],LABELS[.gz]
    #[arg(long, value_name = "DATASET")]
    images: String,
    /// Use only this many images: the first of an idx file, or spread over the classes of a folder
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    #[command(flatten)]
    preprocessing: PreprocessingArgs,
    /// How sub-folders of a folder of images become classes
    #[arg(long, value_enum, default_value_t = ClassFoldersName::All)]
    class_folders: ClassFoldersName,
    /// Fail at the first image that cannot be read, instead of skipping it
    #[arg(long)]
    strict: bool,
    /// Measure only this schedule of the pack
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// Backend that runs the pack: auto, reference, cpu, or one that `mergevit doctor` lists
    #[arg(long, default_value = "auto")]
    backend: String,
    /// Also write all results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also write all results as an HTML page
    #[arg(long, value_name = "FILE.html")]
    report: Option<PathBuf>,
}

/// An engine for evaluation, with the largest batches.
pub(super) fn engine(path: &Path, backend: &str) -> Result<Engine, CommandError> {
    let options = Engine::options()
        .backend(backend)
        // As many as everything else here, so that one setting limits them all.
        .threads(rayon::current_num_threads().min(MAX_THREADS))
        .max_batch(MAX_BATCH)
        // Images arrive at model resolution.
        .max_frame(1, 1);
    Ok(options.load(path)?)
}

/// Runs the command.
///
/// # Errors
/// [`CommandError`]; no output file is then half-written.
pub(super) fn run(args: &EvaluateArgs) -> Result<(), CommandError> {
    let engine = engine(&args.model, &args.backend)?;
    let checkpoint = args
        .checkpoint
        .as_deref()
        .map(|path| {
            // Crop and filter are the pack's.
            let stated = args.preprocessing.stated().at_model_resolution();
            Checkpoint::load_with(path, &stated)
        })
        .transpose()?;
    if let Some(checkpoint) = &checkpoint {
        check_shapes(&args.model, engine.pack().config(), &checkpoint.model)?;
    }
    let options = ImagesOptions {
        limit: args.limit,
        folders: args.class_folders.into(),
        strict: args.strict,
    };
    let images = Images::open(&args.images, engine.pack().config(), &options)?;
    let evaluation = Evaluation::new(engine, checkpoint.as_ref(), args.schedule.as_deref())?;
    let report = measure(evaluation, images)?.1;
    if let Some(path) = &args.json {
        let mut json = serde_json::to_string_pretty(&report)
            .map_err(|error| CommandError::io(path, "encode", error.into()))?;
        json.push('\n');
        files::write(path, json.as_bytes())?;
    }
    if let Some(path) = &args.report {
        files::write(path, html(&report).as_bytes())?;
    }
    print!("{}", text(&report));
    Ok(())
}

/// Classifies all images; then measures noise over the first few.
pub(super) fn measure<'a>(
    mut evaluation: Evaluation<'a>,
    mut images: Images,
) -> Result<(Evaluation<'a>, Report), CommandError> {
    let bar = progress("evaluating", images.len() as u64);
    let mut noise = None;
    while let Some(batch) = images.next_batch()? {
        let (pixels, labels) = (&batch.pixels, &batch.labels);
        if noise.is_none() {
            let image = pixels.len() / labels.len();
            let some = NOISE_IMAGES.min(labels.len());
            noise = Some(evaluation.residual_noise(&pixels[..some * image])?);
        }
        evaluation.classify(pixels, labels)?;
        let pack = evaluation.engine().pack();
        pack.check().map_err(|changed| PackError {
            path: pack.path().map(Path::to_path_buf),
            defect: Defect::Changed(changed),
        })?;
        bar.inc(labels.len() as u64);
    }
    bar.finish_and_clear();
    images.report_skipped();
    let noise = noise.unwrap_or_default();
    let report = Report::new(&evaluation, images.name(), images.skipped(), noise);
    Ok((evaluation, report))
}

/// Checks that the pack and the checkpoint have the same dimensions.
fn check_shapes(
    path: &Path,
    pack: &ModelConfig,
    checkpoint: &ModelConfig,
) -> Result<(), CommandError> {
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
    let (found, expected) = (shape(pack), shape(checkpoint));
    if found == expected {
        Ok(())
    } else {
        Err(CommandError::Mismatch {
            path: path.into(),
            found,
            expected,
        })
    }
}
