//! The images of a folder, in the order of their names.

use super::capture::{Capture, Captured, SourceError};
use super::error::OpenError;
use super::exchange::Policy;
use super::images::{self, ImageError};
use super::slot::Slot;
use super::source::{Source, SourceOptions};
use crate::file_name::FileName;
use crate::output;
use mergevit_kernels::frame::{FrameLayout, PixelFormat};
use std::path::{Path, PathBuf};

struct Folder {
    paths: Vec<PathBuf>,
    next: usize,
    repeat: bool,
}

/// Opens a folder, or a single image, and reads the headers of all images for their sizes.
pub(super) fn open(path: &Path, options: &SourceOptions) -> Result<Source, OpenError> {
    let paths = list(path)?;
    let mut largest = Largest::default();
    for path in &paths {
        largest.add(images::dimensions(path));
    }
    if largest.bytes == 0 {
        let folder = path.into();
        return Err(match largest.first_error {
            Some(first) => OpenError::NoReadableImages {
                folder,
                count: paths.len(),
                first,
            },
            None => OpenError::NoImages { folder },
        });
    }
    Ok(Source {
        description: format!("{}: {} images", path.display(), paths.len()),
        policy: Policy::EveryFrame,
        max_width: largest.width,
        max_height: largest.height,
        slot_bytes: largest.bytes,
        names: paths.iter().map(FileName::from).collect(),
        capture: Box::new(Folder {
            paths,
            next: 0,
            repeat: options.repeat,
        }),
    })
}

/// The largest width, height and size over all images.
#[derive(Debug, Default)]
struct Largest {
    width: usize,
    height: usize,
    bytes: usize,
    first_error: Option<ImageError>,
}

impl Largest {
    fn add(&mut self, image: Result<(usize, usize), ImageError>) {
        match image {
            Ok((width, height)) => {
                self.width = self.width.max(width);
                self.height = self.height.max(height);
                let bytes = PixelFormat::Rgb.frame_bytes(width, height);
                self.bytes = self.bytes.max(bytes);
            }
            // Reported when the frame's turn comes.
            Err(error) => {
                self.first_error.get_or_insert(error);
            }
        }
    }
}

fn list(path: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let io_error = |source| OpenError::Io {
        name: path.display().to_string(),
        action: "read",
        source,
    };
    if path.metadata().map_err(io_error)?.is_file() {
        return Ok(vec![path.into()]);
    }
    let mut paths = Vec::new();
    for entry in path.read_dir().map_err(io_error)? {
        let path = entry.map_err(io_error)?.path();
        if is_image(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn is_image(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    let known = ["png", "jpg", "jpeg"];
    extension.is_some_and(|found| known.iter().any(|e| e.eq_ignore_ascii_case(found)))
}

impl Capture for Folder {
    fn capture(&mut self, slot: &mut Slot) -> Result<Captured, SourceError> {
        if self.next == self.paths.len() && self.repeat {
            self.next = 0;
        }
        let Some(path) = self.paths.get(self.next) else {
            return Ok(Captured::End);
        };
        slot.name = self.next;
        self.next += 1;
        let image = match images::decode(path) {
            Ok(image) => image,
            Err(error) => {
                output::error(&format_args!("skipped: {error}"));
                slot.reject(error.to_string());
                return Ok(Captured::Unusable);
            }
        };
        let layout = FrameLayout::packed(PixelFormat::Rgb, image.width, image.height).ok();
        match layout.and_then(|layout| slot.prepare(layout, image.pixels.len())) {
            Some(to) => {
                to.copy_from_slice(&image.pixels);
                Ok(Captured::Frame)
            }
            None => {
                let reason = format!("{}: has grown since it was listed", path.display());
                output::error(&format_args!("skipped: {reason}"));
                slot.reject(reason);
                Ok(Captured::Unusable)
            }
        }
    }

    fn allocates(&self) -> bool {
        true
    }
}
