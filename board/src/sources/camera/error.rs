//! Why a camera cannot be used.

use mergevit_kernels::frame::{FrameError, MAX_SIDE};
use std::io;
use thiserror::Error;

/// Why a camera cannot be used.
#[derive(Debug, Error)]
pub(crate) enum CameraError {
    #[error("cannot {action}: {source}")]
    Io {
        action: &'static str,
        source: io::Error,
    },
    #[error("{card} does not stream single-planar frames")]
    NotACamera { card: String },
    #[error("it offers {}, expected one of {}", offered.join(", "), expected.join(", "))]
    Formats {
        offered: Vec<String>,
        expected: Vec<String>,
    },
    #[error("the driver set {found} instead of {expected}")]
    Refused { found: String, expected: String },
    #[error("the driver's format: {0}")]
    Layout(#[from] FrameError),
    #[error("frames of {width}x{height} pixels, expected sides of 1 to {MAX_SIDE}")]
    Size { width: u32, height: u32 },
}

impl CameraError {
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Some("`mergevit doctor` lists the cameras".into()),
                io::ErrorKind::PermissionDenied => {
                    Some("add yourself to the group that owns the device, often `video`".into())
                }
                io::ErrorKind::ResourceBusy => Some("another program uses the camera".into()),
                _ => None,
            },
            Self::NotACamera { .. } => {
                Some("a camera may have several devices; `mergevit doctor` lists them".into())
            }
            Self::Formats { offered, .. } if offered.iter().any(|f| f == "MJPG" || f == "JPEG") => Some(
                "JPEG streams are not decoded; pipe them in: ffmpeg -f v4l2 -i DEVICE -pix_fmt \
                 yuv420p -f yuv4mpegpipe - | mergevit run --model M.mvit --source y4m:-"
                    .into(),
            ),
            _ => None,
        }
    }
}

/// Wraps what the system answered to `action`, a verb.
pub(super) fn io_error(action: &'static str) -> impl Fn(io::Error) -> CameraError {
    move |source| CameraError::Io { action, source }
}
