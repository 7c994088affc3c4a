//! Labelled images from folders, lists or IDX files, and their preprocessing for a model.

mod cache;
mod classes;
mod error;
mod files;
mod folder;
mod idx;
mod image;
mod list;
mod selection;
mod spec;

pub use self::image::Image;
pub use classes::ClassFolders;
pub use error::DatasetError;

use cache::{Cache, Key};
use files::{Files, Numbering};
use mergevit_kernels::frame::{Frame, Geometry, MAX_SIDE, Preprocessor, Resize};
use mergevit_runtime::{ModelConfig, ResizeMode};
use rayon::prelude::*;
use spec::Spec;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

enum Source {
    Files(Files),
    Idx(idx::Idx),
}

impl Source {
    fn len(&self) -> usize {
        match self {
            Self::Files(files) => files.len(),
            Self::Idx(idx) => idx.len(),
        }
    }

    /// The classes of an image.
    fn classes(&self, place: usize) -> impl Iterator<Item = usize> {
        let (several, one) = match self {
            Self::Files(files) => (files.classes(place), None),
            Self::Idx(idx) => (&[][..], idx.class(place)),
        };
        several.iter().copied().chain(one)
    }

    /// `count` of `places`, or all: spread evenly over files, which are sorted by class; the first ones of an IDX file.
    fn pick(&self, places: &[usize], count: usize) -> Vec<usize> {
        match self {
            Self::Files(_) => selection::spread(places, count),
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
    /// Where images at model resolution are kept.
    cache: Option<Arc<Cache>>,
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
    /// (N) their classes, the first of several.
    pub labels: Vec<Option<usize>>,
    /// (N) their places in the set.
    pub places: Vec<usize>,
    /// Why other images of the range are not among them.
    pub skipped: Vec<DatasetError>,
}

impl Dataset {
    /// Opens a set with images of all classes: `folder:DIR` (one sub-folder per class, or flat and unlabelled),
    /// `list:FILE` (CSV, a path and a label on each line) or `idx:IMAGES[.gz][,LABELS[.gz]]` (the MNIST container).
    ///
    /// # Errors
    /// As [`Dataset::open_with`].
    pub fn open(spec: &str, labels: &[String], classes: usize) -> Result<Self, DatasetError> {
        Self::open_with(spec, labels, classes, ClassFolders::All)
    }

    /// Opens a set whose class folders, or the labels of whose list, are matched with the model's `classes`, of which
    /// `labels` has the names, as `folders` says.
    ///
    /// The images of a class folder may be in folders in it. Files whose names start with a dot are left out. A path of
    /// IDX files may have commas in it.
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
        let numbering = Numbering::Model {
            labels,
            classes,
            rule: folders,
        };
        Self::open_numbered(spec, &numbering)
    }

    /// Opens a set whose class folders, or the labels of whose list, are the classes, in alphabetical order; the classes
    /// of IDX files have their numbers for names. Returns the names too; none if the images have no labels.
    ///
    /// # Errors
    /// As [`Dataset::open_with`], but any name is a class.
    pub fn open_own(spec: &str) -> Result<(Self, Vec<String>), DatasetError> {
        let set = Self::open_numbered(spec, &Numbering::Own)?;
        let names = match &*set.source {
            Source::Files(files) => files.numbered().to_vec(),
            Source::Idx(idx) => (0..idx.classes()).map(|class| class.to_string()).collect(),
        };
        Ok((set, names))
    }

    fn open_numbered(spec: &str, numbering: &Numbering<'_>) -> Result<Self, DatasetError> {
        let spec = Spec::parse(spec)?;
        let path = spec.path();
        let name = path.file_name().unwrap_or(path.as_os_str());
        let name = name.to_string_lossy().into_owned();
        let source = match &spec {
            Spec::Folder(path) => Source::Files(Files::new(
                path,
                folder::find(path, numbering.is_ignored())?,
                numbering,
            )?),
            Spec::List(path) => Source::Files(Files::new(path, list::find(path)?, numbering)?),
            Spec::Idx(images, labels) => {
                let (classes, is_wanted) = match numbering {
                    Numbering::Own => (usize::MAX, true),
                    Numbering::Model { classes, rule, .. } => {
                        (*classes, *rule != ClassFolders::Ignored)
                    }
                };
                let labels = labels.as_deref().filter(|_| is_wanted);
                Source::Idx(idx::Idx::open(images, labels, classes)?)
            }
        };
        Ok(Self {
            name,
            places: (0..source.len()).collect(),
            source: Arc::new(source),
            cache: None,
        })
    }

    /// The names of the classes in the order that gave them their numbers; none if the model's labels did.
    pub fn numbered_folders(&self) -> &[String] {
        match &*self.source {
            Source::Files(files) => files.numbered(),
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
        match self.path(index) {
            Some(path) => path.display().to_string(),
            None => format!("{}[{}]", self.name, self.places[index]),
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

    /// Keeps images at model resolution in `folder`, and takes them from there: of files, whose decoding takes long. They
    /// are found again as long as the original has the same path, size and time, and the model the same preprocessing.
    ///
    /// # Errors
    /// A folder that cannot be written, or that has other images in it.
    pub fn keep_in(&mut self, folder: &Path) -> Result<(), DatasetError> {
        let cache = Cache::open(folder).map_err(|source| DatasetError::Io {
            path: folder.into(),
            source,
        })?;
        self.cache = Some(Arc::new(cache));
        Ok(())
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

    /// Uses at most `limit` images of each class, chosen as [`Dataset::limit`] does, and none without a class. An image
    /// of several classes counts for the first.
    pub fn limit_per_class(&mut self, limit: usize) {
        let mut classes: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &place in &self.places {
            if let Some(class) = self.source.classes(place).next() {
                classes.entry(class).or_default().push(place);
            }
        }
        let places = classes.values();
        let mut places: Vec<usize> = places
            .flat_map(|places| self.source.pick(places, limit))
            .collect();
        places.sort_unstable();
        self.places = places;
    }

    /// Whether all images have labels.
    pub fn is_labelled(&self) -> bool {
        let is_labelled = |&place: &usize| self.source.classes(place).next().is_some();
        self.places.iter().all(is_labelled)
    }

    /// The classes that image `index` is of: one, none if it is not labelled, or several.
    ///
    /// # Panics
    /// If `index` is not below [`Dataset::len`].
    pub fn classes(&self, index: usize) -> impl Iterator<Item = usize> {
        self.source.classes(self.places[index])
    }

    /// The file of image `index`; none in a file of many.
    ///
    /// # Panics
    /// If `index` is not below [`Dataset::len`].
    pub fn path(&self, index: usize) -> Option<&Path> {
        match &*self.source {
            Source::Files(files) => Some(files.path(self.places[index])),
            Source::Idx(_) => None,
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
            Source::Files(files) => files.with(place, use_it),
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
        let preprocessing = format!("{:?} {}", model.preprocessing, model.image_size);
        let size = model.image_bytes();
        let first = range.start;
        let mut pixels = vec![0; range.len() * size];
        let results: Vec<Result<Option<usize>, DatasetError>> = pixels
            .par_chunks_exact_mut(size)
            .zip(range.clone())
            .map(|(out, index)| {
                self.image_pixels(index, geometry, &preprocessing, out)?;
                Ok(self.classes(index).next())
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

    /// Image `index` at model resolution: as it was kept, or decoded and kept.
    fn image_pixels(
        &self,
        index: usize,
        geometry: Geometry,
        preprocessing: &str,
        out: &mut [u8],
    ) -> Result<(), DatasetError> {
        let cache = self.cache.as_deref().zip(self.path(index));
        let kept = cache.and_then(|(cache, path)| Some((cache, Key::of(path, preprocessing)?)));
        if let Some((cache, key)) = kept
            && cache.read(key, out)
        {
            return Ok(());
        }
        self.with(index, |image| self.resize(&image, geometry, out, index))?;
        if let Some((cache, key)) = kept {
            cache.write(key, out);
        }
        Ok(())
    }

    fn resize(
        &self,
        image: &Image,
        geometry: Geometry,
        out: &mut [u8],
        index: usize,
    ) -> Result<(), DatasetError> {
        let refuse = |reason: String| DatasetError::Resize {
            path: self
                .path(index)
                .map_or_else(|| PathBuf::from(&self.name), Path::to_path_buf),
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
