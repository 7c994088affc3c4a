//! Labelled images from folders or IDX files, and their preprocessing for a model.

mod classes;
mod error;
mod folder;
mod idx;
mod image;
mod spec;

pub use self::image::Image;
pub use classes::ClassFolders;
pub use error::DatasetError;

use mergevit_kernels::frame::{Frame, Geometry, MAX_SIDE, Preprocessor, Resize};
use mergevit_runtime::{ModelConfig, ResizeMode};
use rayon::prelude::*;
use spec::Spec;
use std::ops::Range;
use std::path::PathBuf;

enum Source {
    Folder(folder::Folder),
    Idx(idx::Idx),
}

/// A data set. Images of a folder are decoded on demand.
pub struct Dataset {
    name: String,
    source: Source,
    len: usize,
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dataset")
            .field("name", &self.name)
            .field("len", &self.len)
            .finish()
    }
}

/// Images at model resolution, and what could not be one.
#[derive(Debug)]
pub struct Batch {
    /// u8 (N, S, S, 3)
    pub pixels: Vec<u8>,
    /// (N) their classes.
    pub labels: Vec<Option<usize>>,
    /// (N) their places in the set.
    pub places: Vec<usize>,
    /// Why other images of the range are not among them.
    pub skipped: Vec<DatasetError>,
}

impl Dataset {
    /// Opens `folder:DIR` (one sub-folder per class, or flat and unlabelled) or
    /// `idx:IMAGES[.gz][,LABELS[.gz]]` (the MNIST container), both with images of all classes.
    ///
    /// # Errors
    /// As [`Dataset::open_with`].
    pub fn open(spec: &str, labels: &[String], classes: usize) -> Result<Self, DatasetError> {
        Self::open_with(spec, labels, classes, ClassFolders::All)
    }

    /// Opens a set whose class folders are matched with the model's `classes`, of which `labels` has the names, as
    /// `folders` says.
    ///
    /// Files whose names start with a dot are left out. A path of IDX files may have commas in it.
    ///
    /// # Errors
    /// An unknown kind, unreadable or malformed files, no images, class folders that are no classes, labels beyond
    /// `classes`.
    pub fn open_with(
        spec: &str,
        labels: &[String],
        classes: usize,
        folders: ClassFolders,
    ) -> Result<Self, DatasetError> {
        let spec = Spec::parse(spec)?;
        let path = spec.path();
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = name.to_string_lossy().into_owned();
        let (source, len) = match &spec {
            Spec::Folder(path) => {
                let folder = folder::Folder::open(path, labels, classes, folders)?;
                let len = folder.len();
                (Source::Folder(folder), len)
            }
            Spec::Idx(images, labels) => {
                let labels = labels.as_deref();
                let wanted = labels.filter(|_| folders != ClassFolders::Ignored);
                let idx = idx::Idx::open(images, wanted, classes)?;
                let len = idx.len();
                (Source::Idx(idx), len)
            }
        };
        Ok(Self { name, source, len })
    }

    /// The class folders in the order that gave them their numbers; none if their names did.
    pub fn numbered_folders(&self) -> &[String] {
        match &self.source {
            Source::Folder(folder) => folder.numbered(),
            Source::Idx(_) => &[],
        }
    }

    /// The folder's or image file's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What image `index` is called: its path in a folder, its number in a file of many.
    ///
    /// # Panics
    /// If `index` is not below [`Dataset::len`].
    pub fn image_name(&self, index: usize) -> String {
        assert!(index < self.len);
        match &self.source {
            Source::Folder(folder) => folder.path(index).display().to_string(),
            Source::Idx(_) => format!("{}[{index}]", self.name),
        }
    }

    /// Images in use.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Never true: a set without images does not open.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Uses at most `limit` images: the first of an IDX file, every n-th of a folder, whose images are
    /// sorted by class.
    pub fn limit(&mut self, limit: usize) {
        match &mut self.source {
            Source::Folder(folder) => folder.thin(limit),
            Source::Idx(_) => {}
        }
        self.len = self.len.min(limit);
    }

    /// Whether images have labels.
    pub fn is_labelled(&self) -> bool {
        match &self.source {
            Source::Folder(folder) => folder.is_labelled(),
            Source::Idx(idx) => idx.is_labelled(),
        }
    }

    /// Image `index`.
    ///
    /// # Errors
    /// A file that cannot be read or decoded.
    ///
    /// # Panics
    /// If `index` is not below [`Dataset::len`].
    pub fn get(&self, index: usize) -> Result<Image, DatasetError> {
        self.with(index, Ok)
    }

    fn with<T>(
        &self,
        index: usize,
        use_it: impl FnOnce(Image) -> Result<T, DatasetError>,
    ) -> Result<T, DatasetError> {
        assert!(index < self.len);
        match &self.source {
            Source::Folder(folder) => folder.with(index, use_it),
            Source::Idx(idx) => use_it(idx.get(index)),
        }
    }

    /// Images `range` at model resolution: u8 (N, S, S, 3), with their labels. Decodes and resizes on all of
    /// rayon's threads.
    ///
    /// # Errors
    /// The first image that cannot be read.
    pub fn pixels(
        &self,
        range: Range<usize>,
        model: &ModelConfig,
    ) -> Result<(Vec<u8>, Vec<Option<usize>>), DatasetError> {
        let batch = self.batch(range, model);
        match batch.skipped.into_iter().next() {
            Some(first) => Err(first),
            None => Ok((batch.pixels, batch.labels)),
        }
    }

    /// Like [`Dataset::pixels`], without the images that cannot be read.
    pub fn batch(&self, range: Range<usize>, model: &ModelConfig) -> Batch {
        let geometry = geometry(model);
        let size = model.image_bytes();
        let first = range.start;
        let mut pixels = vec![0; range.len() * size];
        let results: Vec<Result<Option<usize>, DatasetError>> = pixels
            .par_chunks_exact_mut(size)
            .zip(range)
            .map(|(out, index)| {
                self.with(index, |image| {
                    self.resize(&image, geometry, out, index)?;
                    Ok(image.label)
                })
            })
            .collect();
        let (mut labels, mut places, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
        for (at, result) in results.into_iter().enumerate() {
            match result {
                Ok(label) => {
                    pixels.copy_within(at * size..(at + 1) * size, labels.len() * size);
                    labels.push(label);
                    places.push(first + at);
                }
                Err(error) => skipped.push(error),
            }
        }
        pixels.truncate(labels.len() * size);
        Batch {
            pixels,
            labels,
            places,
            skipped,
        }
    }

    fn resize(
        &self,
        image: &Image,
        geometry: Geometry,
        out: &mut [u8],
        index: usize,
    ) -> Result<(), DatasetError> {
        let refuse = |reason: String| DatasetError::Resize {
            path: match &self.source {
                Source::Folder(folder) => folder.path(index).into(),
                Source::Idx(_) => PathBuf::from(&self.name),
            },
            reason,
        };
        let (width, height) = (image.width, image.height);
        let frame = Frame::packed(image.format, width, height, &image.bytes)
            .map_err(|error| refuse(error.to_string()))?;
        Preprocessor::new(geometry, width.min(MAX_SIDE), height.min(MAX_SIDE))
            .preprocess(&frame, out)
            .map_err(|error| refuse(error.to_string()))
    }
}

/// The model's preprocessing.
///
/// # Panics
/// If the model was not validated.
fn geometry(model: &ModelConfig) -> Geometry {
    let resize = match model.preprocessing.resize {
        ResizeMode::ShortestSide(side) => Resize::ShortestSide(side),
        ResizeMode::Exact { width, height } => Resize::Exact { width, height },
    };
    let crop = (model.image_size, model.image_size);
    Geometry::new(resize, crop, model.preprocessing.interpolation.into())
        .expect("a validated model's preprocessing is possible")
}
