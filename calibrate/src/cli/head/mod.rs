//! `head`: a classifier of the user's own classes, on a pack that gives embeddings.

mod add;
mod data;
mod outcome;

use super::args;
use super::console::Console;
use super::error::CommandError;
use super::evaluate::engine;
use super::images::Limit;
use super::output::{self, Input};
use super::progress::Progress;
use super::reports::{ReportArgs, Reports};
use crate::head::{Features, HeadKind, HeadOptions, assess, folds_of, make};
use clap::{Args, ValueEnum};
use data::Own;
use mergevit_runtime::{Engine, LoadError, OutputFile, OutputKind, Pack};
use std::path::PathBuf;
use std::time::Instant;

/// Make a classifier of your own classes on a pack that gives embeddings, from some images of each
///
/// Needs no GPU and no training of the network: 10 images of each class are enough to start. Says how good the classifier
/// is on images that it was not made from. Prints the new pack's path, and nothing else, on standard output.
#[derive(Clone, Debug, Args)]
pub(super) struct HeadArgs {
    /// A pack that gives embeddings: `pack --headless` makes one of any checkpoint
    #[arg(long, short, value_name = "BACKBONE.mvit")]
    model: PathBuf,
    /// Images of every class: folder:DIR with a sub-folder a class, list:FILE.csv, or idx:IMAGES[.gz],LABELS[.gz]
    #[arg(long, short, value_name = "DATASET", required_unless_present = "add")]
    images: Option<String>,
    /// Use only N of the images, or N/class, so many of each class
    #[arg(long, value_name = "N[/class]", requires = "images")]
    limit: Option<Limit>,
    /// One more class for a pack that has some: a folder of its images, whose name becomes the class's. Without
    /// --images, the classes that there are stay as they are; of a linear classifier, --images must have images of them
    #[arg(long, value_name = "FOLDER")]
    add: Option<PathBuf>,
    /// The pack to write; - is standard output
    #[arg(long, short, value_name = "M.mvit")]
    output: PathBuf,
    /// What the classifier is made of [default: linear, or what the pack has that a class is added to]
    #[arg(long, value_enum)]
    kind: Option<KindName>,
    /// The classes, in this order: names one a line, or JSON; without it they are named by folders, in alphabetical order
    #[arg(long, value_name = "FILE", requires = "images", conflicts_with = "add")]
    labels: Option<PathBuf>,
    /// The pack's schedule whose embeddings the classifier is made for [default: the first that merges nothing]
    #[arg(long, value_name = "NAME")]
    schedule: Option<String>,
    /// Share of images of the classes that may be called unknown
    #[arg(long, value_name = "PER CENT", default_value = "1%", value_parser = args::per_cent)]
    unknown: f64,
    /// Call no image unknown
    #[arg(long, conflicts_with = "unknown")]
    no_unknown: bool,
    /// Parts that the images are divided in, to choose and to judge by each what was made of the others
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=20))]
    folds: u8,
    /// Backend that runs the pack: auto, reference, cpu, or one that `mergevit doctor` lists
    #[arg(long, default_value = "auto")]
    backend: String,
    /// Keep images at model resolution in this folder, so that the next command need not decode them
    #[arg(long, value_name = "FOLDER")]
    cache: Option<PathBuf>,
    /// Fail at the first image that cannot be read, instead of skipping it
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    reports: ReportArgs,
}

/// Names of what classifiers are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum KindName {
    /// A linear layer: logistic regression, regularized by cross-validation
    Linear,
    /// The mean direction of each class's images: classes can be added later
    Prototypes,
}

impl From<KindName> for HeadKind {
    fn from(name: KindName) -> Self {
        match name {
            KindName::Linear => Self::Linear,
            KindName::Prototypes => Self::Prototypes,
        }
    }
}

/// The files to write.
struct Outputs {
    pack: OutputFile,
    reports: Reports,
}

impl HeadArgs {
    fn inputs(&self) -> Vec<Input> {
        let mut inputs = vec![Input::file("--model", &self.model)];
        if let Some(labels) = &self.labels {
            inputs.push(Input::file("--labels", labels));
        }
        if let Some(images) = &self.images {
            inputs.extend(Input::set("--images", images));
        }
        inputs
    }

    /// Opens every file to write.
    ///
    /// # Errors
    /// [`CommandError::Output`], [`CommandError::Usage`].
    fn outputs(&self) -> Result<Outputs, CommandError> {
        let inputs = self.inputs();
        let pack = output::open("--output", &self.output, &inputs)?;
        output::check_binary(&pack)?;
        let reports = self.reports.open(&inputs)?;
        reports.check_distinct("--output", &pack)?;
        Ok(Outputs { pack, reports })
    }

    /// The pack in an engine, under the schedule that the classifier is made for.
    ///
    /// # Errors
    /// [`CommandError::HasClasses`], an unknown schedule, and what an engine may refuse.
    fn engine(&self) -> Result<Engine, CommandError> {
        let pack = Pack::open(&self.model)?;
        if pack.config().output == OutputKind::Logits {
            return Err(CommandError::HasClasses {
                path: self.model.clone(),
                classes: pack.config().classes,
            });
        }
        let schedules = pack.schedules();
        let schedule = match &self.schedule {
            Some(name) => pack.schedule_index(name).map_err(LoadError::from)?,
            None => schedules
                .iter()
                .position(|own| own.is_unmerged())
                .unwrap_or(0),
        };
        let name = schedules[schedule].name.clone();
        let mut engine = engine(pack, &self.backend)?;
        engine.set_schedule(&name)?;
        Ok(engine)
    }

    fn options(&self, kind: HeadKind) -> HeadOptions {
        HeadOptions {
            kind,
            folds: usize::from(self.folds),
            unknown: (!self.no_unknown).then_some(self.unknown),
        }
    }
}

/// Runs the command: all that can be checked is checked before the work begins.
///
/// # Errors
/// [`CommandError`]; no output file is then half-written.
pub(super) fn run(args: &HeadArgs, console: Console) -> Result<(), CommandError> {
    let start = Instant::now();
    let outputs = args.outputs()?;
    let mut engine = args.engine()?;
    let outcome = match (&args.images, &args.add) {
        (None, Some(folder)) => add::run(args, folder, &mut engine, console)?,
        (Some(spec), _) => {
            let own = Own::open(args, spec, engine.pack(), console)?;
            let kind = own.kind(args, engine.pack());
            let (features, own) = own.embed(&mut engine, console)?;
            learn(&features, own, &args.options(kind), console)
        }
        (None, None) => unreachable!("clap requires one of them"),
    };
    let bytes = outcome.pack(&engine, &args.options(outcome.kind))?;
    output::write(&outputs.pack, &bytes)?;
    let path = (!outputs.pack.is_standard_output()).then_some(args.output.as_path());
    let pack = Pack::from_memory(bytes)?;
    console.say(&outcome.text(&pack, path, start.elapsed()));
    if outputs.reports.is_any() {
        outputs
            .reports
            .write(&outcome.report(&pack, path, engine.backend()))?;
    }
    let is_taken = outputs.reports.take_standard_output();
    match path {
        Some(path) if !is_taken => output::print(&format!("{}\n", path.display())),
        _ => Ok(()),
    }
}

/// Makes the classifier, and judges it.
fn learn(
    features: &Features,
    own: data::Facts,
    options: &HeadOptions,
    console: Console,
) -> outcome::Outcome {
    let progress = Progress::new(console, "judging", folds_of(features, options), 1);
    let assessment = assess(features, &own.labels, options, &|| progress.step());
    drop(progress);
    let head = make(features, &own.labels, options);
    outcome::Outcome {
        kind: options.kind,
        head,
        counts: features.counts(),
        assessment,
        facts: own,
    }
}
