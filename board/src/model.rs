//! Loads models as the command line asks.

use crate::answer::Answer;
use crate::args::{BackendArgs, ClassArgs, ModelArgs};
use crate::failure::Failure;
use mergevit_runtime::labels::{self, LabelsDefect};
use mergevit_runtime::pack::Choice;
use mergevit_runtime::{
    Cascade, Defect, Engine, EngineOptions, LoadError, OutOfMemory, OutputKind, Pack, PackChanged,
    PackError, Schedule,
};
use std::io;
use std::path::Path;

/// Options for frames of at most `max_frame` (width, height) pixels, at most `max_batch` at a time.
pub(crate) fn options(
    args: &BackendArgs,
    max_batch: usize,
    max_frame: (usize, usize),
) -> EngineOptions {
    let options = Engine::options()
        .backend(args.backend.as_str())
        .max_batch(max_batch)
        .max_frame(max_frame.0, max_frame.1)
        .tune(args.tune)
        .open(args.open());
    match args.threads {
        Some(threads) => options.threads(threads),
        None => options,
    }
}

/// Loads the pack that the arguments name, and sets their schedule.
pub(crate) fn load(
    args: &ModelArgs,
    max_batch: usize,
    max_frame: (usize, usize),
) -> Result<Engine, Failure> {
    build(args, open(&args.model)?, max_batch, max_frame)
}

/// As [`load`], from an open pack.
pub(crate) fn build(
    args: &ModelArgs,
    pack: Pack,
    max_batch: usize,
    max_frame: (usize, usize),
) -> Result<Engine, Failure> {
    let mut options = options(&args.backend, max_batch, max_frame);
    if let Some(name) = &args.schedule {
        options = options.schedule(name);
    }
    options.build(pack).map_err(|error| failure(&error))
}

/// Opens a pack without making an engine for it.
pub(crate) fn open(path: &Path) -> Result<Pack, Failure> {
    Pack::open(path).map_err(|error| failure(&error.into()))
}

/// What a name stands for; without one the pack's first schedule.
pub(crate) fn choice(pack: &Pack, name: Option<&str>) -> Result<Choice, Failure> {
    match name {
        None => Ok(Choice::schedule(0)),
        Some(name) => pack
            .choice(name)
            .map_err(|error| Failure::Usage(error.to_string())),
    }
}

/// The schedule that a cascade of a pack runs second.
pub(crate) fn second<'a>(pack: &'a Pack, cascade: &Cascade) -> Result<&'a Schedule, Failure> {
    let index = pack.schedule_index(&cascade.then);
    index
        .map(|index| &pack.schedules()[index])
        .map_err(|error| Failure::work(&error))
}

/// Name of the schedule or cascade that the engine runs.
pub(crate) fn chosen(engine: &Engine) -> &str {
    match engine.cascade() {
        Some(cascade) => &cascade.name,
        None => &engine.schedule().name,
    }
}

/// Why an engine could not be made, with advice. A value that no machine could take is wrong usage.
pub(crate) fn failure(error: &LoadError) -> Failure {
    let failure = Failure::work(error);
    match error {
        LoadError::UnknownSchedule(_)
        | LoadError::UnknownBackend { .. }
        | LoadError::Threads { .. }
        | LoadError::MaxBatch { .. }
        | LoadError::MaxFrame { .. } => Failure::Usage(error.to_string()),
        LoadError::Pack(PackError {
            defect: Defect::Changed(_),
            ..
        }) => failure.hint(REPLACE),
        LoadError::Pack(PackError {
            defect: Defect::Io { source, .. },
            ..
        }) if source.kind() == io::ErrorKind::PermissionDenied => {
            failure.hint("`ls -l` shows who may read the pack, `id` shows who asks")
        }
        LoadError::Pack(_) => {
            failure.hint("make a pack with `mergevit-calibrate pack`; `mergevit demo` needs none")
        }
        LoadError::Cuda(_) | LoadError::Device(_) => failure
            .hint("`mergevit doctor` shows the GPU and its driver; `--backend cpu` needs neither"),
        LoadError::Thread { .. } => failure.hint(
            "`--threads 1` starts none; limits are `ulimit -u` and a container's number of processes",
        ),
        LoadError::OutOfMemory(error) => out_of_memory(error),
        _ => failure.hint("`mergevit doctor` lists the backends and why some do not run here"),
    }
}

/// The names of the model's classes: those that the arguments name, or else the pack's. Fails if the model does not
/// give what the arguments ask for, classes or an embedding.
pub(crate) fn labels(args: &ClassArgs, engine: &Engine) -> Result<Vec<String>, Failure> {
    let config = engine.pack().config();
    if args.embedding && config.output != OutputKind::Embedding {
        return Err(Failure::Usage(
            "--embedding: the model gives classes, and no embedding".into(),
        ));
    }
    if !args.embedding && !config.classifies() {
        return Err(Failure::Usage(
            "the model gives embeddings, and no classes: --embedding prints them; classes of your own are made by \
             `mergevit-calibrate head`, classes named by text by `mergevit-calibrate pack --text-embeddings`"
                .into(),
        ));
    }
    let Some(path) = &args.labels else {
        return Ok(config.labels.clone());
    };
    labels::read(path, config.scores()).map_err(|error| match error.defect {
        LabelsDefect::Count { .. } => Failure::Usage(error.to_string()),
        _ => Failure::work(&error),
    })
}

/// Room for what the arguments ask for of an image.
pub(crate) fn answer(args: &ClassArgs, engine: &Engine) -> Answer {
    let config = engine.pack().config();
    let named = config.score_kind.into();
    match args.embedding {
        true => Answer::embedding(config.classes),
        false => Answer::classes(named, args.most(named)),
    }
}

/// Memory was refused, with advice.
pub(crate) fn out_of_memory(error: &OutOfMemory) -> Failure {
    Failure::work(error).hint(
        "smaller frames, smaller batches or fewer threads need less; `ulimit -v` shows a limit of the shell",
    )
}

const REPLACE: &str =
    "never write into a pack that is in use; make a new file, and rename it over the old one";

/// A pack was written to while it was in use.
pub(crate) fn changed(path: &Path, changed: PackChanged) -> Failure {
    Failure::work(&format_args!("{}: {changed}", path.display())).hint(REPLACE)
}

/// Fails if the engine's pack was written to: what was computed with it is not to be used.
pub(crate) fn check(args: &ModelArgs, engine: &Engine) -> Result<(), Failure> {
    let checked = engine.pack().check();
    checked.map_err(|error| changed(&args.model, error))
}

/// Changes the merge schedule.
pub(crate) fn set_schedule(engine: &mut Engine, name: &str) -> Result<(), Failure> {
    engine
        .set_schedule(name)
        .map_err(|error| Failure::work(&error))
}

/// The backend and what it runs on: `cuda on Orin`, `cpu/avx2 on 2 threads`.
pub(crate) fn place(engine: &Engine) -> String {
    match engine.device() {
        Some(device) => format!("{} on {device}", engine.backend()),
        None => {
            let threads = engine.threads();
            let plural = if threads == 1 { "" } else { "s" };
            format!("{} on {threads} thread{plural}", engine.backend())
        }
    }
}
