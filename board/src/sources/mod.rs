//! Where frames come from: cameras, folders of images, Y4M and Motion JPEG streams, raw pipes.
//!
//! [`open`] learns everything that must be known before the first frame (sizes, formats, names), so that the
//! slots in which frames travel are reserved before the live loop starts. From then on a source fills slots
//! without allocating, JPEG frames in scratch memory. Readers of image files run outside the seal.

mod args;
#[cfg(feature = "camera")]
mod camera;
mod capture;
mod demand;
mod encoding;
mod error;
mod exchange;
mod folder;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod mjpeg;
mod names;
mod offers;
mod raw;
mod slot;
mod source;
mod spec;
mod status;
mod stream;
mod y4m;

pub(crate) use args::SourceArgs;
pub(crate) use capture::{Capture, SourceError};
pub(crate) use error::OpenError;
pub(crate) use exchange::{Counts, Exchange, Next, Policy};
pub(crate) use folder::list as list_images;
#[cfg(test)]
pub(crate) use offers::Offer;
pub(crate) use offers::Offers;
pub(crate) use slot::Slot;
pub(crate) use source::{Source, SourceOptions};
pub(crate) use spec::SourceSpec;
pub(crate) use status::CameraStatus;

use std::path::Path;

/// Opens a source.
///
/// # Errors
/// [`OpenError`]
pub(crate) fn open(spec: &SourceSpec, options: &SourceOptions) -> Result<Source, OpenError> {
    match spec {
        SourceSpec::Images(path) => folder::open(path, options),
        SourceSpec::Y4m(input) => y4m::open(input, options),
        SourceSpec::Mjpeg(input) => mjpeg::stream::open(input, options),
        SourceSpec::Raw {
            format,
            width,
            height,
            input,
        } => raw::open(*format, (*width, *height), input, options),
        #[cfg(feature = "camera")]
        SourceSpec::Camera(device) => camera::open(device, options),
        #[cfg(not(feature = "camera"))]
        SourceSpec::Camera(device) => Err(OpenError::NoCameras {
            device: device.clone(),
        }),
    }
}

/// Asks a camera for what it offers; changes nothing in it. `None` without camera support.
///
/// # Errors
/// Why `mergevit run` cannot use it.
pub(crate) fn offers(device: &Path) -> Result<Option<Offers>, String> {
    #[cfg(feature = "camera")]
    return camera::offers(device)
        .map(Some)
        .map_err(|error| error.to_string());
    #[cfg(not(feature = "camera"))]
    {
        let _ = device;
        Ok(None)
    }
}
