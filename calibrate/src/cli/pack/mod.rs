//! `pack`: from a checkpoint to a pack.

mod auto;
mod cascades;
mod chosen;
mod confidence;
mod front;
mod judged;
mod latency;
mod merging;
mod named;
mod observing;
mod sets;

use super::args;
use super::checkpoint::CheckpointArgs;
use super::console::{Console, warn};
use super::error::CommandError;
use super::evaluate::engine;
use super::images::{ClassFoldersName, Images, ImagesOptions, Limit, ReadingArgs};
use super::measure::{MeasureOptions, Measured, measure};
use super::output::{self, Input};
use super::progress::Progress;
use super::reports::{ReportArgs, Reports};
use super::summary::summary;
use crate::checkpoint::Checkpoint;
use crate::evaluate::Evaluation;
use crate::observe::{Observer, Statistics};
use crate::pack::{build, provenance};
use crate::quantize::{PackedModel, Quantizer};
use crate::report::text;
use crate::zero_shot::{TextEmbeddings, TextEmbeddingsError};
use clap::{Args, ValueEnum};
use front::Front;
use judged::Judged;
use mergevit_runtime::{ModelConfig, OutputFile, Pack, PackWriter, Schedule, ScoreKind, labels};
use named::ScheduleArgs;
use observing::{observe, observe_synthetic};
use sets::{HeldOut, Sets, SetsOptions};
use std::path::PathBuf;
use std::time::Instant;

/// Percentage that the percentile observer covers unless told otherwise.
const PERCENTILE: f64 = 99.99;

/// Calibrate a checkpoint to INT8 and pack it
///
/// Prints the pack's path, and nothing else, on standard output.
#[derive(Clone, Debug, Args)]
pub(super) struct PackArgs {
    /// The checkpoint: a folder with config.json and model.safetensors, shards or pytorch_model.bin, or the file of weights
    #[arg(long, short, value_name = "DIR-or-FILE")]
    #[arg(required_unless_present = "random_weights")]
    checkpoint: Option<PathBuf>,
    /// Random weights of this architecture instead of a checkpoint, to measure speed
    #[arg(long, value_name = "ARCHITECTURE", conflicts_with = "checkpoint")]
    random_weights: Option<String>,
    /// Seed of the random weights and frames
    #[arg(long, default_value_t = 0, requires = "random_weights")]
    seed: u64,
    /// Calibration set: folder:DIR, list:FILE.csv or idx:IMAGES[.gz],LABELS[.gz]
    #[arg(long, short, value_name = "DATASET")]
    #[arg(
        required_unless_present = "random_weights",
        conflicts_with = "random_weights"
    )]
    images: Option<String>,
    /// Number of calibration images
    #[arg(long, value_name = "N", default_value_t = 256)]
    #[arg(value_parser = args::images, allow_negative_numbers = true)]
    limit: usize,
    /// The pack to write; - is standard output
    #[arg(long, short, value_name = "M.mvit")]
    output: PathBuf,
    #[command(flatten)]
    schedules: ScheduleArgs,
    /// How to choose the ranges of activations
    #[arg(long, value_enum, default_value_t = ObserverName::Mse)]
    observer: ObserverName,
    /// Percentage of the values that the percentile observer covers [default: 99.99]
    #[arg(long, value_name = "P", value_parser = args::percentile, allow_negative_numbers = true)]
    percentile: Option<f64>,
    /// Labelled set on which to measure the new pack's accuracy, which the pack then stores
    #[arg(long, value_name = "DATASET", conflicts_with = "random_weights")]
    measure: Option<String>,
    /// Use only this many images of it
    #[arg(long, value_name = "N", requires = "measure")]
    #[arg(value_parser = args::images, allow_negative_numbers = true)]
    measure_limit: Option<usize>,
    /// Class names instead of the checkpoint's: one a line, or JSON (a list, or id2label)
    #[arg(long, value_name = "FILE")]
    labels: Option<PathBuf>,
    /// Classify by the text embeddings in this safetensors file, which README.md shows how to make: for models
    /// whose output is an embedding
    #[arg(long, value_name = "FILE", conflicts_with = "labels")]
    text_embeddings: Option<PathBuf>,
    /// Temperature of their scores instead of the file's: 0.01 is a logit scale of 100
    #[arg(long, value_name = "T", requires = "text_embeddings")]
    #[arg(value_parser = args::temperature, allow_negative_numbers = true)]
    temperature: Option<f32>,
    /// Each class is right or wrong for itself, with a probability of its own: for models trained so
    #[arg(long)]
    multi_label: bool,
    #[command(flatten)]
    stated: CheckpointArgs,
    /// How sub-folders become classes; where those of the calibration set are no classes, it needs none
    #[arg(long, value_enum, default_value_t = ClassFoldersName::All)]
    class_folders: ClassFoldersName,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    reports: ReportArgs,
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

impl PackArgs {
    /// How ranges are chosen.
    ///
    /// # Errors
    /// [`CommandError::Usage`]: a percentage without the observer that takes it.
    fn observer(&self) -> Result<Observer, CommandError> {
        match (self.observer, self.percentile) {
            (ObserverName::Percentile, percentile) => {
                Ok(Observer::Percentile(percentile.unwrap_or(PERCENTILE)))
            }
            (_, Some(_)) => Err(CommandError::Usage(
                "--percentile is for --observer percentile, and the observer is another".into(),
            )),
            (ObserverName::Minmax, None) => Ok(Observer::MinMax),
            (ObserverName::Mse, None) => Ok(Observer::Mse),
        }
    }

    fn inputs(&self) -> Vec<Input> {
        let mut inputs = Vec::new();
        if let Some(checkpoint) = &self.checkpoint {
            inputs.extend(Input::checkpoint("--checkpoint", checkpoint));
        }
        if let Some(texts) = &self.text_embeddings {
            inputs.push(Input::file("--text-embeddings", texts));
        }
        if let Some(images) = &self.images {
            inputs.extend(Input::set("--images", images));
        }
        if let Some(images) = &self.measure {
            inputs.extend(Input::set("--measure", images));
        }
        inputs
    }

    /// The checkpoint, with the labels that the user gives it.
    fn load(&self) -> Result<Checkpoint, CommandError> {
        let mut checkpoint = match (&self.checkpoint, &self.random_weights) {
            (Some(path), _) => self.stated.load(path)?,
            (None, Some(architecture)) => Checkpoint::random(architecture, self.seed)?,
            (None, None) => unreachable!("clap requires one of them"),
        };
        if self.multi_label {
            checkpoint.model.score_kind = ScoreKind::Sigmoid;
        }
        if let Some(path) = &self.labels {
            checkpoint.model.labels = labels::read(path, checkpoint.model.classes)?;
        }
        let labels = &checkpoint.model.labels;
        if let Some(&(first, second)) = labels::duplicates(labels).first() {
            warn(&format!(
                "warning: classes {first} and {second} are both labelled {:?}\n",
                labels[first]
            ));
        }
        Ok(checkpoint)
    }

    /// The text embeddings, by which `model` then classifies.
    fn texts(&self, model: &mut ModelConfig) -> Result<Option<TextEmbeddings>, CommandError> {
        let Some(path) = &self.text_embeddings else {
            return Ok(None);
        };
        let fail = |error: TextEmbeddingsError| CommandError::TextEmbeddings {
            path: path.clone(),
            source: error,
        };
        let texts = TextEmbeddings::load(path, self.temperature).map_err(fail)?;
        texts.apply(model).map_err(fail)?;
        Ok(Some(texts))
    }

    /// Opens the calibration set and takes it apart.
    fn open_sets(
        &self,
        model: &ModelConfig,
        console: Console,
    ) -> Result<Option<Sets>, CommandError> {
        let schedules = &self.schedules;
        let options = SetsOptions {
            cache: self.reading.cache.clone(),
            folders: self.class_folders.into(),
            strict: self.reading.strict,
            calibration: self.limit,
            held_out: [schedules.choose_limit, schedules.validate_limit],
            is_judged: schedules.is_judged() || self.reports.is_any(),
            console,
        };
        let images = self.images.as_deref();
        images
            .map(|spec| sets::open(spec, model, &options))
            .transpose()
    }

    /// Opens the set to measure on.
    fn open_measured(
        &self,
        model: &ModelConfig,
        console: Console,
    ) -> Result<Option<Images>, CommandError> {
        let Some(spec) = &self.measure else {
            return Ok(None);
        };
        let options = ImagesOptions {
            limit: self.measure_limit.map(Limit::Images),
            cache: self.reading.cache.clone(),
            folders: self.class_folders.into(),
            strict: self.reading.strict,
            console,
        };
        if !model.classifies() {
            return Err(CommandError::Usage(format!(
                "--measure {spec}: the model gives embeddings, and no classes of which some could be right"
            )));
        }
        let images = Images::open(spec, model, &options)?;
        if !images.is_labelled() {
            return Err(CommandError::Usage(format!(
                "--measure {spec}: the set has no labels, which accuracy needs"
            )));
        }
        Ok(Some(images))
    }
}

/// All that the command reads, checked, and the files that it will write.
struct Opened {
    observer: Observer,
    output: OutputFile,
    reports: Reports,
    checkpoint: Checkpoint,
    texts: Option<TextEmbeddings>,
    schedules: Vec<Schedule>,
    /// None of a random model.
    sets: Option<Sets>,
    /// The set whose accuracy the pack stores.
    measured: Option<Images>,
    /// Without it, the images that the report is of.
    reported: Option<Images>,
}

impl PackArgs {
    fn open(&self, console: Console) -> Result<Opened, CommandError> {
        let observer = self.observer()?;
        self.schedules.check()?;
        let inputs = self.inputs();
        let output = output::open("--output", &self.output, &inputs)?;
        output::check_binary(&output)?;
        let reports = self.reports.open(&inputs)?;
        reports.check_distinct("--output", &output)?;
        let mut checkpoint = self.load()?;
        let texts = self.texts(&mut checkpoint.model)?;
        let schedules = self.schedules.schedules(&checkpoint.model)?;
        let sets = self.open_sets(&checkpoint.model, console)?;
        if sets.is_none() && self.schedules.chooses() {
            let reason =
                "--merge auto and --agreement choose on images, and random weights have none";
            return Err(CommandError::Usage(reason.into()));
        }
        let measured = self.open_measured(&checkpoint.model, console)?;
        let reported = match &sets {
            Some(sets) if measured.is_none() && reports.is_any() => sets.validate.again(),
            _ => None,
        };
        if reports.is_any() && measured.is_none() && reported.is_none() {
            let reason = "a report needs images: --measure, or --images and some --validate-limit";
            return Err(CommandError::Usage(reason.into()));
        }
        Ok(Opened {
            observer,
            output,
            reports,
            checkpoint,
            texts,
            schedules,
            sets,
            measured,
            reported,
        })
    }
}

/// Runs the command: all that can be checked is checked before the work begins.
///
/// # Errors
/// [`CommandError`]; the output file is then unchanged.
pub(super) fn run(args: &PackArgs, console: Console) -> Result<(), CommandError> {
    let start = Instant::now();
    let opened = args.open(console)?;
    let (checkpoint, observer) = (&opened.checkpoint, opened.observer);
    let (statistics, set, held_out) = match opened.sets {
        Some(sets) => {
            let (statistics, set) = observe(checkpoint, sets.calibration, console)?;
            let held_out = (sets.choose, sets.validate, sets.present_classes);
            (statistics, set, Some(held_out))
        }
        None => {
            let (statistics, set) = observe_synthetic(checkpoint, args.seed, console)?;
            (statistics, set, None)
        }
    };
    let model = quantize(checkpoint, &statistics, observer, console);
    let provenance = provenance(checkpoint, set, statistics.images, observer);
    let mut writer = build(checkpoint, &model, opened.schedules.clone(), provenance)?;
    if let Some(texts) = opened.texts {
        writer = writer.with_classes(texts.into_classes())?;
    }
    let mut front = Front::default();
    if let Some((choose, validate, present_classes)) = held_out {
        let judged = Judged {
            checkpoint,
            writer: &writer,
            choose: &HeldOut::read(choose, console)?,
            validate: &HeldOut::read(validate, console)?,
            present_classes,
            console,
        };
        let chosen = judged.choose(&args.schedules, opened.schedules)?;
        front = chosen.front;
        writer = writer
            .with_schedules(chosen.schedules)
            .with_cascades(chosen.cascades);
    }
    let options = MeasureOptions {
        why: None,
        looks_closer: opened.reports.is_any(),
        console,
    };
    let mut report = None;
    if let Some(images) = opened.measured {
        let measured = measure_pack(checkpoint, &writer, images, &options)?;
        writer = writer.with_schedules(measured.schedules);
        report = Some(measured.report);
    } else if let Some(images) = opened.reported {
        report = Some(measure_pack(checkpoint, &writer, images, &options)?.report);
    }
    let bytes = writer.to_bytes()?;
    output::write(&opened.output, &bytes)?;
    let pack = Pack::from_memory(bytes)?;
    let path = (!opened.output.is_standard_output()).then_some(args.output.as_path());
    if let Some(report) = report {
        opened.reports.write(&front.complete(report, &pack, path))?;
    }
    console.say(&summary(&pack, path, start.elapsed()));
    match path {
        Some(path) if !opened.reports.take_standard_output() => {
            output::print(&format!("{}\n", path.display()))
        }
        _ => Ok(()),
    }
}

/// The tensors in INT8.
fn quantize(
    checkpoint: &Checkpoint,
    statistics: &Statistics,
    observer: Observer,
    console: Console,
) -> PackedModel {
    let progress = Progress::new(console, "quantizing", checkpoint.model.depth, 1);
    Quantizer::new()
        .with_observer(observer)
        .on_layer(|| progress.step())
        .quantize(checkpoint, statistics)
}

/// Measures the pack before it is in any file.
fn measure_pack(
    checkpoint: &Checkpoint,
    writer: &PackWriter<'_>,
    images: Images,
    options: &MeasureOptions,
) -> Result<Measured, CommandError> {
    let engine = engine(Pack::from_memory(writer.to_bytes()?)?, "auto")?;
    let evaluation = Evaluation::new(engine, Some(checkpoint), None)?;
    let measured = measure(evaluation, images, options)?;
    options.console.say(&text(&measured.report));
    options.console.say("\n");
    Ok(measured)
}
