//! Why a data set cannot be used.

use mergevit_runtime::image::ImageError;
use std::path::PathBuf;
use thiserror::Error;

/// Why a data set cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DatasetError {
    /// The specification is of no kind that there is.
    #[error("data set {spec:?}: expected folder:DIR, list:FILE or idx:IMAGES[.gz][,LABELS[.gz]]")]
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
    /// A file stands where a folder is expected.
    #[error("{}: a file, expected a folder of images", path.display())]
    NoFolder {
        /// The file.
        path: PathBuf,
    },
    /// The set has no images.
    #[error("{}: no images{hint}", path.display())]
    Empty {
        /// The folder or file.
        path: PathBuf,
        /// What counts as an image.
        hint: String,
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
    /// A line of a list cannot be used.
    #[error("{}, line {line}: {reason}", path.display())]
    List {
        /// The list.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// Why.
        reason: String,
    },
    /// A class folder has a name that the model does not know.
    #[error("{}: {what} {folder:?} is no class of the model; {nearest}", path.display())]
    UnknownClass {
        /// The set's folder, or list.
        path: PathBuf,
        /// What has the name.
        what: &'static str,
        /// The class folder's name.
        folder: String,
        /// What comes nearest.
        nearest: String,
    },
    /// A class folder has the label of two classes.
    #[error(
        "{}: {what} {label:?} is the label of the classes {} and {}, expected names that tell them apart",
        path.display(), classes[0], classes[1]
    )]
    SharedLabel {
        /// The set's folder.
        path: PathBuf,
        /// What has the name.
        what: &'static str,
        /// The class folder's name.
        label: String,
        /// The first two classes of this name.
        classes: [usize; 2],
    },
    /// Two class folders are the same class.
    #[error(
        "{}: the {what}s {:?} and {:?} are both class {class}, expected one a class",
        path.display(), folders[0], folders[1]
    )]
    SameClass {
        /// The set's folder.
        path: PathBuf,
        /// What has the names.
        what: &'static str,
        /// Their names.
        folders: [String; 2],
        /// The class.
        class: String,
    },
    /// The set has no images of a class.
    #[error("{}: no images of class {class}{}", path.display(), and_more(*others))]
    MissingClass {
        /// The set's folder.
        path: PathBuf,
        /// The first such class.
        class: String,
        /// How many more there are.
        others: usize,
    },
    /// Class folders are to be numbered in their order, but there are more or fewer than classes.
    #[error(
        "{}: {found} {what}s to number in alphabetical order, expected {classes}, one for each class of the \
         model",
        path.display()
    )]
    ClassCount {
        /// The set's folder.
        path: PathBuf,
        /// What is to be numbered.
        what: &'static str,
        /// How many there are.
        found: usize,
        /// Classes of the model.
        classes: usize,
    },
    /// An image file could not be decoded.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// An image cannot be resized as the model needs it.
    #[error("{}: {reason}", path.display())]
    Resize {
        /// The image's file, or the set's.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// Not one image could be decoded.
    #[error("{name}: no image can be used ({count} tried); the first: {first}")]
    Unusable {
        /// The set.
        name: String,
        /// Images tried.
        count: usize,
        /// Why the first one was not.
        first: Box<DatasetError>,
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
        /// The label file.
        path: PathBuf,
        /// Which image.
        index: usize,
        /// Its label.
        label: usize,
        /// Classes of the model.
        classes: usize,
    },
}

fn and_more(others: usize) -> String {
    match others {
        0 => String::new(),
        n => format!(" and {n} more"),
    }
}

impl DatasetError {
    /// What the user can try, if anything.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Spec { .. } | Self::Empty { .. } | Self::NoFolder { .. } => {
                Some("a data set is folder:DIR, list:FILE.csv or idx:IMAGES[.gz],LABELS[.gz]")
            }
            Self::UnknownClass { .. } | Self::SharedLabel { .. } | Self::ClassCount { .. } => Some(
                "name class folders by the model's labels (`mergevit inspect` lists them) or by class number from 0; \
                 or number them in their order: --class-folders alphabetical",
            ),
            Self::MissingClass { .. } => {
                Some("to measure the classes that the set has: --class-folders subset")
            }
            Self::Image(_) | Self::Unusable { .. } => {
                Some("images are PNG, JPEG, WebP or BMP files")
            }
            _ => None,
        }
    }
}
