//! What becomes of a camera while the loop runs.

use std::fmt;

/// Whether a camera delivers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "camera"),
    allow(dead_code, reason = "only cameras come and go")
)]
pub(crate) enum Status {
    /// Frames come.
    Streaming,
    /// Frames came, and come no more.
    Lost,
    /// It cannot be opened. This is tried again and again.
    Waiting,
}

impl Status {
    /// As records write it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Streaming => "streaming",
            Self::Lost => "lost",
            Self::Waiting => "waiting",
        }
    }
}

/// A change of a camera's state. Dropping it frees memory; nothing else about it allocates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CameraStatus {
    pub(crate) status: Status,
    /// Why, unless it streams; or how it streams.
    pub(crate) reason: Option<String>,
}

impl fmt::Display for CameraStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.status.name())?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}
