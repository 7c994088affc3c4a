//! How long preprocessing takes.

use super::latency::{Latencies, nanoseconds};
use super::pixels::Pixels;
use crate::failure::Failure;
use mergevit_kernels::frame::{Frame, PixelFormat};
use mergevit_runtime::Engine;
use serde::Serialize;
use std::time::Instant;

/// Width and height of the camera frame whose preprocessing is measured: 720p NV12.
pub(super) const FRAME: (usize, usize) = (1280, 720);

/// Timed runs.
const PREPROCESS_RUNS: usize = 30;

/// Preprocessing of one camera frame.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Preprocessing {
    pub(super) preprocess_width: usize,
    pub(super) preprocess_height: usize,
    pub(super) preprocess_us_p50: f64,
}

/// Times the conversion of a 720p NV12 frame to the network's pixels.
pub(super) fn preprocessing(engine: &mut Engine) -> Result<Preprocessing, Failure> {
    let (width, height) = FRAME;
    let bytes = Pixels::random(PixelFormat::Nv12.frame_bytes(width, height), 1);
    let frame = Frame::packed(PixelFormat::Nv12, width, height, bytes.all())
        .map_err(|error| Failure::work(&error))?;
    let mut times = Vec::with_capacity(PREPROCESS_RUNS);
    for run in 0..=PREPROCESS_RUNS {
        let begin = Instant::now();
        engine
            .preprocess(&[frame])
            .map_err(|error| Failure::work(&error))?;
        // The first run builds the tables for this size.
        if run > 0 {
            times.push(nanoseconds(begin.elapsed()));
        }
    }
    Ok(Preprocessing {
        preprocess_width: width,
        preprocess_height: height,
        preprocess_us_p50: Latencies::new(times).quantile_us(0.5),
    })
}
