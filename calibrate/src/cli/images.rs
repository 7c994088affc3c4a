//! A data set as batches of the network's pixels.

use super::console::{Console, warn};
use super::error::CommandError;
use crate::dataset::{Batch, ClassFolders, Dataset, DatasetError};
use clap::{Args, ValueEnum};
use mergevit_runtime::ModelConfig;
use mergevit_runtime::words::Count;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::str::FromStr;

/// Images of a batch: enough to keep all threads busy, few enough for memory.
const BATCH: usize = 64;

/// Skipped images and class folders that are named; more are counted.
const NAMED: usize = 5;

/// How a labelled folder's sub-folders become classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ClassFoldersName {
    /// Each is named by a class's label or number, and every class has one
    All,
    /// The same, for a set without images of some classes
    Subset,
    /// The first in alphabetical order is class 0, and so on
    Alphabetical,
}

impl From<ClassFoldersName> for ClassFolders {
    fn from(name: ClassFoldersName) -> Self {
        match name {
            ClassFoldersName::All => Self::All,
            ClassFoldersName::Subset => Self::Subset,
            ClassFoldersName::Alphabetical => Self::Alphabetical,
        }
    }
}

/// How many images of a set are used at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Limit {
    /// In all: every class its share.
    Images(usize),
    /// Of each class.
    PerClass(usize),
}

impl FromStr for Limit {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| match text.trim_end().parse() {
            Ok(images) if images > 0 => Ok(images),
            _ => Err(
                "expected 1 or more images, as in 500, or so many of each class: 20/class".into(),
            ),
        };
        match text.split_once('/') {
            None => number(text).map(Self::Images),
            Some((images, "class")) => number(images).map(Self::PerClass),
            Some(_) => number("").map(Self::Images),
        }
    }
}

impl Limit {
    /// Leaves so many images in use.
    pub(super) fn apply(self, set: &mut Dataset) {
        match self {
            Self::Images(images) => set.limit(images),
            Self::PerClass(images) => set.limit_per_class(images),
        }
    }
}

/// What a command is told of reading images.
#[derive(Clone, Debug, Args)]
pub(super) struct ReadingArgs {
    /// Keep images at model resolution in this folder, so that the next command need not decode them
    #[arg(long, value_name = "FOLDER")]
    pub(super) cache: Option<PathBuf>,
    /// Fail at the first image that cannot be read, instead of skipping it
    #[arg(long)]
    pub(super) strict: bool,
}

/// How a data set is read.
pub(super) struct ImagesOptions {
    /// How many images are used at most.
    pub(super) limit: Option<Limit>,
    /// Where images at model resolution are kept.
    pub(super) cache: Option<PathBuf>,
    pub(super) folders: ClassFolders,
    /// Whether an image that cannot be read is an error, instead of being skipped.
    pub(super) strict: bool,
    /// Where numbered class folders are reported.
    pub(super) console: Console,
}

/// Iterates over a data set in batches, preprocessed for a model.
pub(super) struct Images {
    dataset: Dataset,
    model: ModelConfig,
    strict: bool,
    next: usize,
    skipped: usize,
    /// Why the first image was skipped, until one was not.
    first: Option<DatasetError>,
}

impl Images {
    /// Opens a set, and says how its class folders are numbered if their names do not.
    ///
    /// # Errors
    /// [`CommandError::Dataset`].
    pub(super) fn open(
        spec: &str,
        model: &ModelConfig,
        options: &ImagesOptions,
    ) -> Result<Self, CommandError> {
        // Without classes there is nothing that folders could name.
        let folders = match model.classifies() {
            true => options.folders,
            false => ClassFolders::Ignored,
        };
        let mut dataset = Dataset::open_with(spec, &model.labels, model.scores(), folders)?;
        if let Some(limit) = options.limit {
            limit.apply(&mut dataset);
        }
        if let Some(folder) = &options.cache {
            dataset.keep_in(folder)?;
        }
        log::info!("{spec}: {}", Count(dataset.len() as u64, "image"));
        report_numbers(dataset.numbered_folders(), options.console);
        Ok(Self::of(dataset, model, options.strict))
    }

    /// The images of `dataset`. One that cannot be read is an error if that is `strict`, else it is skipped.
    pub(super) fn of(dataset: Dataset, model: &ModelConfig, strict: bool) -> Self {
        Self {
            dataset,
            model: model.clone(),
            strict,
            next: 0,
            skipped: 0,
            first: None,
        }
    }

    /// Parts of so many images, no image in two of them: see [`Dataset::split`].
    pub(super) fn split(&self, counts: &[usize]) -> Vec<Self> {
        let parts = self.dataset.split(counts).into_iter();
        parts
            .map(|dataset| Self::of(dataset, &self.model, self.strict))
            .collect()
    }

    /// The same images from the first on; none of no images.
    pub(super) fn again(&self) -> Option<Self> {
        let images = self.split(&[self.len()]).pop();
        images.filter(|images| images.len() > 0)
    }

    /// Number of images, with those that will be skipped.
    pub(super) fn len(&self) -> usize {
        self.dataset.len()
    }

    /// Name of the set.
    pub(super) fn name(&self) -> &str {
        self.dataset.name()
    }

    /// Whether images have labels.
    pub(super) fn is_labelled(&self) -> bool {
        self.dataset.is_labelled()
    }

    /// The classes of image `place` of the set, as batches number them.
    pub(super) fn classes(&self, place: usize) -> Vec<usize> {
        self.dataset.classes(place).collect()
    }

    /// How many classes there are images of.
    pub(super) fn present_classes(&self) -> usize {
        let classes = (0..self.len()).flat_map(|place| self.dataset.classes(place));
        classes.collect::<BTreeSet<usize>>().len()
    }

    /// Images that were skipped so far.
    pub(super) fn skipped(&self) -> usize {
        self.skipped
    }

    /// The next images at model resolution, at least one; none after the last.
    ///
    /// # Errors
    /// [`CommandError::Dataset`]: an image that cannot be read if that is asked for, else if none can.
    pub(super) fn next_batch(&mut self) -> Result<Option<Batch>, CommandError> {
        while self.next < self.len() {
            let range = self.next..(self.next + BATCH).min(self.len());
            self.next = range.end;
            let mut batch = self.dataset.batch(range, &self.model);
            for error in batch.skipped.drain(..) {
                self.skip(error)?;
            }
            if !batch.labels.is_empty() {
                self.first = None;
                return Ok(Some(batch));
            }
        }
        match self.first.take() {
            Some(first) if self.skipped == self.len() => Err(DatasetError::Unusable {
                name: self.name().into(),
                count: self.len(),
                first: first.into(),
            }
            .into()),
            _ => Ok(None),
        }
    }

    fn skip(&mut self, error: DatasetError) -> Result<(), CommandError> {
        if self.strict {
            return Err(error.into());
        }
        self.skipped += 1;
        match self.skipped {
            count if count <= NAMED => warn(&format!("warning: skipped: {error}\n")),
            count if count == NAMED + 1 => warn("warning: more are skipped and counted\n"),
            _ => {}
        }
        self.first.get_or_insert(error);
        Ok(())
    }

    /// Some images at model resolution, at most `count`, spread over the set: sets are sorted by class. Those that cannot
    /// be read are left out in silence, because they are met again.
    pub(super) fn spread(&self, count: usize) -> Batch {
        let some = self.dataset.split(&[count]).swap_remove(0);
        some.batch(0..some.len(), &self.model)
    }

    /// What the image at `place` of the set is called, and its pixels at model resolution.
    ///
    /// # Errors
    /// [`CommandError::Dataset`]: it cannot be read any more.
    pub(super) fn at(&self, place: usize) -> Result<(String, Vec<u8>), CommandError> {
        let (pixels, _) = self.dataset.pixels(place..place + 1, &self.model)?;
        Ok((self.dataset.image_name(place), pixels))
    }

    /// Warns how many images were skipped in all.
    pub(super) fn report_skipped(&self) {
        if self.skipped > 0 {
            warn(&format!(
                "warning: {}: {} of {} skipped\n",
                self.name(),
                self.skipped,
                Count(self.len() as u64, "image")
            ));
        }
    }
}

fn report_numbers(folders: &[String], console: Console) {
    if folders.is_empty() {
        return;
    }
    let first = folders.iter().take(NAMED).enumerate();
    let first: Vec<String> = first
        .map(|(class, name)| format!("{class} is {name}"))
        .collect();
    let more = if folders.len() > NAMED { ", ..." } else { "" };
    console.say(&format!(
        "note: class folders are numbered in alphabetical order: {}{more}\n",
        first.join(", ")
    ));
}
