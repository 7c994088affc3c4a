//! `mergevit`: runs a packed Vision Transformer on images, streams and cameras.

mod args;
mod cli;
mod commands;
mod failure;
mod model;
mod output;
mod ranking;
mod seal;
mod sources;
mod telemetry;

use clap::Parser;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match cli::Cli::parse().execute() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Reported | Failure::OutputClosed) {
                output::warn(&failure.to_string());
            }
            ExitCode::from(failure.exit_code())
        }
    }
}
