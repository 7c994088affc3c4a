//! What names a data set.

use super::error::DatasetError;
use std::path::{Path, PathBuf};

/// A data set's files.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Spec {
    /// Image files.
    Folder(PathBuf),
    /// A list of image files.
    List(PathBuf),
    /// Images, and their labels.
    Idx(PathBuf, Option<PathBuf>),
}

impl Spec {
    /// Reads `folder:DIR`, `list:FILE` or `idx:IMAGES[,LABELS]`.
    pub(super) fn parse(text: &str) -> Result<Self, DatasetError> {
        match text.split_once(':') {
            Some(("folder", path)) if !path.is_empty() => Ok(Self::Folder(path.into())),
            Some(("list", path)) if !path.is_empty() => Ok(Self::List(path.into())),
            Some(("idx", paths)) if !paths.is_empty() => {
                let (images, labels) = split(paths);
                Ok(Self::Idx(images.into(), labels.map(PathBuf::from)))
            }
            _ => Err(DatasetError::Spec { spec: text.into() }),
        }
    }

    /// The folder, the list, or the file with the images.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Folder(path) | Self::List(path) | Self::Idx(path, _) => path,
        }
    }
}

/// Splits two paths, either of which may have commas of its own: at the first comma on both sides of which a file
/// exists; else the whole may be the images' path; else at the first comma, so that an error names what is missing.
fn split(paths: &str) -> (&str, Option<&str>) {
    let pair = |comma: usize| (&paths[..comma], &paths[comma + 1..]);
    let exists = |path: &str| Path::new(path).exists();
    let mut pairs = paths.match_indices(',').map(|(comma, _)| pair(comma));
    let both = pairs.clone().find(|(i, l)| exists(i) && exists(l));
    match both {
        None if exists(paths) => (paths, None),
        None => match pairs.next() {
            Some((images, labels)) => (images, Some(labels)),
            None => (paths, None),
        },
        Some((images, labels)) => (images, Some(labels)),
    }
}
