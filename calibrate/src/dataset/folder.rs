//! Folders of image files: one sub-folder per class as in ImageNet, or flat.

use super::classes::{ClassFolder, ClassFolders, Classes, Matching};
use super::error::DatasetError;
use super::image::Image;
use mergevit_kernels::frame::PixelFormat;
use mergevit_runtime::image;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Pixels above which an image is decoded while no other large one is: 8 megapixels take 24 MB, but the largest image
/// takes some hundred, on every thread at once.
const LARGE: usize = 8 << 20;

pub(super) struct Folder {
    files: Vec<(PathBuf, Option<usize>)>,
    /// Names of the class folders, if their order gave the classes.
    numbered: Vec<String>,
    large: Mutex<()>,
}

/// What is in a folder, sorted, without hidden files such as `.DS_Store` or `.ipynb_checkpoints`.
struct Listing {
    images: Vec<PathBuf>,
    folders: Vec<PathBuf>,
}

fn list(path: &Path) -> Result<Listing, DatasetError> {
    let io = |source| DatasetError::Io {
        path: path.into(),
        source,
    };
    let mut entries = std::fs::read_dir(path)
        .and_then(|entries| {
            entries
                .map(|entry| Ok(entry?.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(io)?;
    entries.retain(|entry| !name(entry).starts_with('.'));
    entries.sort();
    let (folders, mut images): (Vec<_>, Vec<_>) =
        entries.into_iter().partition(|entry| entry.is_dir());
    images.retain(|entry| image::has_known_extension(entry));
    Ok(Listing { images, folders })
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// The first of `folders` that has images in it.
fn with_images(folders: Vec<PathBuf>) -> Result<Option<PathBuf>, DatasetError> {
    for folder in folders {
        if !list(&folder)?.images.is_empty() {
            return Ok(Some(folder));
        }
    }
    Ok(None)
}

impl Folder {
    pub(super) fn open(
        path: &Path,
        labels: &[String],
        classes: usize,
        rule: ClassFolders,
    ) -> Result<Self, DatasetError> {
        if path.is_file() {
            return Err(DatasetError::NoFolder { path: path.into() });
        }
        let Listing { images, folders } = list(path)?;
        let (files, numbered) = if images.is_empty() {
            let matching = Matching {
                path,
                labels,
                classes,
                rule,
            };
            labelled(folders, &matching)?
        } else if let Some(folder) = with_images(folders)? {
            // Class folders beside a stray image would make the whole set look flat.
            return Err(DatasetError::Mixed {
                path: path.into(),
                file: name(&images[0]),
                folder: name(&folder),
            });
        } else {
            let files = images.into_iter().map(|file| (file, None));
            (files.collect(), Vec::new())
        };
        if files.is_empty() {
            let endings = image::EXTENSIONS.map(|end| format!("*.{end}")).join(", ");
            return Err(DatasetError::Empty {
                path: path.into(),
                hint: format!(" ({endings}) in it or in its sub-folders"),
            });
        }
        Ok(Self {
            files,
            numbered,
            large: Mutex::new(()),
        })
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    pub(super) fn is_labelled(&self) -> bool {
        self.files.iter().all(|(_, label)| label.is_some())
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
        let (path, label) = &self.files[index];
        let (width, height) = image::dimensions(path)?;
        let alone = (width * height > LARGE)
            .then(|| self.large.lock().unwrap_or_else(PoisonError::into_inner));
        let rgb = image::decode(path)?;
        let result = use_it(Image {
            format: PixelFormat::Rgb,
            width: rgb.width(),
            height: rgb.height(),
            bytes: rgb.into_pixels(),
            label: *label,
        });
        drop(alone);
        result
    }
}

/// The images of class folders with their classes, and the folders' names if their order gave the classes.
#[expect(
    clippy::type_complexity,
    reason = "files with labels, as a folder keeps them"
)]
fn labelled(
    folders: Vec<PathBuf>,
    matching: &Matching<'_>,
) -> Result<(Vec<(PathBuf, Option<usize>)>, Vec<String>), DatasetError> {
    let mut names: Vec<ClassFolder> = Vec::new();
    let mut contents = Vec::new();
    for folder in folders {
        let listing = list(&folder)?;
        if let Some(nested) = with_images(listing.folders)? {
            return Err(DatasetError::Nested {
                path: folder,
                folder: name(&nested),
            });
        }
        names.push((name(&folder), listing.images.len()));
        contents.push(listing.images);
    }
    if contents.iter().all(Vec::is_empty) {
        return Ok((Vec::new(), Vec::new()));
    }
    let Classes { numbers, by_order } = matching.number(&names)?;
    let files = contents.into_iter().enumerate().flat_map(|(at, images)| {
        let class = numbers.as_ref().map(|numbers| numbers[at]);
        images.into_iter().map(move |file| (file, class))
    });
    let files = files.collect();
    let names = names.into_iter().map(|(name, _)| name);
    Ok((
        files,
        if by_order {
            names.collect()
        } else {
            Vec::new()
        },
    ))
}
