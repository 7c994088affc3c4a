//! The command line: which commands there are.

#[cfg(feature = "mqtt")]
use crate::commands::mqtt;
#[cfg(feature = "page")]
use crate::commands::page;
use crate::commands::{bench, classify, completions, demo, doctor, explain, inspect, man, run};
use crate::failure::Failure;
use crate::output;
use clap::{ArgAction, CommandFactory, Parser, Subcommand};
use log::LevelFilter;

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
    /// Write errors alone to standard error
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more on standard error: once for information, twice for debugging, three times for all
    #[arg(long, short, global = true, action = ArgAction::Count)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Classify embedded frames with an embedded model, with and without token merging
    Demo(demo::Args),
    /// Classify image files, one line per image
    Classify(classify::Args),
    /// Classify live frames from a camera, a folder, a Y4M stream or a raw pipe
    Run(Box<run::Args>),
    /// Serve a page to watch a run on, and its metrics for Prometheus
    #[cfg(feature = "page")]
    Page(page::Args),
    /// Tell an MQTT broker what a run sees, in a form that Home Assistant finds by itself
    #[cfg(feature = "mqtt")]
    Mqtt(mqtt::Args),
    /// Check a backend against the reference, then measure it
    Bench(bench::Args),
    /// Draw which patches of an image merge into which token
    Explain(explain::Args),
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
    /// Decides what goes to standard error beside errors: what the flags say, but `RUST_LOG` has the last word on the
    /// log.
    pub(crate) fn set_verbosity(&self) {
        let level = match (self.quiet, self.verbose) {
            (true, _) => LevelFilter::Error,
            (false, 0) => LevelFilter::Warn,
            (false, 1) => LevelFilter::Info,
            (false, 2) => LevelFilter::Debug,
            (false, _) => LevelFilter::Trace,
        };
        let default = env_logger::Env::default().default_filter_or(level.as_str());
        // Only the first command line of a process sets up the log.
        let _ = env_logger::Builder::from_env(default).try_init();
        if self.quiet {
            output::be_quiet();
        }
    }

    /// Executes the command.
    ///
    /// # Errors
    /// [`Failure`], which the process ends with.
    pub(crate) fn execute(&self) -> Result<(), Failure> {
        match &self.command {
            Command::Demo(args) => demo::execute(args),
            Command::Classify(args) => classify::execute(args),
            Command::Run(args) => run::execute(args),
            #[cfg(feature = "page")]
            Command::Page(args) => page::execute(args),
            #[cfg(feature = "mqtt")]
            Command::Mqtt(args) => mqtt::execute(args),
            Command::Bench(args) => bench::execute(args),
            Command::Explain(args) => explain::execute(args),
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
    use crate::documented;

    #[test]
    fn the_definition_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_documents_and_help_show_is_accepted() {
        let mut calls = documented::calls("mergevit");
        for command in Cli::command().get_subcommands() {
            let examples = command.get_after_help().map(ToString::to_string);
            let place = format!("{} --help", command.get_name());
            calls.extend(documented::calls_of(
                "mergevit",
                &place,
                &examples.unwrap_or_default(),
            ));
        }
        // Commands that this build is without.
        let missing: &[&str] = match (cfg!(feature = "page"), cfg!(feature = "mqtt")) {
            (true, true) => &[],
            (true, false) => &["mqtt"],
            (false, true) => &["page"],
            (false, false) => &["page", "mqtt"],
        };
        calls.retain(|call| {
            !call
                .words
                .get(1)
                .is_some_and(|word| missing.contains(&word.as_str()))
        });
        documented::check(&calls, |words| Cli::try_parse_from(words));
    }

    #[test]
    fn what_services_start_is_accepted() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("service");
        // What the configuration file says is not there, but it must be accepted beside it.
        let said = |command: &str| match command {
            "run" => "--model m --source file:.",
            _ => "",
        };
        let mut started = 0;
        for unit in folder.read_dir().expect("the folder is there") {
            let text = std::fs::read_to_string(unit.expect("a file").path()).expect("text");
            for line in text
                .lines()
                .filter_map(|line| line.strip_prefix("ExecStart=/usr/bin/"))
            {
                let command = line.split(' ').nth(1).expect("a command");
                if Cli::command().find_subcommand(command).is_none() {
                    continue;
                }
                let line = format!("{line} {}", said(command));
                if let Err(error) = Cli::try_parse_from(line.split_whitespace()) {
                    // The broker, which only its user knows.
                    let missing = error.kind() == clap::error::ErrorKind::MissingRequiredArgument;
                    assert!(command == "mqtt" && missing, "{line}: {error}");
                }
                started += 1;
            }
        }
        assert!(started > 0);
    }

    #[test]
    fn a_letter_means_the_same_in_both_programs() {
        // `mergevit-calibrate` also has -c checkpoint, -i images and -o output.
        let meanings = [
            ('m', "model"),
            ('s', "source"),
            ('q', "quiet"),
            ('v', "verbose"),
            ('h', "help"),
            ('V', "version"),
        ];
        let mut program = Cli::command();
        program.build();
        let commands = program.get_subcommands().chain([&program]);
        for argument in commands.flat_map(clap::Command::get_arguments) {
            if let Some(letter) = argument.get_short() {
                let long = argument.get_long().expect("a long form");
                assert!(meanings.contains(&(letter, long)), "-{letter}, --{long}");
            }
        }
    }
}
