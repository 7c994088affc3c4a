//! Labelled images from folders or IDX files, and their preprocessing for a model.

mod classes;
mod error;
mod folder;
mod idx;
mod image;
mod selection;
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
use std::sync::Arc;

enum Source {
    Folder(folder::Folder),
    Idx(idx::Idx),
}

impl Source {
    fn len(&self) -> usize {
        match self {
            Self::Folder(folder) => folder.len(),
            Self::Idx(idx) => idx.len(),
        }
    }

    /// `count` of `places`, or all: spread evenly over files, which are sorted by class; the first ones of an IDX file.
    fn pick(&self, places: &[usize], count: usize) -> Vec<usize> {
        match self {
            Self::Folder(_) => selection::spread(places, count),
            Self::Idx(_) => places[..count.min(places.len())].to_vec(),
        }
    }
}

/// A data set, or some of its images. Images of a folder are decoded on demand.
#[derive(Clone)]
pub struct Dataset {
    name: String,
    source: Arc<Source>,
    /// Images in use: their places in the source, ascending.
    places: Vec<usize>,
}

impl std::fmt::Debug for Dataset {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Dataset")
            .field("name", &self.name)
            .field("len", &self.len())
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
        let source = match &spec {
            Spec::Folder(path) => {
                Source::Folder(folder::Folder::open(path, labels, classes, folders)?)
            }
            Spec::Idx(images, labels) => {
                let labels = labels.as_deref();
                let wanted = labels.filter(|_| folders != ClassFolders::Ignored);
                Source::Idx(idx::Idx::open(images, wanted, classes)?)
            }
        };
        Ok(Self {
            name,
            places: (0..source.len()).collect(),
            source: Arc::new(source),
        })
    }

    /// The class folders in the order that gave them their numbers; none if their names did.
    pub fn numbered_folders(&self) -> &[String] {
        match &*self.source {
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
        let place = self.places[index];
        match &*self.source {
            Source::Folder(folder) => folder.path(place).display().to_string(),
            Source::Idx(_) => format!("{}[{place}]", self.name),
        }
    }

    /// Images in use.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether no images are in use: never of a set that was opened, only of a part that [`Dataset::split`] could give
    /// none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Uses at most `limit` images: the first of an IDX file, every n-th of a folder, whose images are
    /// sorted by class.
    pub fn limit(&mut self, limit: usize) {
        self.places = self.source.pick(&self.places, limit);
    }

    /// Parts of the images in use, of `counts` images, no image in two of them: the first is what
    /// [`Dataset::limit`] would leave, the second the same of what is then left over, and so on. Of a set that has
    /// fewer images than all counts together, every part is smaller in proportion, the first ones by less.
    pub fn split(&self, counts: &[usize]) -> Vec<Self> {
        let counts = selection::shares(self.len(), counts);
        let mut rest = self.places.clone();
        let parts = counts.into_iter().map(|count| {
            let places = self.source.pick(&rest, count);
            selection::remove(&mut rest, &places);
            Self {
                places,
                ..self.clone()
            }
        });
        parts.collect()
    }

    /// Whether images have labels.
    pub fn is_labelled(&self) -> bool {
        match &*self.source {
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
        let place = self.places[index];
        match &*self.source {
            Source::Folder(folder) => folder.with(place, use_it),
            Source::Idx(idx) => use_it(idx.get(place)),
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
            path: match &*self.source {
                Source::Folder(folder) => folder.path(self.places[index]).into(),
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
