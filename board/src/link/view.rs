//! What is classified and decided on apart from the rest.

use super::record::{Frame, StateChange};
use serde::Serialize;
use std::fmt;

/// A source, or a part of its frames.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct View {
    pub(crate) source: String,
    pub(crate) region: Option<String>,
}

impl View {
    /// What a frame is of.
    pub(crate) fn of(frame: &Frame) -> Self {
        Self {
            source: frame.source.clone(),
            region: frame.region.clone(),
        }
    }

    /// What has changed.
    pub(crate) fn of_change(change: &StateChange) -> Self {
        Self {
            source: change.source.clone(),
            region: change.region.clone(),
        }
    }
}

/// For people.
impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.region {
            Some(region) => write!(f, "{} at {region}", self.source),
            None => self.source.fmt(f),
        }
    }
}
