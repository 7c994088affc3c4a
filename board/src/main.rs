//! `mergevit`: a packed Vision Transformer, run on images, streams and cameras.

mod bench;
mod classes;
mod classify;
mod cli;
mod demo;
mod doctor;
mod failure;
mod inspect;
mod live;
mod model;
mod output;
mod seal;
mod sources;
mod telemetry;

use clap::Parser;
use cli::Command;
use failure::Failure;
use std::process::ExitCode;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    let result = match cli::Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Classify(args) => classify::run(&args),
        Command::Run(args) => live::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Doctor(args) => doctor::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !matches!(failure, Failure::Reported | Failure::OutputClosed) {
                output::warn(&failure.to_string());
            }
            ExitCode::from(failure.exit_code())
        }
    }
}
