//! Folders of image files: one sub-folder per class as in ImageNet, or flat.

use super::error::DatasetError;
use super::files::Found;
use mergevit_runtime::image;
use std::io;
use std::path::{Path, PathBuf};
use walkdir::{DirEntry, WalkDir};

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Leaves out hidden files such as `.DS_Store` or `.ipynb_checkpoints`.
fn is_shown(entry: &DirEntry) -> bool {
    entry.depth() == 0 || !entry.file_name().to_string_lossy().starts_with('.')
}

/// What the system said, without the path, which is told beside it.
fn root_cause(error: walkdir::Error) -> io::Error {
    let code = error.io_error().and_then(io::Error::raw_os_error);
    code.map_or_else(|| error.into(), io::Error::from_raw_os_error)
}

/// The images in a folder and, if `is_deep`, in all folders in it, in alphabetical order. Links are followed, once.
fn images(folder: &Path, is_deep: bool) -> Result<Vec<PathBuf>, DatasetError> {
    let depth = if is_deep { usize::MAX } else { 1 };
    let walk = WalkDir::new(folder)
        .min_depth(1)
        .max_depth(depth)
        .follow_links(true)
        .sort_by_file_name();
    let mut images = Vec::new();
    for entry in walk.into_iter().filter_entry(is_shown) {
        match entry {
            Ok(entry) if entry.file_type().is_dir() => {}
            Ok(entry) => images.push(entry.into_path()),
            Err(error) => match (error.path(), error.loop_ancestor()) {
                (Some(path), Some(ancestor)) => {
                    let (path, ancestor) = (path.display(), ancestor.display());
                    log::warn!("{path}: leads back to {ancestor}, not followed");
                }
                // A link to nothing: an image that cannot be read.
                (Some(path), None) if path.is_symlink() => images.push(path.into()),
                (path, None) => {
                    return Err(DatasetError::Io {
                        path: path.unwrap_or(folder).into(),
                        source: root_cause(error),
                    });
                }
                (None, Some(_)) => {}
            },
        }
    }
    images.retain(|path| image::has_known_extension(path));
    Ok(images)
}

/// The folders in a folder, in alphabetical order.
fn folders(path: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let io = |source| DatasetError::Io {
        path: path.into(),
        source,
    };
    let entries = std::fs::read_dir(path).map_err(io)?;
    let mut folders = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(io)?;
    folders.retain(|entry| !name(entry).starts_with('.') && entry.is_dir());
    folders.sort();
    Ok(folders)
}

/// Finds the images in `path`: of each sub-folder, however deep in it, as of one class; or those in `path` itself,
/// without classes. Both together only if `is_mixed` says that classes mean nothing.
///
/// # Errors
/// No folder, one that cannot be read, no images, or images both in it and in a sub-folder.
pub(super) fn find(path: &Path, is_mixed: bool) -> Result<Found, DatasetError> {
    if path.is_file() {
        return Err(DatasetError::NoFolder { path: path.into() });
    }
    let folders = folders(path)?;
    let flat = images(path, false)?;
    let mut found = Found {
        images: Vec::new(),
        names: Vec::new(),
        what: "class folder",
    };
    for folder in folders {
        let images = images(&folder, true)?;
        if let (Some(stray), false, false) = (flat.first(), images.is_empty(), is_mixed) {
            // Class folders beside a stray image would make the whole set look flat.
            return Err(DatasetError::Mixed {
                path: path.into(),
                file: name(stray),
                folder: name(&folder),
            });
        }
        let class = found.names.len();
        let images = images.into_iter().map(|file| (file, vec![class]));
        found.images.extend(images);
        found.names.push(name(&folder));
    }
    if found.images.is_empty() {
        found.names.clear();
    }
    let images = flat.into_iter().map(|file| (file, Vec::new()));
    found.images.extend(images);
    if found.images.is_empty() {
        let endings = image::EXTENSIONS.map(|end| format!("*.{end}")).join(", ");
        return Err(DatasetError::Empty {
            path: path.into(),
            hint: format!(" ({endings}) in it or in its sub-folders"),
        });
    }
    Ok(found)
}
