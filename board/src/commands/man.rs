//! `mergevit man`: manual pages, for packages.

use crate::failure::Failure;
use std::path::PathBuf;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The folder to write into
    #[arg(long, value_name = "DIR")]
    output: PathBuf,
}

/// Writes a page for `program`, the whole command line, and one for each of its commands.
pub(crate) fn execute(args: &Args, program: clap::Command) -> Result<(), Failure> {
    // A page is the same for every build of a version.
    let program = program.long_version(env!("CARGO_PKG_VERSION"));
    std::fs::create_dir_all(&args.output)
        .and_then(|()| clap_mangen::generate_to(program, &args.output))
        .map_err(|error| {
            Failure::work(&format!(
                "{}: cannot write manual pages: {error}",
                args.output.display()
            ))
        })
}
