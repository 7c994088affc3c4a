//! What a camera offers, for `mergevit doctor`.

use serde::Serialize;
use std::fmt;

/// A size of a format, with its rates.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Offer {
    /// As `--format` takes it.
    pub(crate) format: String,
    /// In pixels.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// Frames per second; empty where the driver does not list them.
    pub(crate) rates: Vec<f64>,
}

impl fmt::Display for Offer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}x{}", self.format, self.width, self.height)?;
        if self.rates.is_empty() {
            return Ok(());
        }
        let rates: Vec<String> = self.rates.iter().map(f64::to_string).collect();
        write!(f, " at {} frames/s", rates.join(", "))
    }
}

/// What a camera offers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct Offers {
    /// All that is understood.
    pub(crate) offers: Vec<Offer>,
    /// What `mergevit run` asks for first, for a model with an input of 224 pixels at 30 frames per second.
    pub(crate) chosen: Option<Offer>,
}
