//! Where frames come from: cameras, folders of images, Y4M streams, raw pipes.
//!
//! [`open`] learns everything that has to be known before the first frame (sizes, formats, names), so that
//! the slots which frames travel in are reserved before the live loop starts. From then on a source fills
//! slots without allocating; image decoders cannot do that, and run on a thread of their own outside the
//! seal.

#[cfg(feature = "camera")]
mod camera;
mod exchange;
mod folder;
pub(crate) mod images;
mod raw;
mod slot;
mod spec;
mod stream;
mod y4m;

pub(crate) use exchange::{Counts, Exchange, Next, Policy};
pub(crate) use spec::{SourceSpec, parse_color, parse_size};

use mergevit_kernels::frame::{ColorSpace, FrameError};
use slot::Slot;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use thiserror::Error;

/// What the command line says beside the source itself.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SourceOptions {
    /// Start again at the end.
    pub(crate) repeat: bool,
    /// Colour space of frames that do not carry their own.
    pub(crate) color: Option<ColorSpace>,
    /// Size to ask a camera for.
    #[cfg(feature = "camera")]
    pub(crate) size: Option<(usize, usize)>,
}

/// What became of one attempt to capture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Captured {
    /// The slot holds a frame.
    Frame,
    /// A frame came but cannot be used.
    Unusable,
    /// No frame yet; ask again.
    #[cfg_attr(
        not(feature = "camera"),
        expect(dead_code, reason = "only cameras wait")
    )]
    Nothing,
    /// There are no further frames.
    End,
}

/// A source that has been opened.
pub(crate) trait Capture: Send {
    /// Fills a slot with the next frame.
    ///
    /// # Errors
    /// What ends the source.
    fn capture(&mut self, slot: &mut Slot) -> Result<Captured, SourceError>;

    /// Whether capturing allocates memory.
    fn allocates(&self) -> bool {
        false
    }
}

/// A source, and what is known about its frames.
pub(crate) struct Source {
    /// For people: format, size, device.
    pub(crate) description: String,
    pub(crate) policy: Policy,
    /// Widest frame in pixels.
    pub(crate) max_width: usize,
    /// Highest frame in pixels.
    pub(crate) max_height: usize,
    /// Bytes of the largest frame.
    pub(crate) slot_bytes: usize,
    /// Names of frames, by [`Slot::name`]; empty if frames have none.
    pub(crate) names: Arc<[String]>,
    pub(crate) capture: Box<dyn Capture>,
}

/// Why a source cannot be opened.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    #[error("{name}: cannot {action}: {source}")]
    Io {
        name: String,
        action: &'static str,
        source: io::Error,
    },
    #[error("{}: no PNG or JPEG images", folder.display())]
    NoImages { folder: PathBuf },
    #[error("{}: none of its {count} images can be read; the first: {first}", folder.display())]
    NoReadableImages {
        folder: PathBuf,
        count: usize,
        first: images::ImageError,
    },
    #[error("{name}: {reason}")]
    Header {
        name: String,
        reason: y4m::HeaderError,
    },
    #[error("{name}: not a file, so it cannot be read again, which --loop needs")]
    NotRepeatable { name: String },
    #[error("{name}: {reason}")]
    Layout { name: String, reason: FrameError },
    #[error("{name}: {reason}")]
    #[cfg(feature = "camera")]
    Camera {
        name: String,
        reason: camera::CameraError,
    },
    #[error("{}: this mergevit was built without cameras", device.display())]
    #[cfg(not(feature = "camera"))]
    NoCameras { device: PathBuf },
}

impl OpenError {
    /// What to do about it, where there is something.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Header { reason, .. } => reason.hint().map(Into::into),
            Self::NoImages { .. } => Some("sub-folders are not searched; name one of them".into()),
            #[cfg(feature = "camera")]
            Self::Camera { reason, .. } => reason.hint(),
            #[cfg(not(feature = "camera"))]
            Self::NoCameras { .. } => Some(
                "build it with `--features camera`, or pipe frames in: \
                 ffmpeg -i DEVICE -f yuv4mpegpipe - | mergevit run --source y4m:-"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// Why a source ended before its end. Made without allocating.
#[derive(Debug, Error)]
pub(crate) enum SourceError {
    #[error("frame {frame}: cannot read: {source}")]
    Io { frame: u64, source: io::Error },
    #[error("frame {frame}: the stream ends after {found} of {expected} bytes")]
    Truncated {
        frame: u64,
        found: usize,
        expected: usize,
    },
    #[error(
        "frame {frame}: the header does not start with \"FRAME\" or is longer than {limit} bytes"
    )]
    FrameHeader { frame: u64, limit: usize },
}

/// Opens a source.
///
/// # Errors
/// [`OpenError`]
pub(crate) fn open(spec: &SourceSpec, options: &SourceOptions) -> Result<Source, OpenError> {
    match spec {
        SourceSpec::Images(path) => folder::open(path, options),
        SourceSpec::Y4m(input) => y4m::open(input, options),
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
