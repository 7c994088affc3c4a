//! Why a calibration set cannot be used.

use thiserror::Error;

/// Why a calibration set cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ObserveError {
    /// The set has no images.
    #[error("calibration set: 0 images, expected at least 1")]
    NoImages,
    /// An activation is NaN or infinite: the network overflows or its weights are damaged.
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
