//! `pack`: from a checkpoint to a pack.

use super::args;
use super::checkpoint::CheckpointArgs;
use super::console::{Console, warn};
use super::error::CommandError;
use super::evaluate::{engine, measure};
use super::images::{ClassFoldersName, Images, ImagesOptions};
use super::output::{self, Input};
use super::progress::Progress;
use super::summary::summary;
use crate::checkpoint::Checkpoint;
use crate::dataset::ClassFolders;
use crate::evaluate::Evaluation;
use crate::observe::{Observation, Observer, Statistics};
use crate::pack::{build, provenance};
use crate::quantize::Quantizer;
use crate::report::text;
use crate::zero_shot::{TextEmbeddings, TextEmbeddingsError};
use clap::{Args, ValueEnum};
use mergevit_kernels::testing::Random;
use mergevit_runtime::{ModelConfig, Pack, PackWriter, Provenance, Schedule, labels};
use std::path::PathBuf;
use std::time::Instant;

/// Random frames on which a random model is calibrated.
const SYNTHETIC_IMAGES: usize = 8;

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
    /// Calibration set: folder:DIR or idx:IMAGES[.gz],LABELS[.gz]
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
    /// Tokens to merge in every layer: one schedule per number, named r0, r8, ...
    #[arg(long, value_name = "R", value_delimiter = ',', default_value = "0")]
    #[arg(value_parser = args::merge, allow_hyphen_values = true)]
    merge: Vec<u16>,
    /// A schedule with r for each layer; may be repeated
    #[arg(long, value_name = "NAME=R0,R1,...", value_parser = args::schedule)]
    schedule: Vec<Schedule>,
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
    #[command(flatten)]
    stated: CheckpointArgs,
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

    /// Checks that no two schedules have one name.
    ///
    /// # Errors
    /// [`CommandError::Usage`].
    fn check_names(&self) -> Result<(), CommandError> {
        let constant = self.merge.iter().map(|r| format!("r{r}"));
        let named = self.schedule.iter().map(|schedule| schedule.name.clone());
        let names: Vec<String> = constant.chain(named).collect();
        let repeated = names
            .iter()
            .enumerate()
            .find(|(at, name)| names[..*at].contains(name));
        match repeated {
            None => Ok(()),
            Some((_, name)) => Err(CommandError::Usage(format!(
                "two schedules are named {name}; --merge R names one rR, --schedule gives any name"
            ))),
        }
    }

    /// The schedules, fit for the model.
    ///
    /// # Errors
    /// [`CommandError::Usage`].
    fn schedules(&self, model: &ModelConfig) -> Result<Vec<Schedule>, CommandError> {
        let constant = self
            .merge
            .iter()
            .map(|&r| Schedule::constant(r, model.depth));
        let schedules: Vec<_> = constant.chain(self.schedule.iter().cloned()).collect();
        for Schedule { name, merge, .. } in &schedules {
            let refuse = |reason| CommandError::Usage(format!("schedule {name}: {reason}"));
            if merge.len() != model.depth {
                let (found, expected) = (merge.len(), model.depth);
                return Err(refuse(format!(
                    "r for {found} layers, expected {expected} layers"
                )));
            }
            for &r in merge {
                args::check_merge(r, model).map_err(refuse)?;
            }
        }
        // Whatever else a pack asks of them.
        PackWriter::new(model.clone(), schedules.clone(), Provenance::default())
            .map_err(|error| CommandError::Usage(error.to_string()))?;
        Ok(schedules)
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

    /// Opens the calibration set, whose labels nobody needs.
    fn open_calibration(
        &self,
        model: &ModelConfig,
        console: Console,
    ) -> Result<Option<Images>, CommandError> {
        let options = ImagesOptions {
            limit: Some(self.limit),
            folders: ClassFolders::Ignored,
            strict: self.strict,
            console,
        };
        let images = self.images.as_deref();
        images
            .map(|spec| Images::open(spec, model, &options))
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
            limit: self.measure_limit,
            folders: self.class_folders.into(),
            strict: self.strict,
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

/// Runs the command: all that can be checked is checked before the work begins.
///
/// # Errors
/// [`CommandError`]; the output file is then unchanged.
pub(super) fn run(args: &PackArgs, console: Console) -> Result<(), CommandError> {
    let start = Instant::now();
    let observer = args.observer()?;
    args.check_names()?;
    let output = output::open("--output", &args.output, &args.inputs())?;
    output::check_binary(&output)?;
    let mut checkpoint = args.load()?;
    let texts = args.texts(&mut checkpoint.model)?;
    let schedules = args.schedules(&checkpoint.model)?;
    let calibration = args.open_calibration(&checkpoint.model, console)?;
    let measured = args.open_measured(&checkpoint.model, console)?;

    let (statistics, set) = match calibration {
        Some(images) => observe(&checkpoint, images, console)?,
        None => observe_synthetic(&checkpoint, args.seed, console)?,
    };
    let progress = Progress::new(console, "quantizing", checkpoint.model.depth, 1);
    let model = Quantizer::new()
        .with_observer(observer)
        .on_layer(|| progress.step())
        .quantize(&checkpoint, &statistics);
    drop(progress);
    let provenance = provenance(&checkpoint, set, statistics.images, observer);
    let mut writer = build(&checkpoint, &model, schedules, provenance)?;
    if let Some(texts) = texts {
        writer = writer.with_classes(texts.into_classes())?;
    }
    if let Some(images) = measured {
        let schedules = measure_pack(&checkpoint, &writer, images, console)?;
        writer = writer.with_schedules(schedules);
    }
    let bytes = writer.to_bytes()?;
    output::write(&output, &bytes)?;
    let path = (!output.is_standard_output()).then_some(args.output.as_path());
    console.say(&summary(&Pack::from_memory(bytes)?, path, start.elapsed()));
    match path {
        Some(path) => output::print(&format!("{}\n", path.display())),
        None => Ok(()),
    }
}

fn observe(
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

fn observe_synthetic(
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

/// Measures the pack before it is in any file; its schedules with their accuracy.
fn measure_pack(
    checkpoint: &Checkpoint,
    writer: &PackWriter<'_>,
    images: Images,
    console: Console,
) -> Result<Vec<Schedule>, CommandError> {
    let engine = engine(Pack::from_memory(writer.to_bytes()?)?, "auto")?;
    let evaluation = Evaluation::new(engine, Some(checkpoint), None)?;
    let measured = measure(evaluation, images, console)?;
    console.say(&text(&measured.report));
    console.say("\n");
    Ok(measured.schedules)
}
