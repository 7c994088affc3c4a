//! The command line. Exit codes: 0 success, 1 failure, 2 wrong usage.

mod error;
mod evaluate;
mod files;
mod forward;
mod images;
mod pack;

pub use error::CommandError;

use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::process::ExitCode;

/// Converts a trained Vision Transformer to an INT8 pack without retraining, and measures how good it is
#[derive(Clone, Debug, Parser)]
#[command(name = "mergevit-calibrate", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    Pack(pack::PackArgs),
    Evaluate(evaluate::EvaluateArgs),
    Forward(forward::ForwardArgs),
}

/// Parses a command line, program name first, and does nothing: for the fuzzers.
///
/// # Errors
/// Wrong usage, or a request for help or the version.
#[cfg(fuzzing)]
pub fn check<T: Into<OsString> + Clone>(
    args: impl IntoIterator<Item = T>,
) -> Result<(), clap::Error> {
    Cli::try_parse_from(args).map(drop)
}

/// Runs a command line, program name first.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Asking for help or the version is not a failure, and nor is a closed terminal.
            let _ = error.print();
            return if error.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
        }
    };
    let result = match &cli.command {
        Command::Pack(args) => pack::run(args),
        Command::Evaluate(args) => evaluate::run(args),
        Command::Forward(args) => forward::run(args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::FAILURE
        }
    }
}
