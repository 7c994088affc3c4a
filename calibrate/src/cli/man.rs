//! `mergevit-calibrate man`.

use super::error::CommandError;
use std::path::PathBuf;

/// Write the manual pages into a folder
#[derive(Clone, Debug, clap::Args)]
#[command(hide = true)]
pub(super) struct ManArgs {
    /// The folder to write into
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
}

/// Writes a page for `program`, the whole command line, and one for each of its commands.
pub(super) fn run(args: &ManArgs, program: clap::Command) -> Result<(), CommandError> {
    // A page is the same for every build of a version.
    let program = program.long_version(env!("CARGO_PKG_VERSION"));
    std::fs::create_dir_all(&args.output)
        .and_then(|()| clap_mangen::generate_to(program, &args.output))
        .map_err(|error| CommandError::io(&args.output, "write manual pages", error))
}
