//! How a source hands over its frames.

use super::demand::Demand;
use super::slot::Slot;
use super::status::CameraStatus;
use std::borrow::Cow;
use std::io;
use std::sync::Arc;
use thiserror::Error;

/// The result of one attempt to capture a frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Captured {
    /// The slot holds a frame.
    Frame,
    /// A frame arrived but cannot be used; [`Slot::reject`] says why.
    Unusable,
    /// No frame yet; ask again.
    #[cfg_attr(
        not(feature = "camera"),
        expect(dead_code, reason = "only cameras wait")
    )]
    Nothing,
    /// No frame, but news of the camera.
    #[cfg_attr(
        not(any(feature = "camera", test)),
        expect(dead_code, reason = "only cameras come and go")
    )]
    Status(CameraStatus),
    /// There are no more frames.
    End,
}

/// Captures the frames of an open source.
pub(crate) trait Capture: Send {
    /// Fills a slot with the next frame.
    ///
    /// # Errors
    /// [`SourceError`], which ends the source.
    fn capture(&mut self, slot: &mut Slot) -> Result<Captured, SourceError>;

    /// Whether capturing allocates memory.
    fn allocates(&self) -> bool {
        false
    }

    /// What the loop raises when it wants a frame, if frames are made on demand.
    fn demand(&self) -> Option<Arc<Demand>> {
        None
    }
}

/// Why a source ended early. Creating it does not allocate.
#[derive(Debug, Error)]
pub(crate) enum SourceError {
    #[error("frame {frame}: cannot read: {source}")]
    Io { frame: u64, source: io::Error },
    #[error("no image can be read any more ({images} tried)")]
    NoImages { images: usize },
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
    #[error("a bug in what reads it: {message}")]
    Panicked { message: Cow<'static, str> },
}
