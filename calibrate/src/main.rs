//! mergevit-calibrate.

use std::process::ExitCode;

fn main() -> ExitCode {
    env_logger::init();
    mergevit_calibrate::cli::run(std::env::args_os())
}
