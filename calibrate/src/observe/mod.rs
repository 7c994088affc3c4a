//! Observing activations over a calibration set.

mod range;
mod recorder;
mod statistics;

pub use range::Observer;
pub use recorder::Observation;
pub use statistics::{LayerStatistics, Rows, Statistics};

use thiserror::Error;

/// Why a calibration set cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ObserveError {
    /// Nothing to observe.
    #[error("calibration set: 0 images, expected at least 1")]
    NoImages,
    /// The network overflows or its weights are broken.
    #[error(
        "{activation}, channel {channel}: not finite on the calibration set; is the checkpoint damaged?"
    )]
    NonFinite {
        /// Which activation.
        activation: String,
        /// Which channel.
        channel: usize,
    },
}
