//! From a trained checkpoint to a packed INT8 model, without retraining; and how good the result is.

pub mod checkpoint;
pub mod cli;
pub mod dataset;
pub mod evaluate;
pub mod fp32;
pub mod observe;
pub mod pack;
pub mod quantize;
pub mod report;
