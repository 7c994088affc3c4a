//! `mergevit run`: classifies live frames with the allocator sealed.

use crate::args::{self, ClassArgs, ModelArgs};
use crate::failure::Failure;
use crate::live::{
    self, Control, End, Feed, Form, Greeting, Loading, MAX_FEEDS, Model, PictureOptions,
    PublishError, Publisher, PublisherOptions, Session, Settings, Socket, hello, record_bytes,
};
use crate::sources::{self, Capture, Exchange, Source, SourceArgs, SourceSpec};
use crate::{model, output, seal, start};
use clap::builder::{OsStringValueParser, TypedValueParser};
use mergevit_runtime::words::Count;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[derive(clap::Args, Debug)]
#[command(after_help = "Examples:\n\
                        \x20 mergevit run -m model.mvit -s v4l2:/dev/video0\n\
                        \x20 mergevit run -m model.mvit -s file:photos/ --json\n\
                        \x20 ffmpeg -i film.mp4 -pix_fmt yuv420p -f yuv4mpegpipe - | mergevit run -m model.mvit -s y4m:-")]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,
    /// v4l2:DEVICE, file:FOLDER-OR-IMAGE, y4m:PATH, mjpeg:PATH or raw:FORMAT:WIDTHxHEIGHT:PATH, where PATH '-' is
    /// standard input and FORMAT is rgb, bgr, grey, yuyv, uyvy, nv12, nv21 or i420; several times for several sources
    #[arg(long, short, required = true, value_name = "SOURCE", value_parser = OsStringValueParser::new().try_map(|text| Named::parse(&text)))]
    source: Vec<Named>,
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
    /// Serve programs that watch the run at a Unix socket of this name: they get what --json prints, and pictures
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Print one JSON object per line: each frame, then a summary
    #[arg(long)]
    json: bool,
    /// Do not abort when the live loop allocates memory (for debugging)
    #[arg(long)]
    no_seal: bool,
}

/// A source, and how the command line names it.
#[derive(Clone, Debug)]
struct Named {
    name: String,
    spec: SourceSpec,
}

impl Named {
    fn parse(text: &OsStr) -> Result<Self, String> {
        SourceSpec::parse(text).map(|spec| Self {
            name: text.to_string_lossy().into_owned(),
            spec,
        })
    }
}

/// Whoever reads the live loop's standard output is to read it to the end.
pub(crate) fn execute(args: &Args) -> Result<(), Failure> {
    run(args).map_err(|failure| match failure {
        Failure::OutputClosed => Failure::ReaderGone,
        other => other,
    })
}

fn run(args: &Args) -> Result<(), Failure> {
    args.check()?;
    // First, since a camera is asked for what the model needs.
    let side = model::open(&args.model.model)?.config().image_size;
    let sources = args
        .source
        .iter()
        .map(|source| open(args, &source.spec, side));
    let sources: Vec<Source> = sources.collect::<Result<_, _>>()?;
    let mut model = args.loading(&sources).load()?;
    let control = Control::new();
    let (feeds, captures) = feeds(args, sources)?;
    let socket = args.socket.as_deref().map(Socket::bind).transpose()?;
    let options = PublisherOptions {
        form: if args.json { Form::Json } else { Form::Text },
        changes_only: false,
        waits: feeds.iter().all(Feed::waits),
        record_bytes: record_bytes(&feeds, &model),
        pictures: socket.as_ref().map(|_| PictureOptions {
            images: feeds.len(),
            bytes: model.picture_bytes(),
        }),
    };
    control.connect(feeds.iter().map(|feed| Arc::clone(feed.exchange())));
    // Until here a signal ends the process: reading a file may wait for ever if it is a pipe.
    live::listen(&control)?;
    let descriptions: Vec<&str> = feeds.iter().map(Feed::description).collect();
    start::announce(
        "run",
        &model.engine,
        Some(&descriptions.join(", ")),
        args.json,
    )?;
    let mut publisher = Publisher::new(options, &control)?;
    let greeting = socket
        .as_ref()
        .map(|_| Greeting::new(hello(&model, &feeds)));
    let greeting = greeting.map(Arc::new);
    if let (Some(socket), Some(greeting)) = (&socket, &greeting) {
        publisher.serve(socket, greeting)?;
    }
    let settings = args.settings();
    let mut session = Session::new(feeds, settings, publisher, &control, greeting, &model);
    for (feed, capture) in session.feeds().iter().zip(captures) {
        feed.exchange()
            .start(capture)
            .map_err(|error| Failure::work(&format_args!("cannot start a thread: {error}")))?;
    }

    let seal = (!args.no_seal).then(seal::seal);
    let end = session.run(&mut model);
    drop(seal);

    control.stop_sources();
    finish(args, end, &mut session, &model)
}

/// Says how the run ended, once everybody has read what came before.
fn finish(args: &Args, end: End, session: &mut Session, model: &Model) -> Result<(), Failure> {
    let summary = session.summary(model);
    let outcome = outcome(end, session, &args.model.model);
    let reason = match &outcome {
        // What ended a source is a record already.
        Err(Failure::Work { message, .. }) if !session.has_failed_source() => Some(&**message),
        _ => None,
    };
    let said = session.close(reason, &summary).map_err(unsaid);
    if !args.json || said.is_err() {
        output::note(&summary.to_string());
    }
    outcome.and(said)
}

/// Why standard output does not have every record.
fn unsaid(error: PublishError) -> Failure {
    match error {
        PublishError::Output(error) => Failure::output(&error),
        PublishError::Unread(records) => Failure::work(&format_args!(
            "standard output: {} not written, because nobody reads there",
            Count(records, "record")
        )),
    }
}

impl Args {
    /// Refuses options that contradict each other.
    fn check(&self) -> Result<(), Failure> {
        for (index, source) in self.source.iter().enumerate() {
            if self.source[..index]
                .iter()
                .any(|other| other.name == source.name)
            {
                let message = format!("--source {}: given twice", source.name);
                return Err(Failure::Usage(message));
            }
        }
        if self.source.len() > MAX_FEEDS {
            return Err(Failure::Usage(format!("at most {MAX_FEEDS} sources")));
        }
        let specs: Vec<_> = self.source.iter().map(|source| &source.spec).collect();
        self.sources.check(&specs).map_err(Failure::Usage)
    }

    fn settings(&self) -> Settings {
        Settings {
            max_frames: self.max_frames,
            fps_limit: self.fps_limit,
        }
    }

    /// How the model is loaded for these sources.
    fn loading(&self, sources: &[Source]) -> Loading {
        let width = sources.iter().map(|source| source.max_width).max();
        let height = sources.iter().map(|source| source.max_height).max();
        Loading {
            model: self.model.clone(),
            classes: self.classes.clone(),
            max_batch: sources.len(),
            max_frame: (width.unwrap_or(1), height.unwrap_or(1)),
            is_watchable: self.socket.is_some(),
        }
    }
}

/// The sources' exchanges, and what is to fill them.
fn feeds(args: &Args, sources: Vec<Source>) -> Result<(Vec<Feed>, Vec<Box<dyn Capture>>), Failure> {
    let mut captures = Vec::with_capacity(sources.len());
    let mut feeds = Vec::with_capacity(sources.len());
    for (named, source) in args.source.iter().zip(sources) {
        let exchange = Exchange::new(source.policy, source.slot_bytes);
        let exchange = exchange.map_err(|error| model::out_of_memory(&error))?;
        feeds.push(Feed::new(
            named.name.clone(),
            source.description,
            source.names,
            Arc::new(exchange),
        ));
        captures.push(source.capture);
    }
    Ok((feeds, captures))
}

/// Opens a source for a model whose input is a square of `side` pixels.
fn open(args: &Args, spec: &SourceSpec, side: usize) -> Result<Source, Failure> {
    let options = args.sources.options(side);
    sources::open(spec, &options).map_err(|error| {
        let failure = Failure::work(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    })
}

/// What the process ends with.
fn outcome(end: End, session: &Session, model: &Path) -> Result<(), Failure> {
    match end {
        End::Sources => match session.source_failure() {
            Some(message) => Err(Failure::work(&message)),
            // Standard error has it.
            None if session.has_failed_source() => Err(Failure::Reported),
            None if session.frames() == 0 => {
                let names = session.feeds().iter().map(Feed::description);
                let names: Vec<&str> = names.collect();
                let names = names.join(", ");
                Err(Failure::work(&format_args!(
                    "{names}: no frame could be used"
                )))
            }
            None => Ok(()),
        },
        End::Enough => Ok(()),
        End::EngineFailed(error) => Err(Failure::work(&error)),
        End::PackChanged(changed) => Err(model::changed(model, changed)),
        End::Published(error) => Err(unsaid(error)),
    }
}
