//! Why a camera cannot be used.

use super::driver::{Code, Format};
use super::encodings::{ENCODINGS, Mode, encoding};
use super::wish::Wish;
use mergevit_kernels::frame::{FrameError, MAX_SIDE};
use mergevit_kernels::memory::OutOfMemory;
use std::fmt::Write;
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
    #[error("it offers no {wanted}, but {offered}")]
    Modes { wanted: String, offered: String },
    #[error("the driver set {found} instead of {wanted}")]
    Refused { found: Format, wanted: Format },
    #[error("the driver's format: {0}")]
    Layout(#[from] FrameError),
    #[error("frames of {width}x{height} pixels, expected sides of 1 to {MAX_SIDE}")]
    Size { width: u32, height: u32 },
    #[error("its frames have {bytes} bytes, more than the {room} that are reserved")]
    TooLarge { bytes: usize, room: usize },
    #[error("the driver reserves {count} buffers, at least 2 are needed")]
    Buffers { count: u32 },
    #[error("no usable frame in {seconds:.1} s")]
    NoFrame { seconds: f64 },
    #[error("another camera is there: {found} instead of {expected}")]
    Another { found: String, expected: String },
    #[error(transparent)]
    OutOfMemory(#[from] OutOfMemory),
}

impl CameraError {
    /// Nothing that is offered will do: for its formats, or for what the command line decided.
    pub(super) fn nothing_fits(modes: &[Mode], codes: &[Code], wish: &Wish) -> Self {
        let name = |code: &Code| code.escape_ascii().to_string();
        if !codes.iter().any(|code| encoding(*code).is_some()) {
            return Self::Formats {
                offered: codes.iter().map(name).collect(),
                expected: ENCODINGS.iter().map(|(code, _)| name(code)).collect(),
            };
        }
        let mut wanted = String::from("frames");
        if let Some(encoding) = wish.encoding {
            let _ = write!(wanted, " in {encoding}");
        }
        if let Some((width, height)) = wish.size {
            let _ = write!(wanted, " of {width}x{height}");
        }
        if let Some((width, height)) = wish.most {
            let _ = write!(wanted, " of at most {width}x{height}");
        }
        let mut offered: Vec<String> = Vec::new();
        for mode in modes {
            let (width, height) = mode.size;
            let mode = format!("{} {width}x{height}", mode.encoding);
            if !offered.contains(&mode) {
                offered.push(mode);
            }
        }
        let offered = match offered.is_empty() {
            true => "no size at all".into(),
            false => offered.join(", "),
        };
        Self::Modes { wanted, offered }
    }

    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Io { source, .. } => match source.kind() {
                io::ErrorKind::NotFound => Some(
                    "`mergevit doctor` lists the cameras; --wait waits until it is plugged in"
                        .into(),
                ),
                io::ErrorKind::PermissionDenied => {
                    Some("add yourself to the group that owns the device, often `video`".into())
                }
                io::ErrorKind::ResourceBusy => Some("another program uses the camera".into()),
                _ => None,
            },
            Self::NotACamera { .. } => {
                Some("a camera may have several devices; `mergevit doctor` lists them".into())
            }
            Self::Formats { .. } => Some(
                "put a decoder in front: ffmpeg -f v4l2 -i DEVICE -pix_fmt yuv420p -f \
                 yuv4mpegpipe - | mergevit run --model M.mvit --source y4m:- --latest"
                    .into(),
            ),
            Self::NoFrame { .. } => {
                Some("--stall allows a camera more time; another cable or port may help".into())
            }
            _ => None,
        }
    }
}

/// Wraps what the system answered to `action`, a verb.
pub(super) fn io_error(action: &'static str) -> impl Fn(io::Error) -> CameraError {
    move |source| CameraError::Io { action, source }
}
