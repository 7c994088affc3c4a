//! `mergevit classify`: classifies image files, one line each.

use crate::args::{self, ModelArgs};
use crate::failure::Failure;
use crate::ranking::{Ranked, Ranking, rank};
use crate::{model, output};
use mergevit_kernels::frame::MAX_SIDE;
use mergevit_runtime::image::{self, ImageError};
use mergevit_runtime::{Engine, RunError};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::time::Instant;
use thiserror::Error;

#[derive(clap::Args, Debug)]
#[command(after_help = "Example:\n\
                        \x20 mergevit classify -m model.mvit --top 1 photo.png other.jpg")]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// PNG, JPEG, WebP or BMP files
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Print the K most likely classes
    #[arg(long, default_value_t = 3, value_name = "K", value_parser = args::within(args::TOP, "classes"))]
    top: usize,
    /// Print one JSON object per line
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Record<'a> {
    image: std::borrow::Cow<'a, str>,
    top: Ranking<'a>,
    latency_us: f64,
}

/// Why an image has no class.
#[derive(Debug, Error)]
enum ClassifyError {
    #[error("{0}")]
    Image(#[from] ImageError),
    #[error("{path}: {reason}")]
    Run { path: String, reason: RunError },
}

pub(crate) fn execute(args: &Args) -> Result<(), Failure> {
    let mut engine = model::load(&args.model, 1, (MAX_SIDE, MAX_SIDE))?;
    let mut top = vec![Ranked::default(); args.top];
    let mut failed = 0;
    for path in &args.images {
        match classify(&mut engine, path, &mut top) {
            Ok((ranked, latency_us)) => {
                let record = Record {
                    image: path.to_string_lossy(),
                    top: Ranking {
                        labels: &engine.pack().config().labels,
                        top: &top[..ranked],
                    },
                    latency_us,
                };
                print(&record, args.json)?;
            }
            Err(error) => {
                failed += 1;
                output::warn(&format!("error: {error}"));
            }
        }
    }
    if failed == 0 {
        return Ok(());
    }
    let images = args.images.len();
    if images > 1 {
        output::warn(&format!("{failed} of {images} images failed"));
    }
    Err(Failure::Reported)
}

/// Ranks the classes of an image into `top`. Returns how many it ranked, and the time without decoding in
/// microseconds.
fn classify(
    engine: &mut Engine,
    path: &Path,
    top: &mut [Ranked],
) -> Result<(usize, f64), ClassifyError> {
    let image = image::decode(path)?;
    let frame = image.frame();
    let begin = Instant::now();
    let output = engine
        .classify(&[frame])
        .map_err(|reason| ClassifyError::Run {
            path: path.display().to_string(),
            reason,
        })?;
    let latency_us = begin.elapsed().as_secs_f64() * 1e6;
    Ok((rank(&output, 0, top), latency_us))
}

fn print(record: &Record<'_>, json: bool) -> Result<(), Failure> {
    if json {
        return output::print_json(record);
    }
    let latency = output::microseconds(record.latency_us);
    output::print(&format!("{}: {}  ({latency})\n", record.image, record.top))
}
