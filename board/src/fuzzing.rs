//! What the fuzz targets call. A function takes any bytes, and panics if what they stand for is not treated as it
//! must be. Ordinary tests call them on the seeds.

pub use crate::sources::fuzzing::{mjpeg, raw, source, y4m};
pub use crate::wire::fuzzing::wire;

use crate::cli::Cli;
use crate::config_file::Reader;
use crate::failure::USAGE;
use clap::error::ErrorKind;
use clap::{ArgMatches, Command, CommandFactory, FromArgMatches};
use std::cell::RefCell;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

thread_local! {
    /// All commands and options. Making them takes longer than a command line.
    static COMMAND: RefCell<Command> = RefCell::new({
        let mut command = Cli::command();
        command.build();
        command
    });

    static CONFIG: RefCell<Reader> = RefCell::new(Reader::new(&Cli::command()));

    /// What a command line with `run` alone gives.
    static NOTHING: ArgMatches = {
        let lenient = Cli::command().ignore_errors(true);
        let matches = lenient.try_get_matches_from(RUN).expect("errors are ignored");
        matches.subcommand().expect("it is run").1.clone()
    };
}

const RUN: [&str; 2] = ["mergevit", "run"];

/// A command line, its arguments separated by zero bytes: it is accepted, asks for help or the version, or is
/// refused as wrong usage with a message.
pub fn arguments(bytes: &[u8]) {
    let arguments = bytes.split(|&byte| byte == 0).map(OsStr::from_bytes);
    let line = [OsStr::new("mergevit")].into_iter().chain(arguments);
    let matches = COMMAND.with_borrow_mut(|command| command.try_get_matches_from_mut(line));
    let parsed = matches.and_then(|matches| Cli::from_arg_matches(&matches));
    if let Err(error) = parsed {
        let code = if error.use_stderr() { USAGE } else { 0 };
        assert_eq!(error.exit_code(), i32::from(code));
        assert!(!error.to_string().is_empty());
    }
}

/// A configuration file: it is refused with a line that it has, or says flags and values that the command takes, though
/// perhaps not together, or too few.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let path = Path::new("f");
    let words = CONFIG
        .with_borrow_mut(|reader| NOTHING.with(|nothing| reader.words("run", nothing, path, text)));
    match words {
        Ok(words) => {
            let line = RUN.into_iter().map(Into::into).chain(words);
            let line: Vec<OsString> = line.collect();
            let matches = COMMAND.with_borrow_mut(|command| command.try_get_matches_from_mut(line));
            if let Err(error) = matches {
                let kinds = [
                    ErrorKind::MissingRequiredArgument,
                    ErrorKind::ArgumentConflict,
                ];
                assert!(kinds.contains(&error.kind()), "{error}");
            }
        }
        Err(error) => {
            let message = error.to_string();
            let line = message.split(':').nth(1).and_then(|line| line.parse().ok());
            assert!(line.is_some_and(|line: usize| line <= 1 + text.matches('\n').count()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_seeds(target: &str, check: fn(&[u8])) {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/seeds")
            .join(target);
        for seed in folder.read_dir().expect("each target has seeds") {
            let seed = seed.expect("a seed").path();
            check(&std::fs::read(seed).expect("a seed is a file"));
        }
    }

    #[test]
    fn every_seed_is_treated_as_it_must_be() {
        check_seeds("mergevit_arguments", arguments);
        check_seeds("config", config);
        check_seeds("mjpeg", mjpeg);
        check_seeds("raw", raw);
        check_seeds("source", source);
        check_seeds("wire", wire);
        check_seeds("y4m", y4m);
    }
}
