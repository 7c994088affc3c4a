//! mergevit.

use std::process::ExitCode;

/// `mergevit run` seals it.
#[global_allocator]
static ALLOCATOR: mergevit_board::SealedAllocator = mergevit_board::SealedAllocator;

fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    if let Err(error) = mergevit_runtime::pack::explain_bus_errors() {
        log::warn!("bus errors will go unexplained: {error}");
    }
    mergevit_board::run(std::env::args_os())
}
