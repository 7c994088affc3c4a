//! The command line. Exit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted.

mod args;
mod checkpoint;
mod completions;
mod console;
mod error;
mod evaluate;
mod forward;
mod head;
mod images;
mod interrupt;
mod man;
mod measure;
mod output;
mod pack;
mod preprocessing;
mod progress;
mod reports;
mod summary;
mod threads;

pub use error::CommandError;

use args::Verbosity;
use clap::{CommandFactory, Parser, Subcommand};
use std::ffi::OsString;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Converts a trained Vision Transformer to an INT8 pack without retraining, and measures how good it is
#[derive(Clone, Debug, Parser)]
#[command(name = "mergevit-calibrate", version, long_version = env!("MERGEVIT_LONG_VERSION"))]
#[command(
    after_help = "Results go to standard output, all else to standard error. An output file named - is standard \
                  output.\nExit codes: 0 success, 1 failure, 2 wrong usage, 130 interrupted."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    verbosity: Verbosity,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    Pack(Box<pack::PackArgs>),
    Evaluate(evaluate::EvaluateArgs),
    Head(head::HeadArgs),
    Forward(forward::ForwardArgs),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

/// Parses a command line, program name first, and does nothing: for the fuzzers.
///
/// # Errors
/// Wrong usage, or a request for help or the version.
#[cfg(fuzzing)]
pub fn check<T: Into<OsString> + Clone>(
    args: impl IntoIterator<Item = T>,
) -> Result<(), clap::Error> {
    use clap::FromArgMatches;
    use std::cell::RefCell;

    thread_local! {
        /// All commands and options. Making them takes longer than a command line.
        static COMMAND: RefCell<clap::Command> = RefCell::new({
            let mut command = Cli::command();
            command.build();
            command
        });
    }
    let matches = COMMAND.with_borrow_mut(|command| command.try_get_matches_from_mut(args))?;
    Cli::from_arg_matches(&matches).map(drop)
}

impl Cli {
    fn execute(&self) -> Result<(), CommandError> {
        let console = self.verbosity.console();
        match &self.command {
            Command::Pack(args) => threads::start().and_then(|()| pack::run(args, console)),
            Command::Evaluate(args) => threads::start().and_then(|()| evaluate::run(args, console)),
            Command::Head(args) => threads::start().and_then(|()| head::run(args, console)),
            Command::Forward(args) => threads::start().and_then(|()| forward::run(args)),
            Command::Completions(args) => completions::run(args, Cli::command()),
            Command::Man(args) => man::run(args, Cli::command()),
        }
    }
}

/// Runs a command line, program name first, as the whole of a process: it starts the log, and ends the process
/// at a signal.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => return print_usage(&error),
    };
    // RUST_LOG, if there is such a variable. A log that runs already is the caller's.
    let level = cli.verbosity.level().as_str();
    let environment = env_logger::Env::default().default_filter_or(level);
    let _ = env_logger::Builder::from_env(environment).try_init();
    if let Err(error) = mergevit_runtime::pack::explain_bus_errors() {
        log::warn!("bus errors will go unexplained: {error}");
    }
    interrupt::end_on_signals();
    match cli.execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if !matches!(error, CommandError::ReaderGone) {
                console::warn(&format!("error: {error}\n"));
                if let Some(hint) = error.hint() {
                    console::warn(&format!("hint: {hint}\n"));
                }
            }
            ExitCode::from(error.exit_code())
        }
    }
}

/// Prints what the parser has to say: wrong usage, or the help or version that was asked for.
fn print_usage(error: &clap::Error) -> ExitCode {
    let printed = error.print();
    if error.use_stderr() {
        return ExitCode::from(2);
    }
    match printed.and_then(|()| io::stdout().flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            console::warn(&format!("error: standard output: cannot write: {error}\n"));
            ExitCode::FAILURE
        }
        _ => ExitCode::SUCCESS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documented;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_documents_show_is_accepted() {
        let calls = documented::calls("mergevit-calibrate");
        documented::check(&calls, |words| Cli::try_parse_from(words));
    }
}
