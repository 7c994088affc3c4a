//! `mergevit classify`: classifies image files, one line each.

mod list;

use crate::args::{self, ModelArgs};
use crate::failure::Failure;
use crate::file_name::FileName;
use crate::output::Time;
use crate::ranking::{Ranked, Ranking, rank};
use crate::records::{ErrorRecord, FrameRecord};
use crate::{model, output, start};
use list::List;
use mergevit_kernels::frame::MAX_SIDE;
use mergevit_runtime::Engine;
use mergevit_runtime::image;
use serde::Serialize;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n\
                        \x20 mergevit classify -m model.mvit --top 1 photo.png other.jpg\n\
                        \x20 mergevit classify -m model.mvit --json photos/\n\
                        \x20 curl https://example.org/photo.jpg | mergevit classify -m model.mvit -")]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// PNG, JPEG, WebP or BMP files, folders of them (not their sub-folders), or '-' for one on standard input
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<PathBuf>,
    /// Print the K most likely classes
    #[arg(long, default_value_t = 3, value_name = "K", value_parser = args::within(args::TOP, "classes"))]
    top: usize,
    /// Print one JSON object per line: the start, each image or what is wrong with it, then a summary
    #[arg(long)]
    json: bool,
}

/// All images.
#[derive(Debug, Serialize)]
struct Summary {
    event: &'static str,
    time: Time,
    frames: u64,
    /// Images that could not be used.
    errors: u64,
}

pub(crate) fn execute(args: &Args) -> Result<(), Failure> {
    let mut engine = model::load(&args.model, 1, (MAX_SIDE, MAX_SIDE))?;
    start::announce("classify", &engine, None, args.json)?;
    let mut job = Job {
        engine: &mut engine,
        top: vec![Ranked::default(); args.top],
        json: args.json,
        frames: 0,
        errors: 0,
    };
    for path in List::new(&args.images) {
        match path {
            Ok(path) => job.image(&path)?,
            Err(failed) => job.fail(&failed.path, &failed.to_string())?,
        }
    }
    job.finish()
}

