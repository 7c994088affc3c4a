//! A source, before its first frame.

use super::capture::Capture;
use super::exchange::Policy;
use crate::file_name::FileName;
use mergevit_kernels::frame::ColorSpace;
use std::sync::Arc;

/// Options of the command line that apply to sources of several kinds.
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
