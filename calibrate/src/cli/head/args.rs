//! What `head` is told.

use crate::cli::args::per_cent;
use crate::cli::error::CommandError;
use crate::cli::evaluate::engine;
use crate::cli::images::{Limit, ReadingArgs};
use crate::cli::output::{self, Input};
use crate::cli::reports::{ReportArgs, Reports};
use crate::head::{HeadKind, HeadOptions};
use clap::{Args, ValueEnum};
use mergevit_runtime::{Engine, LoadError, OutputFile, OutputKind, Pack};
use std::path::PathBuf;

/// Make a classifier of your own classes on a pack that gives embeddings, from some images of each
///
/// Needs no GPU and no training of the network: 10 images of each class are enough to start. Says how good the classifier
/// is on images that it was not made from. Prints the new pack's path, and nothing else, on standard output.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct HeadArgs {
    /// A pack that gives embeddings: `pack --headless` makes one of any checkpoint
    #[arg(long, short, value_name = "BACKBONE.mvit")]
    pub(super) model: PathBuf,
    /// Images of every class: folder:DIR with a sub-folder a class, list:FILE.csv, or idx:IMAGES[.gz],LABELS[.gz]
    #[arg(long, short, value_name = "DATASET", required_unless_present = "add")]
    pub(super) images: Option<String>,
    /// Use only N of the images, or N/class, so many of each class
    #[arg(long, value_name = "N[/class]", requires = "images")]
    pub(super) limit: Option<Limit>,
    /// One more class for a pack that has some: a folder of its images, whose name becomes the class's. Without
    /// --images, the classes that there are stay as they are; of a linear classifier, --images must have images of them
    #[arg(long, value_name = "FOLDER")]
    pub(super) add: Option<PathBuf>,
    /// The pack to write; - is standard output
    #[arg(long, short, value_name = "M.mvit")]
    pub(super) output: PathBuf,
    /// What the classifier is made of [default: linear, or what the pack has that a class is added to]
    #[arg(long, value_enum)]
    pub(super) kind: Option<KindName>,
    /// The classes, in this order: names one a line, or JSON; without it they are named by folders, in alphabetical order
    #[arg(long, value_name = "FILE", requires = "images", conflicts_with = "add")]
    pub(super) labels: Option<PathBuf>,
    /// The pack's schedule whose embeddings the classifier is made for [default: the first that merges nothing]
    #[arg(long, value_name = "NAME")]
    pub(super) schedule: Option<String>,
    /// Share of images of the classes that may be called unknown
    #[arg(long, value_name = "PER CENT", default_value = "1%", value_parser = per_cent)]
    pub(super) unknown: f64,
    /// Call no image unknown
    #[arg(long, conflicts_with = "unknown")]
    pub(super) no_unknown: bool,
    /// Parts that the images are divided in, to choose and to judge by each what was made of the others
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u8).range(2..=20))]
    pub(super) folds: u8,
    /// Backend that runs the pack: auto, reference, cpu, or one that `mergevit doctor` lists
    #[arg(long, default_value = "auto")]
    pub(super) backend: String,
    #[command(flatten)]
    pub(super) reading: ReadingArgs,
    #[command(flatten)]
    pub(super) reports: ReportArgs,
}

/// Names of what classifiers are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum KindName {
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
pub(super) struct Outputs {
    pub(super) pack: OutputFile,
    pub(super) reports: Reports,
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
    pub(super) fn outputs(&self) -> Result<Outputs, CommandError> {
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
    pub(super) fn engine(&self) -> Result<Engine, CommandError> {
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

    pub(super) fn options(&self, kind: HeadKind) -> HeadOptions {
        HeadOptions {
            kind,
            folds: usize::from(self.folds),
            unknown: (!self.no_unknown).then_some(self.unknown),
        }
    }
}
