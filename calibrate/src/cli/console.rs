//! Standard error: what the program says besides its results.

use std::io::{self, Write};

/// Writes text to standard error. If that is closed or full, there is nobody to tell.
pub(super) fn warn(text: &str) {
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// How much the program says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Console {
    /// Nothing but errors.
    pub(super) is_quiet: bool,
}

impl Console {
    /// Writes text to standard error unless told to be quiet.
    pub(super) fn say(self, text: &str) {
        if !self.is_quiet {
            warn(text);
        }
    }
}
