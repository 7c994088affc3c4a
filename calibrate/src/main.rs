//! mergevit-calibrate.

use std::process::ExitCode;

fn main() -> ExitCode {
    mergevit_calibrate::cli::run(std::env::args_os())
}
