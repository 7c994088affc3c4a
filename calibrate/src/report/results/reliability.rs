//! Whether confidence means what it says.

use crate::confidence::{BINS, Bin, Reliability};
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

impl ReliabilityBin {
    /// The bins of `reliability`; none of no images.
    pub fn of(reliability: &Reliability) -> Vec<Self> {
        if reliability.images() == 0 {
            return Vec::new();
        }
        let bin = |(index, own): (usize, &Bin)| {
            let mean = |sum: f64| (own.images > 0).then(|| sum / own.images as f64);
            Self {
                from: index as f64 / BINS as f64,
                to: (index + 1) as f64 / BINS as f64,
                images: own.images,
                confidence: mean(own.confidence),
                accuracy: mean(own.right as f64),
            }
        };
        reliability.bins().iter().enumerate().map(bin).collect()
    }
}
