//! One embedded frame through the engine.

use super::samples::{SIDE, Sample};
use crate::failure::Failure;
use crate::ranking::{Named, Ranked};
use mergevit_kernels::frame::{Frame, PixelFormat};
use mergevit_runtime::Engine;
use std::time::Instant;

/// Classifies a frame: preprocessing and inference. Fills `top`; returns the time in microseconds.
pub(super) fn classify(
    engine: &mut Engine,
    sample: Sample,
    top: &mut [Ranked],
) -> Result<f64, Failure> {
    let frame = Frame::packed(PixelFormat::Grey, SIDE, SIDE, sample.pixels)
        .map_err(|error| Failure::work(&error))?;
    let begin = Instant::now();
    let output = engine
        .classify(&[frame])
        .map_err(|error| Failure::work(&error))?;
    let time = begin.elapsed();
    Named::Best.rank(&output, 0, top);
    Ok(time.as_secs_f64() * 1e6)
}
