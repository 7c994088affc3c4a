//! From a trained Vision Transformer to one INT8 pack, without retraining; and how good the pack is.
//!
//! ```
//! use mergevit_calibrate::pack::{build, provenance};
//! use mergevit_calibrate::{Checkpoint, Dataset, Observation, Observer, Quantizer};
//! use mergevit_runtime::Schedule;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("garments.mvit");
//! // A folder as Hugging Face ships it: model.safetensors and config.json.
//! let checkpoint = Checkpoint::load("tests/data/garments")?;
//! let spec = "idx:tests/data/fashion-mnist/calibration-images.idx3.gz";
//! let images = Dataset::open(spec, &checkpoint.model.labels, checkpoint.model.classes)?;
//!
//! // Some hundred images are usual.
//! let (pixels, _labels) = images.pixels(0..4, &checkpoint.model)?;
//! let mut observation = Observation::new(&checkpoint, 4);
//! observation.see(&pixels);
//! let statistics = observation.finish()?;
//!
//! let model = Quantizer::new().quantize(&checkpoint, &statistics);
//!
//! let depth = checkpoint.model.depth;
//! let schedules = vec![Schedule::constant(0, depth), Schedule::constant(8, depth)];
//! let source = provenance(&checkpoint, images.name(), statistics.images, Observer::Mse);
//! build(&checkpoint, &model, schedules, source)?.finish(&path)?;
//! # assert_eq!(mergevit_runtime::Pack::open(&path)?.schedules().len(), 2);
//! # Ok(())
//! # }
//! ```
//!
//! The ideas behind it:
//!
//! - **Import** ([`checkpoint`]): every library's tensors get one name and one layout, and what can be
//!   folded is: the class token into the position embedding, LayerScale into the weights before it.
//! - **Observe** ([`observe`]): a pass in full precision ([`fp32`]) over the calibration set ([`dataset`])
//!   keeps the limits of every activation and a bounded number of its rows.
//! - **Quantize** ([`quantize`]): scales, shifts and clipping are chosen by the error of each layer's real
//!   output.
//! - **Fold** ([`quantize::Columns`]): whatever produces an activation applies its scale, and whatever
//!   consumes it takes the scale into its weights, so quantization costs nothing at run time.
//! - **Pack** ([`mod@pack`]): all of it in one file, which the `mergevit-runtime` crate maps and runs.
//! - **Evaluate** ([`evaluate`], [`report`]): accuracy, agreement with full precision, and noise layer by
//!   layer; and which rounding it comes from ([`diagnose`]).
//!
//! - **Head** ([`head`]): a classifier of one's own classes, from images of them, on what a pack without classes gives.
//!
//! The program `mergevit-calibrate` ([`cli`]) does all of it from the command line.

pub mod checkpoint;
pub mod cli;
pub mod confidence;
pub mod dataset;
pub mod diagnose;
#[cfg(test)]
mod documented;
pub mod evaluate;
pub mod fp32;
pub mod head;
pub mod observe;
pub mod pack;
pub mod quantize;
pub mod report;
pub mod schedules;
pub mod zero_shot;

pub use checkpoint::Checkpoint;
pub use dataset::Dataset;
pub use evaluate::Evaluation;
pub use fp32::Forward;
pub use observe::{Observation, Observer};
pub use quantize::Quantizer;
