//! mergevit-calibrate.

use std::process::ExitCode;

fn main() -> ExitCode {
    env_logger::init();
    if let Err(error) = mergevit_runtime::pack::explain_bus_errors() {
        log::warn!("bus errors will go unexplained: {error}");
    }
    mergevit_calibrate::cli::run(std::env::args_os())
}
