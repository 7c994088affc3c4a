//! What can be had at which cost.

use mergevit_runtime::estimate::Range;
use serde::Serialize;

/// A schedule or cascade with its cost and what it keeps of the network's answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FrontPoint {
    /// The schedule's or cascade's name; that of a schedule that was tried and is not in the pack says what it is.
    pub name: String,
    /// Billions of multiply-accumulates per image; of a cascade, on average.
    pub gmac: f64,
    /// Time per image in microseconds on the [target](FrontBasis::target): estimated, or measured, with both ends the same.
    pub latency_us: Option<Range>,
    /// Fraction of the images with the answer of the [reference](FrontBasis::reference); none of embeddings.
    pub agreement: Option<f64>,
    /// Its standard error.
    pub agreement_standard_error: Option<f64>,
    /// Signal-to-noise ratio of the outputs against the reference's, in dB.
    pub signal_to_noise_db: Option<f64>,
    /// Whether it is in the pack.
    pub chosen: bool,
}

/// What the points of a front were measured on and against.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct FrontBasis {
    /// Name of the set.
    pub dataset: String,
    /// Images measured.
    pub images: u64,
    /// What answers are compared with: `FP32 without merging`.
    pub reference: String,
    /// The machine that latencies are of, if there are latencies: `orin-nano-super`.
    pub target: Option<String>,
}
