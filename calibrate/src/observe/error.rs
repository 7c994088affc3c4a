//! Why a calibration set cannot be used.

use thiserror::Error;

/// Why a calibration set cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
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
