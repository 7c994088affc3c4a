//! Folders of PNG and JPEG files: one sub-folder per class as in ImageNet, or flat.

use super::error::DatasetError;
use super::image::Image;
use mergevit_kernels::frame::PixelFormat;
use std::path::{Path, PathBuf};

pub(super) struct Folder {
    files: Vec<(PathBuf, Option<usize>)>,
}

fn sorted(path: &Path) -> Result<Vec<PathBuf>, DatasetError> {
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
    // Hidden files such as .DS_Store or .ipynb_checkpoints are neither images nor classes.
    entries.retain(|entry| !name(entry).starts_with('.'));
    entries.sort();
    Ok(entries)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    path.is_file()
        && ["png", "jpg", "jpeg"]
            .iter()
            .any(|known| extension == *known)
}

fn name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Refuses an image beside class folders, which would make the whole set look flat.
fn refuse_mixed(path: &Path, file: &Path, folders: &[PathBuf]) -> Result<(), DatasetError> {
    for folder in folders {
        if sorted(folder)?.iter().any(|entry| is_image(entry)) {
            return Err(DatasetError::Mixed {
                path: path.into(),
                file: name(file),
                folder: name(folder),
            });
        }
    }
    Ok(())
}

impl Folder {
    pub(super) fn open(
        path: &Path,
        labels: &[String],
        classes: usize,
    ) -> Result<Self, DatasetError> {
        let (folders, entries): (Vec<_>, Vec<_>) =
            sorted(path)?.into_iter().partition(|entry| entry.is_dir());
        let mut files: Vec<_> = entries
            .into_iter()
            .filter(|entry| is_image(entry))
            .map(|file| (file, None))
            .collect();
        if files.is_empty() {
            let known = |folder: &PathBuf| labels.iter().position(|label| *label == name(folder));
            let by_name: Option<Vec<usize>> = folders.iter().map(known).collect();
            for (number, folder) in folders.iter().enumerate() {
                let label = by_name.as_ref().map_or(number, |by_name| by_name[number]);
                if label >= classes {
                    let (path, index) = (folder.clone(), files.len());
                    return Err(DatasetError::Label {
                        path,
                        index,
                        label,
                        classes,
                    });
                }
                let images = sorted(folder)?.into_iter().filter(|file| is_image(file));
                files.extend(images.map(|file| (file, Some(label))));
            }
        } else {
            refuse_mixed(path, &files[0].0, &folders)?;
        }
        if files.is_empty() {
            let hint = " (*.png, *.jpg, *.jpeg) in it or in its sub-folders";
            return Err(DatasetError::Empty {
                path: path.into(),
                hint,
            });
        }
        Ok(Self { files })
    }

    pub(super) fn len(&self) -> usize {
        self.files.len()
    }

    /// Keeps `limit` files, spread evenly.
    pub(super) fn thin(&mut self, limit: usize) {
        let len = self.files.len();
        if limit < len {
            self.files = (0..limit)
                .map(|i| self.files[i * len / limit].clone())
                .collect();
        }
    }

    pub(super) fn is_labelled(&self) -> bool {
        self.files.iter().all(|(_, label)| label.is_some())
    }

    pub(super) fn path(&self, index: usize) -> &Path {
        &self.files[index].0
    }

    pub(super) fn get(&self, index: usize) -> Result<Image, DatasetError> {
        let (path, label) = &self.files[index];
        let decoded = image::ImageReader::open(path)
            .and_then(image::ImageReader::with_guessed_format)
            .map_err(|source| DatasetError::Io {
                path: path.clone(),
                source,
            })?
            .decode()
            .map_err(|error| DatasetError::Image {
                path: path.clone(),
                reason: error.to_string(),
            })?;
        let rgb = decoded.into_rgb8();
        Ok(Image {
            format: PixelFormat::Rgb,
            width: rgb.width() as usize,
            height: rgb.height() as usize,
            bytes: rgb.into_raw(),
            label: *label,
        })
    }
}
