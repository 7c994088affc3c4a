//! Image files, wherever their names come from, and the classes that they are of.

use super::classes::{ClassFolders, Classes, Matching};
use super::error::DatasetError;
use super::image::Image;
use mergevit_kernels::frame::PixelFormat;
use mergevit_runtime::image;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Pixels above which an image is decoded while no other large one is: 8 megapixels take 24 MB, but the largest image
/// takes some hundred, on every thread at once.
const LARGE: usize = 8 << 20;

/// Image files with the names of their classes, as a folder or a list has them.
pub(super) struct Found {
    /// Each file, and which of `names` it has: none if it is not labelled, several if several classes are right.
    pub(super) images: Vec<(PathBuf, Vec<usize>)>,
    /// The classes' names in alphabetical order, each once; some may have no image.
    pub(super) names: Vec<String>,
    /// What has such a name: `class folder`.
    pub(super) what: &'static str,
}

/// Which numbers the names of classes become.
pub(super) enum Numbering<'a> {
    /// Those of a model's classes.
    Model {
        /// One a class, or none.
        labels: &'a [String],
        classes: usize,
        rule: ClassFolders,
    },
    /// The names are the classes.
    Own,
}

impl Numbering<'_> {
    /// Whether classes mean nothing.
    pub(super) fn is_ignored(&self) -> bool {
        let rule = match self {
            Self::Model { rule, .. } => *rule,
            Self::Own => ClassFolders::All,
        };
        rule == ClassFolders::Ignored
    }
}

/// Files in the order of their classes, so that images at even distances are of all of them.
pub(super) struct Files {
    files: Vec<(PathBuf, Vec<usize>)>,
    /// Names of the classes, if their order gave the numbers.
    numbered: Vec<String>,
    large: Mutex<()>,
}

impl Files {
    /// Numbers the classes of what was found at `path`.
    ///
    /// # Errors
    /// Names that are no classes of the model.
    pub(super) fn new(
        path: &Path,
        found: Found,
        numbering: &Numbering<'_>,
    ) -> Result<Self, DatasetError> {
        let Found {
            images: mut files,
            names,
            what,
        } = found;
        let numbered = match numbering {
            ignored if ignored.is_ignored() => {
                files.iter_mut().for_each(|(_, classes)| classes.clear());
                Vec::new()
            }
            Numbering::Own => names,
            // Nothing is labelled, so there is nothing to match.
            Numbering::Model { .. } if names.is_empty() => Vec::new(),
            Numbering::Model {
                labels,
                classes,
                rule,
            } => {
                let mut counts = vec![0; names.len()];
                let own = files.iter().flat_map(|(_, classes)| classes);
                own.for_each(|&name| counts[name] += 1);
                let matching = Matching {
                    path,
                    labels,
                    classes: *classes,
                    rule: *rule,
                    what,
                };
                let counted: Vec<_> = names.iter().cloned().zip(counts).collect();
                let Classes { numbers, by_order } = matching.number(&counted)?;
                for (_, classes) in &mut files {
                    classes
                        .iter_mut()
                        .for_each(|class| *class = numbers[*class]);
                }
                if by_order { names } else { Vec::new() }
            }
        };
        Ok(Self {
            files,
            numbered,
            large: Mutex::new(()),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// The classes of a file.
    pub(super) fn classes(&self, index: usize) -> &[usize] {
        &self.files[index].1
    }

    pub(super) fn numbered(&self) -> &[String] {
        &self.numbered
    }

    pub(super) fn path(&self, index: usize) -> &Path {
        &self.files[index].0
    }

    /// Decodes an image and hands it to `use_it`.
    pub(super) fn with<T>(
        &self,
        index: usize,
        use_it: impl FnOnce(Image) -> Result<T, DatasetError>,
    ) -> Result<T, DatasetError> {
        let (path, classes) = &self.files[index];
        let (width, height) = image::dimensions(path)?;
        let alone = (width * height > LARGE)
            .then(|| self.large.lock().unwrap_or_else(PoisonError::into_inner));
        let rgb = image::decode(path)?;
        let result = use_it(Image {
            format: PixelFormat::Rgb,
            width: rgb.width(),
            height: rgb.height(),
            bytes: rgb.into_pixels(),
            label: classes.first().copied(),
        });
        drop(alone);
        result
    }
}
