//! `head`: a classifier of the user's own classes, on a pack that gives embeddings.

mod add;
mod args;
mod data;
mod outcome;

pub(super) use args::HeadArgs;

use super::console::Console;
use super::error::CommandError;
use super::output;
use super::progress::Progress;
use crate::head::{Features, HeadOptions, assess, folds_of, make};
use data::Own;
use mergevit_runtime::Pack;
use std::time::Instant;

/// Runs the command: all that can be checked is checked before the work begins.
///
/// # Errors
/// [`CommandError`]; no output file is then half-written.
pub(super) fn run(args: &HeadArgs, console: Console) -> Result<(), CommandError> {
    let start = Instant::now();
    let outputs = args.outputs()?;
    let mut engine = args.engine()?;
    let outcome = match (&args.images, &args.add) {
        (None, Some(folder)) => add::run(args, folder, &mut engine, console)?,
        (Some(spec), _) => {
            let own = Own::open(args, spec, engine.pack(), console)?;
            let kind = own.kind(args, engine.pack());
            let (features, own) = own.embed(&mut engine, console)?;
            learn(&features, own, &args.options(kind), console)
        }
        (None, None) => unreachable!("clap requires one of them"),
    };
    let bytes = outcome.pack(&engine, &args.options(outcome.kind))?;
    output::write(&outputs.pack, &bytes)?;
    let path = (!outputs.pack.is_standard_output()).then_some(args.output.as_path());
    let pack = Pack::from_memory(bytes)?;
    console.say(&outcome.text(&pack, path, start.elapsed()));
    if outputs.reports.is_any() {
        outputs
            .reports
            .write(&outcome.report(&pack, path, engine.backend()))?;
    }
    let is_taken = outputs.reports.take_standard_output();
    match path {
        Some(path) if !is_taken => output::print(&format!("{}\n", path.display())),
        _ => Ok(()),
    }
}

/// Makes the classifier, and judges it.
fn learn(
    features: &Features,
    own: data::Facts,
    options: &HeadOptions,
    console: Console,
) -> outcome::Outcome {
    let progress = Progress::new(console, "judging", folds_of(features, options), 1);
    let assessment = assess(features, &own.labels, options, &|| progress.step());
    drop(progress);
    let head = make(features, &own.labels, options);
    outcome::Outcome {
        kind: options.kind,
        head,
        counts: features.counts(),
        assessment,
        facts: own,
    }
}
