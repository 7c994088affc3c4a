//! Observing activations over a calibration set.

mod error;
mod range;
mod recorder;
mod statistics;

pub use error::ObserveError;
pub use range::Observer;
pub use recorder::Observation;
pub use statistics::{LayerStatistics, PoolingStatistics, Rows, Statistics};
