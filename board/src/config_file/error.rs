//! What is wrong with a configuration file, and where.

use std::fmt::Display;
use std::ops::Range;
use std::path::Path;
use thiserror::Error;

/// A configuration file that cannot be used.
#[derive(Debug, Error, PartialEq)]
pub(crate) enum ConfigError {
    /// It cannot be read.
    #[error("cannot read {path}: {reason}")]
    Unreadable { path: String, reason: String },
    /// It says something that is not understood.
    #[error("{path}:{line}: {message}")]
    Wrong {
        path: String,
        /// Counted from 1.
        line: usize,
        message: String,
    },
}

/// A configuration file's text, to tell where in it something is wrong.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) path: &'a Path,
    pub(super) text: &'a str,
}

impl Source<'_> {
    /// An error at a place in bytes.
    pub(super) fn error(&self, place: Range<usize>, message: impl Display) -> ConfigError {
        let before = &self.text.as_bytes()[..place.start.min(self.text.len())];
        ConfigError::Wrong {
            path: self.path.display().to_string(),
            line: 1 + before.iter().filter(|&&byte| byte == b'\n').count(),
            message: message.to_string(),
        }
    }
}
