//! A source, before its first frame.

use super::capture::Capture;
use super::encoding::Encoding;
use super::exchange::Policy;
use crate::file_name::FileName;
use mergevit_kernels::frame::ColorSpace;
use std::sync::Arc;
use std::time::Duration;

/// Options of the command line that apply to sources of several kinds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SourceOptions {
    /// Start again at the end.
    pub(crate) repeat: bool,
    /// Colour space of frames that do not carry their own.
    pub(crate) color: Option<ColorSpace>,
    /// The newest frame of a pipe wins, as that of a camera does.
    pub(crate) latest: bool,
    #[cfg_attr(
        not(feature = "camera"),
        expect(dead_code, reason = "there are no cameras")
    )]
    pub(crate) camera: CameraOptions,
}

impl SourceOptions {
    /// What becomes of a stream's frames that the loop has no time for.
    pub(super) fn policy(&self) -> Policy {
        match self.latest {
            true => Policy::Latest,
            false => Policy::EveryFrame,
        }
    }
}

/// What a camera is asked for.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(
    not(feature = "camera"),
    expect(dead_code, reason = "there are no cameras")
)]
pub(crate) struct CameraOptions {
    /// Side of the model's input in pixels: frames are to be no smaller.
    pub(crate) least: usize,
    /// Frames per second.
    pub(crate) fps: f64,
    /// Width and height in pixels, in the place of the smallest that is large enough.
    pub(crate) size: Option<(usize, usize)>,
    pub(crate) format: Option<Encoding>,
    /// Wait for a camera that is not there yet.
    pub(crate) wait: bool,
    /// A camera that gives no usable frame for this long is opened again.
    pub(crate) stall: Duration,
}

impl Default for CameraOptions {
    fn default() -> Self {
        Self {
            least: 224,
            fps: 30.0,
            size: None,
            format: None,
            wait: false,
            stall: Duration::from_secs(2),
        }
    }
}

/// An open source, and what is known about its frames.
pub(crate) struct Source {
    /// For people: format, size, device.
    pub(crate) description: String,
    pub(crate) policy: Policy,
    /// Widest frame in pixels.
    pub(crate) max_width: usize,
    /// Tallest frame in pixels.
    pub(crate) max_height: usize,
    /// Bytes of the largest frame.
    pub(crate) slot_bytes: usize,
    /// The files that frames come from, by [`Slot::name`](super::slot::Slot::name); empty if frames have none.
    pub(crate) names: Arc<[FileName]>,
    pub(crate) capture: Box<dyn Capture>,
}
