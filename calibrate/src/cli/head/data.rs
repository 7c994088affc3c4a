//! The user's images and classes, and the embeddings of the images.

use super::args::HeadArgs;
use crate::cli::console::{Console, warn};
use crate::cli::error::CommandError;
use crate::cli::images::Images;
use crate::cli::progress::Progress;
use crate::dataset::{ClassFolders, Dataset};
use crate::head::{Features, HeadKind};
use mergevit_runtime::words::Count;
use mergevit_runtime::{EmbeddingClassifier, Engine, ModelConfig, Pack, labels};
use std::path::Path;

/// Images of a class below which the user is told that there are few.
const FEW: usize = 10;

/// Classes that are named; more are counted.
const NAMED: usize = 5;

/// What is said of the images beside their embeddings.
pub(super) struct Facts {
    /// The classes.
    pub(super) labels: Vec<String>,
    /// Name of the set.
    pub(super) set: String,
    /// Images that could not be read.
    pub(super) skipped: usize,
}

/// Images of the user's classes.
pub(super) struct Own {
    labels: Vec<String>,
    images: Images,
    /// Of one more class, the last.
    added: Option<Images>,
}

/// The images in a folder, however deep, of one class.
pub(super) fn open_class(
    args: &HeadArgs,
    folder: &Path,
    model: &ModelConfig,
) -> Result<(String, Images), CommandError> {
    let path = folder.canonicalize().unwrap_or_else(|_| folder.into());
    let name = path.file_name().unwrap_or(path.as_os_str());
    let name = name.to_string_lossy().into_owned();
    let spec = format!("folder:{}", folder.display());
    let mut set = Dataset::open_with(&spec, &[], 1, ClassFolders::Ignored)?;
    if let Some(folder) = &args.reading.cache {
        set.keep_in(folder)?;
    }
    Ok((name, Images::of(set, model, args.reading.strict)))
}

/// Checks that a pack could hold these classes.
pub(super) fn check_labels(model: &ModelConfig, labels: &[String]) -> Result<(), CommandError> {
    if let Some((first, second)) = labels::duplicates(labels).first() {
        return Err(CommandError::Usage(format!(
            "classes {first} and {second} are both named {:?}",
            labels[*first]
        )));
    }
    let config = ModelConfig {
        labels: labels.to_vec(),
        classifier: Some(EmbeddingClassifier::Linear),
        ..model.clone()
    };
    let refuse = |error: mergevit_runtime::ConfigError| CommandError::Usage(error.to_string());
    config.validate().map_err(refuse)
}

impl Own {
    /// Opens the images, and checks that there are classes to tell apart and images to learn them from.
    ///
    /// # Errors
    /// [`CommandError::Dataset`], [`CommandError::Labels`]; [`CommandError::Usage`] for images without labels, fewer than
    /// two classes, or a class of fewer than two images.
    pub(super) fn open(
        args: &HeadArgs,
        spec: &str,
        pack: &Pack,
        console: Console,
    ) -> Result<Self, CommandError> {
        let model = pack.config();
        let (mut set, mut labels) = open_set(args, spec, model)?;
        if labels.is_empty() || !set.is_labelled() {
            return Err(CommandError::Usage(format!(
                "--images {spec}: not every image has a label, which a classifier is made from: put each class in a \
                 folder of its own, or give a list of paths and labels"
            )));
        }
        if let Some(limit) = args.limit {
            limit.apply(&mut set);
        }
        if let Some(folder) = &args.reading.cache {
            set.keep_in(folder)?;
        }
        let mut counts = vec![0; labels.len()];
        for index in 0..set.len() {
            let mut classes = set.classes(index);
            match (classes.next(), classes.next()) {
                (Some(class), None) => counts[class] += 1,
                _ => {
                    return Err(CommandError::Usage(format!(
                        "--images {spec}: {} has several labels, expected one",
                        set.image_name(index)
                    )));
                }
            }
        }
        let mut added = None;
        if let Some(folder) = &args.add {
            let (name, images) = open_class(args, folder, model)?;
            labels.push(name);
            counts.push(images.len());
            added = Some(images);
        }
        check_labels(model, &labels)?;
        check_counts(&labels, &counts, console)?;
        Ok(Self {
            labels,
            images: Images::of(set, model, args.reading.strict),
            added,
        })
    }

    /// What the classifier is to be made of: what the user says, else what the pack has that a class is added to.
    pub(super) fn kind(&self, args: &HeadArgs, pack: &Pack) -> HeadKind {
        let has = match pack.config().classifier {
            Some(EmbeddingClassifier::Cosine { .. }) if self.added.is_some() => {
                HeadKind::Prototypes
            }
            _ => HeadKind::Linear,
        };
        args.kind.map_or(has, HeadKind::from)
    }

    /// The embeddings of all images that can be read.
    ///
    /// # Errors
    /// [`CommandError::Dataset`], [`CommandError::Run`]; [`CommandError::Usage`] if too few images of a class are left.
    pub(super) fn embed(
        mut self,
        engine: &mut Engine,
        console: Console,
    ) -> Result<(Features, Facts), CommandError> {
        let columns = engine.pack().config().classes;
        let mut features = Features::new(columns, self.labels.len());
        embed(engine, &mut self.images, &mut features, None, console)?;
        let mut skipped = self.images.skipped();
        if let Some(mut added) = self.added {
            let class = self.labels.len() - 1;
            embed(engine, &mut added, &mut features, Some(class), console)?;
            skipped += added.skipped();
        }
        if skipped > 0 {
            check_counts(&self.labels, &features.counts(), console)?;
        }
        let facts = Facts {
            labels: self.labels,
            set: self.images.name().into(),
            skipped,
        };
        Ok((features, facts))
    }
}

/// The set and its classes: those of a file, or of the pack that a class is added to, or its own.
fn open_set(
    args: &HeadArgs,
    spec: &str,
    model: &ModelConfig,
) -> Result<(Dataset, Vec<String>), CommandError> {
    let labels = match (&args.labels, &args.add) {
        (Some(path), _) => labels::read_all(path)?,
        (None, Some(_)) if model.labels.is_empty() => {
            return Err(CommandError::Usage(
                "--add: the pack has no classes to add one to; give --images alone".into(),
            ));
        }
        (None, Some(_)) => model.labels.clone(),
        (None, None) => return Ok(Dataset::open_own(spec)?),
    };
    let set = Dataset::open_with(spec, &labels, labels.len(), ClassFolders::All)?;
    Ok((set, labels))
}

/// Adds the embeddings of `images` to `features`, all as of `class` if there is one.
pub(super) fn embed(
    engine: &mut Engine,
    images: &mut Images,
    features: &mut Features,
    class: Option<usize>,
    console: Console,
) -> Result<(), CommandError> {
    let progress = Progress::new(console, "embedding", images.len(), 1);
    let (image, most) = (engine.pack().config().image_bytes(), engine.max_batch());
    while let Some(batch) = images.next_batch()? {
        let labels = batch.labels.chunks(most);
        for (pixels, labels) in batch.pixels.chunks(image * most).zip(labels) {
            let output = engine.classify_pixels(pixels)?;
            for (index, label) in labels.iter().enumerate() {
                let embedding = output.embedding(index).unwrap_or_default();
                if let Some(class) = class.or(*label) {
                    features.push(embedding, class);
                }
                progress.step();
            }
        }
    }
    drop(progress);
    images.report_skipped();
    Ok(())
}

/// Checks that there are two classes or more of two images or more, and warns of classes of few.
fn check_counts(labels: &[String], counts: &[usize], console: Console) -> Result<(), CommandError> {
    if labels.len() < 2 {
        return Err(CommandError::Usage(format!(
            "one class, {:?}, and no other to tell it from: expected a folder for each of two classes or more",
            labels[0]
        )));
    }
    if let Some(class) = counts.iter().position(|&count| count < 2) {
        return Err(CommandError::Usage(format!(
            "class {:?} has {}, expected 2 or more, better {FEW}: one to learn from and one to judge by",
            labels[class],
            Count(counts[class] as u64, "image")
        )));
    }
    let few: Vec<String> = labels
        .iter()
        .zip(counts)
        .filter(|(_, count)| **count < FEW)
        .map(|(label, count)| format!("{label} {count}"))
        .collect();
    if !few.is_empty() && !console.is_quiet {
        let named = few[..few.len().min(NAMED)].join(", ");
        let more = if few.len() > NAMED { ", ..." } else { "" };
        warn(&format!(
            "warning: fewer than {FEW} images of {} of {} classes, by which little can be told: {named}{more}\n",
            few.len(),
            labels.len()
        ));
    }
    Ok(())
}
