//! `mergevit run`: classifies live frames with the allocator sealed.

mod args;
mod children;

pub(crate) use args::Args;

use crate::failure::Failure;
use crate::live::{
    self, Control, End, Feed, Form, Greeting, Loading, Model, PictureOptions, Place, PrivateFolder,
    PublishError, Publisher, PublisherOptions, Reloader, Saver, Schedules, Sensing, Session,
    Socket, Surroundings, hello, record_bytes,
};
use crate::sources::{self, Capture, Exchange, Source, SourceSpec};
use crate::supervisor::Supervisor;
use crate::{model, output, seal, start};
use mergevit_runtime::words::Count;
use std::path::Path;
use std::sync::Arc;

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
    let pack = model::open(&args.model.model)?;
    let side = pack.config().image_size;
    let sources = args.source.iter();
    let sources = sources.map(|source| open(args, &source.spec, side));
    let sources: Vec<Source> = sources.collect::<Result<_, _>>()?;
    args.check_regions(&sources)?;
    let control = Control::new();
    let sensing = Sensing::start(&args.sensors).map_err(|error| Failure::thread(&error))?;
    args.check_power(sensing.as_ref())?;
    let loading = loading(args, &sources, &control);
    let mut model = loading.build(pack)?;
    args.check_model(&model)?;
    let schedules = Schedules::new(&mut model, args.goals());
    let schedules =
        schedules.map_err(|error| Failure::Usage(format!("--min-accuracy: {error}")))?;
    let saver = saver(args, &sources)?;
    let (feeds, captures) = feeds(args, sources)?;
    let door = Door::open(args)?;
    let socket = door.socket.as_ref();
    control.connect(feeds.iter().map(|feed| Arc::clone(feed.exchange())));
    // Until here a signal ends the process: reading a file may wait for ever if it is a pipe.
    live::listen(&control)?;
    announce(args, &model, &feeds)?;
    schedules.warn();
    let options = publishing(args, &feeds, &model, sensing.as_ref());
    let mut publisher = Publisher::new(options, &control)?;
    let sources = live::sources(&feeds);
    let greeting = socket.map(|_| Arc::new(Greeting::new(hello(&model, &sources))));
    if let (Some(socket), Some(greeting)) = (socket, &greeting) {
        publisher.serve(socket, greeting)?;
    }
    let children = children::start(args, socket)?;
    let place = Place {
        greeting: greeting.clone(),
        sources,
    };
    let reloader = Reloader::start(loading, place).map_err(|error| Failure::thread(&error))?;
    let supervisor = Supervisor::from_environment();
    supervisor.ready();
    let surroundings = Surroundings {
        supervisor,
        control: Arc::clone(&control),
        publisher,
        greeting,
        reloader,
        sensing,
        saver,
    };
    let mut session = Session::new(feeds, args.settings(), schedules, surroundings);
    for (feed, capture) in session.feeds().iter().zip(captures) {
        let started = feed.exchange().start(capture);
        started.map_err(|error| Failure::thread(&error))?;
    }

    let seal = (!args.no_seal).then(seal::seal);
    let end = session.run(&mut model);
    drop(seal);

    control.stop_sources();
    let finished = finish(args, end, &mut session, &model);
    // In this order: they read the socket.
    drop(children);
    drop(door);
    finished
}

/// Says what runs.
fn announce(args: &Args, model: &Model, feeds: &[Feed]) -> Result<(), Failure> {
    start::announce("run", &model.engine, Some(&descriptions(feeds)), args.json)
}

/// Where frames come from, for people.
fn descriptions(feeds: &[Feed]) -> String {
    let each: Vec<&str> = feeds.iter().map(Feed::description).collect();
    each.join(", ")
}

/// Where clients find the run.
struct Door {
    /// Removed before the folder that it may be in.
    socket: Option<Socket>,
    _folder: Option<PrivateFolder>,
}

impl Door {
    /// The socket that the arguments name; one in a private folder if only what they start is to know of it; or none.
    fn open(args: &Args) -> Result<Self, Failure> {
        let named = args.service.socket.clone();
        let folder = match args.needs_socket() && named.is_none() {
            true => Some(PrivateFolder::make()?),
            false => None,
        };
        let path = named.or_else(|| folder.as_ref().map(PrivateFolder::socket));
        Ok(Self {
            socket: path.as_deref().map(Socket::bind).transpose()?,
            _folder: folder,
        })
    }
}

/// How the model is loaded for these sources.
fn loading(args: &Args, sources: &[Source], control: &Arc<Control>) -> Loading {
    let width = sources.iter().map(|source| source.max_width).max();
    let height = sources.iter().map(|source| source.max_height).max();
    Loading {
        model: args.model.clone(),
        classes: args.classes.clone(),
        max_batch: sources.len() * args.regions_per_frame(),
        max_frame: (width.unwrap_or(1), height.unwrap_or(1)),
        is_watchable: args.needs_socket(),
        goals: args.goals(),
        control: Arc::clone(control),
    }
}

/// What readers get.
fn publishing(
    args: &Args,
    feeds: &[Feed],
    model: &Model,
    sensing: Option<&Sensing>,
) -> PublisherOptions {
    let records = record_bytes(feeds, &args.region, model);
    let records = records.max(sensing.map_or(0, Sensing::record_bytes));
    PublisherOptions {
        form: if args.json { Form::Json } else { Form::Text },
        changes_only: args.decisions.on_change,
        waits: feeds.iter().all(Feed::waits),
        // Room for the labels of a model that comes later.
        record_bytes: records.next_power_of_two(),
        pictures: args.needs_socket().then(|| PictureOptions {
            images: feeds.len() * args.regions_per_frame(),
            bytes: model.picture_bytes(),
        }),
    }
}

/// What keeps frames, if any are to be kept.
fn saver(args: &Args, sources: &[Source]) -> Result<Option<Saver>, Failure> {
    let bytes = sources.iter().map(|source| source.slot_bytes).max();
    let start = |folder| Saver::start(folder, args.decisions.save_limit, bytes.unwrap_or(0));
    args.decisions
        .save_uncertain
        .as_deref()
        .map(start)
        .transpose()
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
    let said = session.close(reason, &summary, model).map_err(unsaid);
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

/// What fills the exchanges of feeds, in their order.
type Captures = Vec<Box<dyn Capture>>;

/// The sources' exchanges, and what is to fill them.
fn feeds(args: &Args, sources: Vec<Source>) -> Result<(Vec<Feed>, Captures), Failure> {
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
    sources::open(spec, &args.sources.options(side)).map_err(|error| {
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
                let sources = descriptions(session.feeds());
                Err(Failure::work(&format_args!(
                    "{sources}: no frame could be used"
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
