//! `mergevit demo`: classifies embedded frames with an embedded model; needs no files.

mod classify;
mod evaluate;
mod picture;
mod samples;
mod show;

use crate::args::BackendArgs;
use crate::failure::Failure;
use crate::{model, output, start};
use mergevit_runtime::{Engine, Pack, include_pack};
use samples::{SIDE, Sample, samples};

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Classify only the first N embedded frames [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    frames: Option<u16>,
    #[command(flatten)]
    backend: BackendArgs,
    /// Print one JSON object per line: the start, some frames, then each schedule
    #[arg(long)]
    json: bool,
}

static MODEL: &[u8] = include_pack!("../../../assets/garments.mvit");

pub(crate) fn execute(args: &Args) -> Result<(), Failure> {
    let pack = Pack::from_static(MODEL).map_err(|error| Failure::work(&error))?;
    let options = model::options(&args.backend, 1, (SIDE, SIDE));
    let mut engine = options
        .build(pack)
        .map_err(|error| model::failure(&error))?;
    let count = args.frames.map_or(usize::MAX, usize::from);
    let samples: Vec<Sample> = samples().take(count).collect();
    introduce(&engine, samples.len(), args.json)?;
    show::show(&mut engine, &samples, args.json)?;
    let results = evaluate::evaluate(&mut engine, &samples)?;
    if args.json {
        return results.iter().try_for_each(output::print_json);
    }
    output::print(&evaluate::summary(&engine, &results))
}

/// Says what is shown: as a record, or in words.
fn introduce(engine: &Engine, frames: usize, json: bool) -> Result<(), Failure> {
    let source = format!("{frames} Fashion-MNIST test images, embedded");
    if json {
        return start::announce("demo", engine, Some(&source), json);
    }
    let config = engine.pack().config();
    output::print(&format!(
        "model    {}, {size} x {size} pixels, {} layers, {}; embedded\n\
         frames   {source}\n\
         backend  {}\n\n",
        config.architecture,
        config.depth,
        output::bytes(engine.pack().len() as u64),
        model::place(engine),
        size = config.image_size,
    ))
}
