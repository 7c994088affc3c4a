//! The images of a folder, in the order of their names.

use super::capture::{Capture, Captured, SourceError};
use super::error::OpenError;
use super::exchange::Policy;
use super::slot::Slot;
use super::source::{Source, SourceOptions};
use crate::file_name::FileName;
use crate::output;
use mergevit_kernels::frame::{FrameLayout, PixelFormat};
use mergevit_runtime::image::{self, ImageError};
use mergevit_runtime::words::Count;
use std::fmt::Display;
use std::path::{Path, PathBuf};

struct Folder {
    paths: Vec<PathBuf>,
    /// Width and height of the frames that there is room for.
    most: (usize, usize),
    next: usize,
    repeat: bool,
    /// Which images were reported as unusable: once each, however often the folder is repeated.
    reported: Vec<bool>,
    /// Images without a frame since the last one that gave one.
    unusable: usize,
}

impl Folder {
    fn new(paths: Vec<PathBuf>, most: (usize, usize), repeat: bool) -> Self {
        Self {
            reported: vec![false; paths.len()],
            paths,
            most,
            next: 0,
            repeat,
            unusable: 0,
        }
    }

    /// Skips an image. A whole round without a frame ends the source: it would spin for ever.
    fn skip(&mut self, slot: &mut Slot, why: &dyn Display) -> Result<Captured, SourceError> {
        if !std::mem::replace(&mut self.reported[slot.name], true) {
            output::error(&format_args!("skipped: {why}"));
        }
        slot.reject(why.to_string());
        self.unusable += 1;
        if self.repeat && self.unusable == self.paths.len() {
            let images = self.paths.len();
            return Err(SourceError::NoImages { images });
        }
        Ok(Captured::Unusable)
    }
}

/// Opens a folder, or a single image, and reads the headers of all images for their sizes.
pub(super) fn open(path: &Path, options: &SourceOptions) -> Result<Source, OpenError> {
    let paths = list(path)?;
    let mut largest = Largest::default();
    for path in &paths {
        largest.add(image::dimensions(path));
    }
    if largest.bytes == 0 {
        let folder = PathBuf::from(path);
        return Err(match largest.first_error {
            Some(error) if folder == error.path => OpenError::Image(error),
            Some(first) => OpenError::NoReadableImages {
                folder,
                count: paths.len(),
                first,
            },
            None => OpenError::NoImages { folder },
        });
    }
    Ok(Source {
        description: format!("{}: {}", path.display(), Count(paths.len() as u64, "image")),
        policy: Policy::EveryFrame,
        max_width: largest.width,
        max_height: largest.height,
        slot_bytes: largest.bytes,
        names: paths.iter().map(FileName::from).collect(),
        capture: Box::new(Folder::new(
            paths,
            (largest.width, largest.height),
            options.repeat,
        )),
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

/// The images of a folder in the order of their names, or the one that `path` is.
///
/// # Errors
/// [`OpenError::Io`]
pub(crate) fn list(path: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let io_error = |source| OpenError::Io {
        name: path.display().to_string(),
        action: "read",
        source,
    };
    if !path.metadata().map_err(io_error)?.is_dir() {
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

/// Whether a file's name says image. Hidden files are not meant: `._photo.jpg` holds what macOS knows of a photo.
fn is_image(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    image::has_known_extension(path) && !name.as_encoded_bytes().starts_with(b".")
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
        let image = match image::decode(path) {
            Ok(image) => image,
            Err(error) => return self.skip(slot, &error),
        };
        // The engine has room for these sides, the slot for this many bytes: an image may have grown in either.
        let fits = image.width() <= self.most.0 && image.height() <= self.most.1;
        let layout = FrameLayout::packed(PixelFormat::Rgb, image.width(), image.height());
        let layout = layout.ok().filter(|_| fits);
        match layout.and_then(|layout| slot.prepare(layout, image.pixels().len())) {
            Some(to) => {
                to.copy_from_slice(image.pixels());
                self.unusable = 0;
                Ok(Captured::Frame)
            }
            None => {
                let why = format!("{}: has grown since it was listed", path.display());
                self.skip(slot, &why)
            }
        }
    }

    fn allocates(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeated_folder_whose_images_are_gone_ends() {
        let gone = ["nowhere/a.png", "nowhere/b.png"].map(PathBuf::from);
        let mut folder = Folder::new(gone.into(), (1, 1), true);
        let slot = &mut Slot::new(3).expect("a few bytes");
        assert!(matches!(folder.capture(slot), Ok(Captured::Unusable)));
        assert!(matches!(
            folder.capture(slot),
            Err(SourceError::NoImages { images: 2 })
        ));
    }

    #[test]
    fn an_image_that_has_grown_is_skipped_and_the_others_go_on() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name);
        let write = |name: &str, width, height| {
            let image = ::image::RgbImage::new(width, height);
            image.save(path(name)).expect("an image is written");
        };
        write("a.png", 40, 10);
        write("b.png", 10, 40);
        let options = SourceOptions {
            repeat: true,
            ..SourceOptions::default()
        };
        let mut source = open(folder.path(), &options).expect("two images");
        assert_eq!((source.max_width, source.max_height), (40, 40));
        let slot = &mut Slot::new(source.slot_bytes).expect("some bytes");
        let mut next = || {
            slot.clear();
            let captured = source.capture.capture(slot).expect("it goes on");
            let error = slot.frame().err().map(String::from);
            (captured, error)
        };
        assert_eq!(next(), (Captured::Frame, None));
        // No more bytes than before, but wider than any image was.
        write("b.png", 50, 8);
        for _ in 0..3 {
            let (captured, reason) = next();
            assert_eq!(captured, Captured::Unusable);
            let reason = reason.expect("it is said");
            assert!(
                reason.ends_with("b.png: has grown since it was listed"),
                "{reason}"
            );
            assert_eq!(next(), (Captured::Frame, None));
        }
    }

    #[test]
    fn hidden_files_are_not_images() {
        for (name, expected) in [("a/b.JPG", true), ("a/._b.jpg", false), ("a/.png", false)] {
            assert_eq!(is_image(Path::new(name)), expected, "{name}");
        }
    }
}
