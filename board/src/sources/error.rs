//! Why a source cannot be opened.

#[cfg(feature = "camera")]
use super::camera::error::CameraError;
use super::mjpeg::Defect;
use super::y4m::header::HeaderError;
use mergevit_kernels::frame::FrameError;
use mergevit_kernels::memory::OutOfMemory;
use mergevit_runtime::image::{EXTENSIONS, ImageError};
use std::io;
use std::path::PathBuf;
use thiserror::Error;

/// Why a source cannot be opened.
#[derive(Debug, Error)]
pub(crate) enum OpenError {
    #[error("{name}: cannot {action}: {source}")]
    Io {
        name: String,
        action: &'static str,
        source: io::Error,
    },
    #[error("{}: no images in it ({})", folder.display(), EXTENSIONS.map(|end| format!("*.{end}")).join(", "))]
    NoImages { folder: PathBuf },
    #[error("{}: no image can be read ({count} tried); the first: {first}", folder.display())]
    NoReadableImages {
        folder: PathBuf,
        count: usize,
        first: ImageError,
    },
    #[error(transparent)]
    Image(ImageError),
    #[error("{name}: {reason}")]
    Header { name: String, reason: HeaderError },
    #[error("{name}: not a file, so it cannot be read again, which --loop needs")]
    NotRepeatable { name: String },
    #[error("{name}: {reason}")]
    Layout { name: String, reason: FrameError },
    #[error("{name}: {reason}")]
    Jpeg { name: String, reason: Defect },
    #[error(transparent)]
    OutOfMemory(OutOfMemory),
    #[error("{name}: {reason}")]
    #[cfg(feature = "camera")]
    Camera { name: String, reason: CameraError },
    #[error("{}: this mergevit was built without cameras", device.display())]
    #[cfg(not(feature = "camera"))]
    NoCameras { device: PathBuf },
}

impl OpenError {
    /// What to do about it, if anything.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Header { reason, .. } => reason.hint().map(Into::into),
            Self::NoImages { .. } => Some("sub-folders are not searched; name one of them".into()),
            #[cfg(feature = "camera")]
            Self::Camera { reason, .. } => reason.hint(),
            #[cfg(not(feature = "camera"))]
            Self::NoCameras { .. } => Some(
                "build it with `--features camera`, or pipe frames in: \
                 ffmpeg -f v4l2 -i DEVICE -pix_fmt yuv420p -f yuv4mpegpipe - | \
                 mergevit run --model M.mvit --source y4m:-"
                    .into(),
            ),
            _ => None,
        }
    }
}
