//! `mergevit demo`: classifies embedded frames with an embedded model; needs no files.

mod classify;
mod evaluate;
mod picture;
mod samples;
mod show;

use crate::args::BackendArgs;
use crate::failure::Failure;
use crate::{model, output};
use mergevit_runtime::{Engine, Pack, include_pack};
use samples::{SIDE, Sample, samples};
use serde::Serialize;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// Classify only the first N embedded frames [default: all]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    frames: Option<u16>,
    #[command(flatten)]
    backend: BackendArgs,
    /// Print one JSON object per line: the model, some frames, then each schedule
    #[arg(long)]
    json: bool,
}

static MODEL: &[u8] = include_pack!("../../../assets/garments.mvit");

#[derive(Serialize)]
struct ModelRecord<'a> {
    event: &'static str,
    architecture: &'a str,
    pack_bytes: usize,
    backend: &'a str,
    /// The GPU; `None` on the processor.
    device: Option<&'a str>,
    threads: usize,
}

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

fn introduce(engine: &Engine, frames: usize, json: bool) -> Result<(), Failure> {
    let config = engine.pack().config();
    let record = ModelRecord {
        event: "model",
        architecture: &config.architecture,
        pack_bytes: engine.pack().len(),
        backend: engine.backend(),
        device: engine.device(),
        threads: engine.threads(),
    };
    if json {
        return output::print_json(&record);
    }
    output::print(&format!(
        "model    {}, {size} x {size} pixels, {} layers, {}; embedded\n\
         frames   {frames} Fashion-MNIST test images, embedded\n\
         backend  {}\n\n",
        record.architecture,
        config.depth,
        output::bytes(record.pack_bytes as u64),
        model::place(engine),
        size = config.image_size,
    ))
}
