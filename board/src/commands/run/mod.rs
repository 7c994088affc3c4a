//! `mergevit run`: classifies live frames with the allocator sealed.

mod report;
mod session;
mod watch;

use crate::args::{self, ClassArgs, ModelArgs};
use crate::failure::Failure;
use crate::records::ErrorRecord;
use crate::sources::{self, Exchange, Source, SourceArgs, SourceSpec};
use crate::{model, output, seal, start};
use clap::builder::{OsStringValueParser, TypedValueParser};
use session::{End, Session, Settings};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n\
                        \x20 mergevit run -m model.mvit -s v4l2:/dev/video0 --size 1280x720\n\
                        \x20 mergevit run -m model.mvit -s file:photos/ --json\n\
                        \x20 ffmpeg -i film.mp4 -pix_fmt yuv420p -f yuv4mpegpipe - | mergevit run -m model.mvit -s y4m:-")]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// v4l2:DEVICE, file:FOLDER-OR-IMAGE, y4m:PATH, mjpeg:PATH or raw:FORMAT:WIDTHxHEIGHT:PATH, where PATH '-' is
    /// standard input and FORMAT is rgb, bgr, grey, yuyv, uyvy, nv12, nv21 or i420
    #[arg(long, short, value_name = "SOURCE", value_parser = OsStringValueParser::new().try_map(|text| SourceSpec::parse(&text)))]
    source: SourceSpec,
    /// Stop after N frames
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_frames: Option<u64>,
    /// Classify at most FPS frames per second
    #[arg(long, value_name = "FPS", value_parser = args::within(0.001..=1e5, "frames per second"))]
    fps_limit: Option<f64>,
    #[command(flatten)]
    sources: SourceArgs,
    #[command(flatten)]
    classes: ClassArgs,
    /// Print one JSON object per line: each frame, then a summary
    #[arg(long)]
    json: bool,
    /// Do not abort when the live loop allocates memory (for debugging)
    #[arg(long)]
    no_seal: bool,
}

/// Exit code of a process that a second interrupt ends at once: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

pub(crate) fn execute(args: &Args) -> Result<(), Failure> {
    let specs = std::iter::once(&args.source);
    args.sources.check(specs).map_err(Failure::Usage)?;
    // First, since a camera is asked for what the model needs.
    let pack = model::open(&args.model.model)?;
    let source = open(args, pack.config().image_size)?;
    let max_frame = (source.max_width, source.max_height);
    let mut engine = model::build(&args.model, pack, 1, max_frame)?;
    let exchange = Exchange::new(source.policy, source.slot_bytes);
    let exchange = Arc::new(exchange.map_err(|error| model::out_of_memory(&error))?);
    let labels = model::labels(&args.classes, &engine)?;
    let answer = model::answer(&args.classes, &engine);
    let mut session = Session::new(&engine, args.settings(), &source.names, labels, answer);
    // Until here a signal ends the process: reading a file may wait for ever if it is a pipe.
    stop_on_signals(&exchange)?;
    start::announce("run", &engine, Some(&source.description), args.json)?;
    // The first use of standard output allocates its buffer.
    output::print("")?;
    exchange
        .start(source.capture)
        .map_err(|error| Failure::work(&format_args!("cannot start a thread: {error}")))?;

    let seal = (!args.no_seal).then(seal::seal);
    let end = session.run(&mut engine, &exchange);
    drop(seal);

    exchange.stop();
    let summary = session.summary(exchange.counts());
    let outcome = outcome(
        end,
        session.frames(),
        &source.description,
        &args.model.model,
    );
    if !args.json || matches!(outcome, Err(Failure::OutputClosed)) {
        output::note(&summary.to_string());
        return outcome;
    }
    if let Err(Failure::Work { message, .. }) = &outcome {
        // Where standard output failed, that is what `outcome` says.
        let _ = output::print_json(&ErrorRecord::new(None, message));
    }
    outcome.and(output::print_json(&summary))
}

impl Args {
    fn settings(&self) -> Settings {
        Settings {
            json: self.json,
            max_frames: self.max_frames,
            fps_limit: self.fps_limit,
        }
    }
}

/// Opens the source for a model whose input is a square of `side` pixels.
fn open(args: &Args, side: usize) -> Result<Source, Failure> {
    let options = args.sources.options(side);
    sources::open(&args.source, &options).map_err(|error| {
        let failure = Failure::work(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// What the process ends with after `frames` frames.
fn outcome(end: End, frames: u64, source: &str, model: &Path) -> Result<(), Failure> {
    match end {
        End::Source(Err(error)) => Err(Failure::work(&format_args!("{source}: {error}"))),
        End::Source(Ok(())) if frames == 0 => Err(Failure::work(&format_args!(
            "{source}: no frame could be used"
        ))),
        End::Source(Ok(())) | End::Enough => Ok(()),
        End::EngineFailed(error) => Err(Failure::work(&error)),
        End::PackChanged(changed) => Err(model::changed(model, changed)),
        End::OutputFailed(error) => Err(Failure::output(&error)),
    }
}

/// The first signal ends the loop. The second ends the process, in case the loop hangs in a write.
fn stop_on_signals(exchange: &Arc<Exchange>) -> Result<(), Failure> {
    let exchange = Arc::clone(exchange);
    let stopped = AtomicBool::new(false);
    let handler = move || {
        if stopped.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED);
        }
        exchange.stop();
    };
    ctrlc::set_handler(handler)
        .map_err(|error| Failure::work(&format_args!("cannot handle signals: {error}")))
}
