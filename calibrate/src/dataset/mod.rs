//! Labelled images from folders or IDX files, and their preprocessing for a model.

mod error;
mod folder;
mod idx;
mod image;

pub use self::image::Image;
pub use error::DatasetError;

use mergevit_kernels::frame::{Frame, Geometry, MAX_SIDE, Preprocessor, Resize};
use mergevit_runtime::{ModelConfig, ResizeMode};
use rayon::prelude::*;
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

impl Dataset {
    /// Opens `folder:DIR` (one sub-folder per class, or flat and unlabelled) or
    /// `idx:IMAGES[.gz][,LABELS[.gz]]` (the MNIST container).
    ///
    /// Class folders are matched with the model's `labels` by name if every folder is a label; otherwise
    /// they are numbered in alphabetical order.
    ///
    /// # Errors
    /// An unknown kind, unreadable or malformed files, no images, labels beyond `classes`.
    pub fn open(spec: &str, labels: &[String], classes: usize) -> Result<Self, DatasetError> {
        let (kind, rest) = spec.split_once(':').unwrap_or((spec, ""));
        let (source, len, path) = match kind {
            "folder" if !rest.is_empty() => {
                let folder = folder::Folder::open(rest.as_ref(), labels, classes)?;
                let len = folder.len();
                (Source::Folder(folder), len, PathBuf::from(rest))
            }
            "idx" if !rest.is_empty() => {
                let (images, labels) = rest
                    .split_once(',')
                    .map_or((rest, None), |(i, l)| (i, Some(l)));
                let idx = idx::Idx::open(images.as_ref(), labels.map(str::as_ref), classes)?;
                let len = idx.len();
                (Source::Idx(idx), len, PathBuf::from(images))
            }
            _ => return Err(DatasetError::Spec { spec: spec.into() }),
        };
        let name = path
            .file_name()
            .map_or_else(|| rest.into(), |n| n.to_string_lossy().into_owned());
        Ok(Self { name, source, len })
    }

    /// The folder's or image file's name.
    pub fn name(&self) -> &str {
        &self.name
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
        assert!(index < self.len);
        match &self.source {
            Source::Folder(folder) => folder.get(index),
            Source::Idx(idx) => Ok(idx.get(index)),
        }
    }

    /// Images `range` at model resolution: u8 (N, S, S, 3), with their labels. Decodes and resizes on all of
    /// rayon's threads.
    ///
    /// # Errors
    /// The first image that cannot be read.
    pub fn pixels(
        &self,
        range: std::ops::Range<usize>,
        model: &ModelConfig,
    ) -> Result<(Vec<u8>, Vec<Option<usize>>), DatasetError> {
        let geometry = geometry(model);
        let mut pixels = vec![0; range.len() * model.image_bytes()];
        let labels = pixels
            .par_chunks_exact_mut(model.image_bytes())
            .zip(range)
            .map(|(out, index)| {
                let image = self.get(index)?;
                self.resize(&image, geometry, out, index)?;
                Ok(image.label)
            })
            .collect::<Result<_, DatasetError>>()?;
        Ok((pixels, labels))
    }

    fn resize(
        &self,
        image: &Image,
        geometry: Geometry,
        out: &mut [u8],
        index: usize,
    ) -> Result<(), DatasetError> {
        let refuse = |reason: String| DatasetError::Image {
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
