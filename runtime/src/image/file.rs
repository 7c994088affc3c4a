//! Opening a file that claims to be an image.

use super::error::ImageDefect;
use super::limits::MAX_FILE;
use crate::input_file::{self, InputError};
use std::fs::File;
use std::path::Path;

/// Opens a regular file that is not too long.
pub(super) fn open(path: &Path) -> Result<File, ImageDefect> {
    let file = input_file::open(path).map_err(|error| match error {
        InputError::Io(error) => ImageDefect::Open(error),
        InputError::Folder => ImageDefect::Kind("a folder"),
        InputError::Kind(found) => ImageDefect::Kind(found),
    })?;
    if file.metadata().map_err(ImageDefect::Open)?.len() > MAX_FILE {
        return Err(ImageDefect::Large);
    }
    Ok(file)
}
