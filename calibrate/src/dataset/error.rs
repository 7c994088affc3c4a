//! Why a data set cannot be used.

use std::path::PathBuf;
use thiserror::Error;

/// Why a data set cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The specification is neither of a folder nor of IDX files.
    #[error("data set {spec:?}: expected folder:DIR or idx:IMAGES[.gz][,LABELS[.gz]]")]
    Spec {
        /// What was given.
        spec: String,
    },
    /// A file or folder could not be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: std::io::Error,
    },
    /// The set has no images.
    #[error("{}: no images{hint}", path.display())]
    Empty {
        /// The folder or file.
        path: PathBuf,
        /// What counts as an image.
        hint: &'static str,
    },
    /// The folder has images both in it and in its sub-folders.
    #[error(
        "{}: image {file} beside the sub-folder {folder} with images, expected one or the other",
        path.display()
    )]
    Mixed {
        /// The folder.
        path: PathBuf,
        /// An image in it.
        file: String,
        /// A sub-folder with images.
        folder: String,
    },
    /// An image file could not be decoded.
    #[error("{}: not a readable PNG or JPEG image: {reason}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// The decoder's error.
        reason: String,
    },
    /// An IDX file's header or length is wrong.
    #[error("{}: {field}: found {found}, expected {expected}", path.display())]
    Idx {
        /// The file.
        path: PathBuf,
        /// The part of the header.
        field: &'static str,
        /// What it holds.
        found: String,
        /// What it must be.
        expected: String,
    },
    /// A label is not one of the model's classes.
    #[error("{}: image {index} has label {label}, but the model has {classes} classes", path.display())]
    Label {
        /// The label file or class folder.
        path: PathBuf,
        /// Which image.
        index: usize,
        /// Its label.
        label: usize,
        /// Classes of the model.
        classes: usize,
    },
}
