//! `mergevit`: runs a packed Vision Transformer on images, streams and cameras.
//!
//! The program is [`run`] behind an allocator that can be sealed, [`SealedAllocator`]. Programs that embed the engine
//! want the `mergevit-runtime` crate instead.

mod answer;
mod args;
mod cascade;
mod cli;
mod commands;
mod config_file;
#[cfg(test)]
mod documented;
mod every;
mod failure;
mod file_name;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod governor;
#[cfg(any(feature = "page", feature = "mqtt"))]
mod link;
mod live;
mod model;
#[cfg(feature = "mqtt")]
mod mqtt;
mod output;
#[cfg(feature = "page")]
mod page;
mod ranking;
mod records;
mod seal;
mod sensors;
mod sources;
mod start;
mod supervisor;
mod telemetry;
#[cfg_attr(
    not(any(feature = "page", feature = "mqtt")),
    allow(
        dead_code,
        unused_imports,
        reason = "without a client, a run alone speaks it"
    )
)]
mod wire;

pub use seal::SealedAllocator;

/// As in the program: scratch memory is the allocator's.
#[cfg(test)]
#[global_allocator]
static ALLOCATOR: SealedAllocator = SealedAllocator;

use clap::{CommandFactory, Parser};
use failure::{Failure, USAGE};
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs a command line, program name first. The exit code is 0 for success, 1 for failure, 2 for wrong usage.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let args = args.into_iter().collect();
    let args = match config_file::expand(&cli::Cli::command(), args) {
        Ok(args) => args,
        Err(error) => return end(Err(Failure::Usage(error.to_string()))),
    };
    let result = match cli::Cli::try_parse_from(args) {
        Ok(cli) => {
            cli.set_verbosity();
            if let Err(error) = mergevit_runtime::pack::explain_bus_errors() {
                log::warn!("bus errors will go unexplained: {error}");
            }
            cli.execute()
        }
        Err(error) if error.use_stderr() => {
            output::print_usage(&error);
            return ExitCode::from(USAGE);
        }
        Err(help_or_version) => output::print_help(&help_or_version),
    };
    end(result)
}

/// Says why a command failed.
fn end(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let text = failure.to_string();
            if !text.is_empty() {
                output::tell(&text);
            }
            ExitCode::from(failure.exit_code())
        }
    }
}
