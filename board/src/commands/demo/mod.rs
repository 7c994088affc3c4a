//! `mergevit demo`: an embedded model on embedded frames; needs no files.

mod evaluate;
mod picture;
mod samples;

use crate::args::BackendArgs;
use crate::failure::Failure;
use crate::model;
use crate::output::{self, Table};
use crate::ranking::{Label, Ranking};
use evaluate::classify;
use mergevit_runtime::{Engine, Pack, Top, include_pack};
use picture::Style;
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

/// Frames that are shown one by one.
const SHOWN: usize = 4;

/// Classes named for each of them.
const TOP: usize = 3;

const BAR: usize = 24;

#[derive(Serialize)]
struct ModelRecord<'a> {
    event: &'static str,
    architecture: &'a str,
    pack_bytes: usize,
    backend: &'a str,
    /// Unless that is the processor.
    device: Option<&'a str>,
    threads: usize,
}

#[derive(Serialize)]
struct FrameRecord<'a> {
    event: &'static str,
    frame: usize,
    label: Option<&'a String>,
    schedule: &'a str,
    top: Ranking<'a>,
    latency_us: f64,
    tokens: &'a [u16],
}

pub(crate) fn execute(args: &Args) -> Result<(), Failure> {
    let pack = Pack::from_static(MODEL).map_err(|error| Failure::work(&error))?;
    let options = model::options(&args.backend, 1, (SIDE, SIDE));
    let mut engine = Engine::new(pack, &options).map_err(|error| model::failure(&error))?;
    let count = args.frames.map_or(usize::MAX, usize::from);
    let samples: Vec<Sample> = samples().take(count).collect();
    introduce(&engine, samples.len(), args.json)?;
    show(&mut engine, &samples, args.json)?;
    let results = evaluate::evaluate(&mut engine, &samples)?;
    if args.json {
        return results.iter().try_for_each(output::print_json);
    }
    output::print(&summary(&engine, &results))
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

/// Shows some frames under the first schedule that merges.
fn show(engine: &mut Engine, samples: &[Sample], json: bool) -> Result<(), Failure> {
    let merges = |s: &&mergevit_runtime::Schedule| !model::is_unmerged(s);
    if let Some(schedule) = engine.pack().schedules().iter().find(merges) {
        let name = schedule.name.clone();
        model::set_schedule(engine, &name)?;
    }
    let mut top = [Top::default(); TOP];
    // The first frame pays for pages that were never touched.
    if let Some(&first) = samples.first() {
        classify(engine, first, &mut top)?;
    }
    let style = Style::detect();
    for (frame, &sample) in samples.iter().take(SHOWN).enumerate() {
        let latency_us = classify(engine, sample, &mut top)?;
        let labels = &engine.pack().config().labels;
        let record = FrameRecord {
            event: "frame",
            frame,
            label: labels.get(sample.class),
            schedule: &engine.schedule().name,
            top: Ranking {
                labels,
                top: &top[..TOP.min(engine.pack().config().classes)],
            },
            latency_us,
            tokens: engine.plan().tokens(),
        };
        if json {
            output::print_json(&record)?;
        } else {
            output::print(&card(&record, sample, style))?;
        }
    }
    Ok(())
}

/// A frame's picture with its result to the right.
fn card(record: &FrameRecord<'_>, sample: Sample, style: Style) -> String {
    let Ranking { labels, top } = record.top;
    let label = |class| Label { labels, class }.to_string();
    let width = top.iter().map(|top| label(top.class).chars().count()).max();
    let mut notes = vec![String::new(); 3];
    notes.push(format!("frame {} · {}", record.frame, label(sample.class)));
    notes.push(String::new());
    for top in top {
        let bar = picture::bar(top.probability, BAR, style);
        let percent = 100.0 * top.probability;
        let mark = if top.class == sample.class { " <" } else { "" };
        let name = format!("{:<1$}", label(top.class), width.unwrap_or(0));
        notes.push(format!("{name}  {bar} {percent:5.1} %{mark}"));
    }
    notes.push(String::new());
    let latency = output::microseconds(record.latency_us);
    notes.push(format!("{latency} · schedule {}", record.schedule));
    notes.push(format!("tokens {}", output::arrows(record.tokens)));
    let mut text = String::new();
    for (row, picture) in picture::draw(sample.pixels, style).iter().enumerate() {
        let note = notes.get(row).map_or("", String::as_str);
        let line = format!("  {picture}  {note}");
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text + "\n"
}

/// The schedules side by side.
fn summary(engine: &Engine, results: &[evaluate::Result]) -> String {
    let mut table = Table::new([
        "schedule",
        "merged",
        "tokens left",
        "accuracy",
        "agreement",
        "median",
        "frames/s",
        "speed",
    ]);
    for result in results {
        let first = result.tokens.first().copied().unwrap_or(0);
        let last = result.tokens.last().copied().unwrap_or(0);
        table.push([
            result.schedule.clone(),
            (first - last).to_string(),
            format!("{last} of {first}"),
            output::percent(result.top1, 1),
            output::percent(result.agreement, 1),
            output::microseconds(result.latency_us_p50),
            format!("{:.0}", result.frames_per_second),
            format!("{:.2} x", result.speedup),
        ]);
    }
    let frames = results.first().map_or(0, |result| result.frames);
    format!(
        "{table}\n{frames} frames, one at a time, {}; accuracy against the labels, agreement and \
         speed against no merging.\n",
        model::place(engine)
    )
}
