//! `mergevit completions`: the script by which a shell completes command lines.

use crate::failure::Failure;
use crate::output;
use clap_complete::Shell;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The shell that is to complete
    shell: Shell,
}

/// Prints the script for `program`, the whole command line.
pub(crate) fn execute(args: &Args, mut program: clap::Command) -> Result<(), Failure> {
    let name = program.get_name().to_owned();
    // Through memory, because the generator panics if it cannot write.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut program, name, &mut script);
    output::write(&script).map_err(|error| Failure::output(&error))
}
