//! What a diagnosis finds.

use super::outliers::Outlier;
use super::quantizer::Quantizer;
use serde::Serialize;

/// What leaving out a rounding brings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gain {
    /// The rounding, in all layers; none of a layer's.
    pub quantizer: Option<Quantizer>,
    /// The layer, all of whose roundings are left out; none of a quantizer's.
    pub layer: Option<usize>,
    /// By how much the noise of the features falls, in dB.
    pub gain_db: f64,
    /// Its standard error over the images; none of a single one.
    pub standard_error_db: Option<f64>,
    /// By how much the noise of the classifier's scores falls, in dB; none without a classifier.
    pub outputs_gain_db: Option<f64>,
    /// Its standard error. With few classes it is large: the features tell more.
    pub outputs_standard_error_db: Option<f64>,
}

/// Which rounding costs how much, without merging.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Diagnosis {
    /// Images measured.
    pub images: u64,
    /// Signal to noise of the emulated features with all roundings, against full precision's, in dB; none if they are
    /// equal. Features are what the classifier sees, or the output of a network without one.
    pub signal_to_noise_db: Option<f64>,
    /// The same of the classifier's scores; none without a classifier.
    pub outputs_signal_to_noise_db: Option<f64>,
    /// One for each quantizer of the model, the largest gain first.
    pub quantizers: Vec<Gain>,
    /// One for each layer, first to last.
    pub layers: Vec<Gain>,
    /// Channels that reach much further than those whose steps they coarsen, the furthest first.
    pub outliers: Vec<Outlier>,
    /// What the user should know of an unusually hard checkpoint.
    pub hint: Option<String>,
}

impl Gain {
    /// What was left out, in words.
    pub fn name(&self) -> String {
        match (self.quantizer, self.layer) {
            (Some(quantizer), _) => quantizer.name().into(),
            (None, Some(layer)) => format!("layer {layer}"),
            (None, None) => "nothing".into(),
        }
    }
}
