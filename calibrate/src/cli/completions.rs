//! `mergevit-calibrate completions`.

use super::CommandError;
use clap_complete::Shell;
use std::io::{self, Write};
use std::path::Path;

/// Print the script by which a shell completes command lines
#[derive(Clone, Debug, clap::Args)]
pub(super) struct CompletionsArgs {
    /// The shell that is to complete
    shell: Shell,
}

/// Prints the script for `program`, the whole command line.
pub(super) fn run(args: &CompletionsArgs, mut program: clap::Command) -> Result<(), CommandError> {
    let name = program.get_name().to_owned();
    // Through memory, because the generator panics if it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, name, &mut script);
    // clap_complete 4.6.11 takes the hyphen in the program's name for a command in half of bash's script.
    let script = String::from_utf8_lossy(&script)
        .replace("mergevit__subcmd__calibrate", "mergevit__calibrate");
    let mut out = io::stdout().lock();
    match out.write_all(script.as_bytes()).and_then(|()| out.flush()) {
        // Whoever reads has seen enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        result => {
            result.map_err(|error| CommandError::io(Path::new("standard output"), "write", error))
        }
    }
}
