//! Whether confidence means what it says.

use serde::Serialize;

/// The images whose confidence, the probability of the first class, lies in a stretch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// Where the stretch begins, 0 to 1.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
    /// Images in it.
    pub images: u64,
    /// Their mean confidence; none without images.
    pub confidence: Option<f64>,
    /// Fraction of them whose first class is right; none without images.
    pub accuracy: Option<f64>,
}
