//! The command line: which commands there are.

use crate::commands::{bench, classify, completions, demo, doctor, inspect, man, run};
use crate::failure::Failure;
use clap::{CommandFactory, Parser, Subcommand};

/// Classifies images and live camera frames with a merged-token INT8 Vision Transformer.
#[derive(Debug, Parser)]
#[command(name = "mergevit", version, long_version = env!("MERGEVIT_LONG_VERSION"))]
#[command(arg_required_else_help = true)]
#[command(args_override_self = true)]
#[command(after_help = "Start with `mergevit demo`; it needs no files.\n\
                        Exit codes: 0 success, 1 failure, 2 wrong usage.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Classify embedded frames with an embedded model, with and without token merging
    Demo(demo::Args),
    /// Classify image files, one line per image
    Classify(classify::Args),
    /// Classify live frames from a camera, a folder, a Y4M stream or a raw pipe
    Run(run::Args),
    /// Check a backend against the reference, then measure it
    Bench(bench::Args),
    /// Show what a pack holds
    Inspect(inspect::Args),
    /// Show what this machine offers: instruction sets, GPU, cameras, and which backends run
    Doctor(doctor::Args),
    /// Print the script by which a shell completes command lines
    Completions(completions::Args),
    /// Write the manual pages into a folder
    #[command(hide = true)]
    Man(man::Args),
}

impl Cli {
    /// Executes the command.
    ///
    /// # Errors
    /// [`Failure`], which the process ends with.
    pub(crate) fn execute(&self) -> Result<(), Failure> {
        match &self.command {
            Command::Demo(args) => demo::execute(args),
            Command::Classify(args) => classify::execute(args),
            Command::Run(args) => run::execute(args),
            Command::Bench(args) => bench::execute(args),
            Command::Inspect(args) => inspect::execute(args),
            Command::Doctor(args) => doctor::execute(args),
            Command::Completions(args) => completions::execute(args, Self::command()),
            Command::Man(args) => man::execute(args, Self::command()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }
}
