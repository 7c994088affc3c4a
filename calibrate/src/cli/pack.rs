//! `pack`: from a checkpoint to a pack.

use super::error::CommandError;
use super::evaluate::{engine, measure};
use super::files;
use super::images::{ClassFoldersName, Images, ImagesOptions, progress};
use super::preprocessing::PreprocessingArgs;
use crate::checkpoint::Checkpoint;
use crate::dataset::ClassFolders;
use crate::evaluate::Evaluation;
use crate::observe::{Observation, Observer, Statistics};
use crate::pack::{build, provenance};
use crate::quantize::Quantizer;
use crate::report::text;
use clap::{Args, ValueEnum};
use mergevit_kernels::testing::Random;
use mergevit_runtime::{Pack, PackWriter, Schedule, labels};
use std::path::PathBuf;

/// Random frames on which a random model is calibrated.
const SYNTHETIC_IMAGES: usize = 8;

/// Calibrate a checkpoint to INT8 and pack it
#[derive(Clone, Debug, Args)]
pub(super) struct PackArgs {
    /// The checkpoint: a folder with model.safetensors and config.json, or the file
    #[arg(
        long,
        value_name = "DIR-or-FILE",
        required_unless_present = "random_weights"
    )]
    checkpoint: Option<PathBuf>,
    /// Random weights of this architecture instead of a checkpoint, to measure speed
    #[arg(long, value_name = "ARCHITECTURE", conflicts_with = "checkpoint")]
    random_weights: Option<String>,
    /// Seed of the random weights and frames
    #[arg(long, default_value_t = 0, requires = "random_weights")]
    seed: u64,
    /// Calibration set: folder:DIR or idx:IMAGES[.gz],LABELS[.gz]
    #[arg(
        long,
        value_name = "DATASET",
        required_unless_present = "random_weights"
    )]
    #[arg(conflicts_with = "random_weights")]
    images: Option<String>,
    /// Number of calibration images
    #[arg(long, value_name = "N", default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    limit: u64,
    /// The pack to write
    #[arg(long, value_name = "M.mvit")]
    output: PathBuf,
    /// Tokens to merge in every layer: one schedule per number, named r0, r8, ...
    #[arg(long, value_name = "R", value_delimiter = ',', value_parser = merge, default_value = "0")]
    merge: Vec<u16>,
    /// A schedule with r for each layer; may be repeated
    #[arg(long, value_name = "NAME=R0,R1,...", value_parser = schedule)]
    schedule: Vec<Schedule>,
    /// How to choose the ranges of activations
    #[arg(long, value_enum, default_value_t = ObserverName::Mse)]
    observer: ObserverName,
    /// Percentage of the values that the percentile observer covers
    #[arg(long, value_name = "P", default_value_t = 99.99, value_parser = percentile)]
    percentile: f64,
    /// Labelled set on which to measure the new pack's accuracy, which the pack then stores
    #[arg(long, value_name = "DATASET", conflicts_with = "random_weights")]
    measure: Option<String>,
    /// Use only this many images of it
    #[arg(long, value_name = "N", requires = "measure")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    measure_limit: Option<u64>,
    /// Class names instead of the checkpoint's: one a line, or JSON (a list, or id2label)
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    #[command(flatten)]
    preprocessing: PreprocessingArgs,
    /// How its sub-folders become classes; those of the calibration set mean nothing
    #[arg(long, value_enum, default_value_t = ClassFoldersName::All, requires = "measure")]
    class_folders: ClassFoldersName,
    /// Fail at the first image that cannot be read, instead of skipping it
    #[arg(long)]
    strict: bool,
}

/// Names of the observers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ObserverName {
    /// All values are representable
    Minmax,
    /// A percentage of the values is representable
    Percentile,
    /// Least squared error in what depends on the activation
    Mse,
}

fn merge(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(r) => Ok(r),
        Err(_) if text == "auto" => Err(
            "this version does not search schedules; give r, or --schedule NAME=R0,R1,...".into(),
        ),
        Err(error) => Err(error.to_string()),
    }
}

fn schedule(text: &str) -> Result<Schedule, String> {
    let (name, list) = text.split_once('=').ok_or("expected NAME=R0,R1,...")?;
    let merge: Result<Vec<u16>, _> = list.split(',').map(str::parse).collect();
    Ok(Schedule {
        name: name.into(),
        merge: merge.map_err(|error| format!("{list:?}: {error}"))?,
        accuracy: None,
    })
}

fn percentile(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if value > 50.0 && value <= 100.0 => Ok(value),
        _ => Err("expected a number above 50, at most 100".into()),
    }
}

impl PackArgs {
    fn observer(&self) -> Observer {
        match self.observer {
            ObserverName::Minmax => Observer::MinMax,
            ObserverName::Percentile => Observer::Percentile(self.percentile),
            ObserverName::Mse => Observer::Mse,
        }
    }

    fn schedules(&self, depth: usize) -> Vec<Schedule> {
        let constant = self.merge.iter().map(|&r| Schedule::constant(r, depth));
        constant.chain(self.schedule.iter().cloned()).collect()
    }
}

/// Runs the command.
///
/// # Errors
/// [`CommandError`]; the output file is then unchanged.
pub(super) fn run(args: &PackArgs) -> Result<(), CommandError> {
    let checkpoint = checkpoint(args)?;
    let (statistics, set) = match &args.images {
        Some(images) => calibrate(&checkpoint, images, args)?,
        None => calibrate_synthetic(&checkpoint, args.seed)?,
    };
    let bar = progress("quantizing", checkpoint.model.depth as u64);
    let model = Quantizer::new()
        .with_observer(args.observer())
        .on_layer(|| bar.inc(1))
        .quantize(&checkpoint, &statistics);
    bar.finish_and_clear();
    let provenance = provenance(&checkpoint, set, statistics.images, args.observer());
    let schedules = args.schedules(checkpoint.model.depth);
    let writer = build(&checkpoint, &model, schedules, provenance)?;
    match &args.measure {
        None => writer.finish(&args.output)?,
        Some(images) => measured(args, &checkpoint, images, &writer)?,
    }
    println!("{}", args.output.display());
    Ok(())
}

/// The checkpoint, with the labels that the user gives it.
fn checkpoint(args: &PackArgs) -> Result<Checkpoint, CommandError> {
    let mut checkpoint = match (&args.checkpoint, &args.random_weights) {
        (Some(path), _) => Checkpoint::load_with(path, &args.preprocessing.stated())?,
        (None, Some(architecture)) => Checkpoint::random(architecture, args.seed)?,
        (None, None) => unreachable!("clap requires one of them"),
    };
    if let Some(path) = &args.labels {
        checkpoint.model.labels = labels::read(path, checkpoint.model.classes)?;
    }
    let labels = &checkpoint.model.labels;
    if let Some(&(first, second)) = labels::duplicates(labels).first() {
        eprintln!(
            "warning: classes {first} and {second} are both labelled {:?}",
            labels[first]
        );
    }
    Ok(checkpoint)
}

fn calibrate(
    checkpoint: &Checkpoint,
    set: &str,
    args: &PackArgs,
) -> Result<(Statistics, String), CommandError> {
    let options = ImagesOptions {
        limit: Some(args.limit),
        folders: ClassFolders::Ignored,
        strict: args.strict,
    };
    let mut images = Images::open(set, &checkpoint.model, &options)?;
    let bar = progress("observing", images.len() as u64);
    let mut observation = Observation::new(checkpoint, images.len());
    while let Some(batch) = images.next_batch()? {
        observation.see(&batch.pixels);
        bar.inc(batch.labels.len() as u64);
    }
    bar.finish_and_clear();
    images.report_skipped();
    Ok((observation.finish()?, images.name().into()))
}

fn calibrate_synthetic(
    checkpoint: &Checkpoint,
    seed: u64,
) -> Result<(Statistics, String), CommandError> {
    let mut observation = Observation::new(checkpoint, SYNTHETIC_IMAGES);
    let bytes = SYNTHETIC_IMAGES * checkpoint.model.image_bytes();
    observation.see(&Random(seed).bytes(bytes));
    Ok((
        observation.finish()?,
        format!("{SYNTHETIC_IMAGES} random frames"),
    ))
}

/// Measures the pack in a temporary file, then writes it with its accuracy.
fn measured(
    args: &PackArgs,
    checkpoint: &Checkpoint,
    set: &str,
    writer: &PackWriter<'_>,
) -> Result<(), CommandError> {
    let folder = files::folder(&args.output);
    let temporary = files::temporary(folder)
        .map_err(|source| CommandError::io(folder, "create a temporary file in", source))?;
    writer.finish(temporary.path())?;
    let engine = engine(temporary.path(), "auto")?;
    let options = ImagesOptions {
        limit: args.measure_limit,
        folders: args.class_folders.into(),
        strict: args.strict,
    };
    let images = Images::open(set, &checkpoint.model, &options)?;
    let evaluation = Evaluation::new(engine, Some(checkpoint), None)?;
    let (evaluation, report) = measure(evaluation, images)?;
    let schedules = evaluation.measured(&report.dataset);
    print!("{}", text(&report));
    let pack = Pack::open(temporary.path())?;
    PackWriter::from_pack(&pack)
        .with_schedules(schedules)
        .finish(&args.output)?;
    Ok(())
}
