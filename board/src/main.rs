//! mergevit.

use std::process::ExitCode;

/// `mergevit run` seals it.
#[global_allocator]
static ALLOCATOR: mergevit_board::SealedAllocator = mergevit_board::SealedAllocator;

fn main() -> ExitCode {
    mergevit_board::run(std::env::args_os())
}
