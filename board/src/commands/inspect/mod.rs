//! `mergevit inspect`: what a pack holds.

mod facts;
mod report;
mod text;

use crate::failure::Failure;
use crate::{model, output};
use report::Report;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Pack written by `mergevit-calibrate pack`
    #[arg(value_name = "M.mvit")]
    pack: PathBuf,
    /// Also list the sections: tensors with their shapes, places and checksums
    #[arg(long)]
    sections: bool,
    /// Print one JSON object, sections included
    #[arg(long)]
    json: bool,
}

pub(crate) fn execute(args: &Args) -> Result<(), Failure> {
    let pack = model::open(&args.pack)?;
    let report = Report::new(&args.pack, &pack)?;
    if args.json {
        output::print_json(&report)
    } else {
        output::print(&text::text(&report, args.sections))
    }
}
