//! The threads that all commands share.

use super::error::CommandError;
use mergevit_kernels::thread;
use rayon::{ThreadBuilder, ThreadPoolBuilder};
use std::error::Error;

/// Starts rayon's threads, as many as `RAYON_NUM_THREADS` says, or one for each core. Left to itself, rayon starts
/// them at its first use, and panics where the operating system refuses.
///
/// # Errors
/// [`CommandError::Threads`].
pub(super) fn start() -> Result<(), CommandError> {
    let spawn = |thread: ThreadBuilder| {
        let name = format!("worker-{}", thread.index());
        thread::spawn_if_room(name, || thread.run()).map(drop)
    };
    match ThreadPoolBuilder::new().spawn_handler(spawn).build_global() {
        // Without a source, it only says that they run already.
        Err(error) if error.source().is_some() => Err(CommandError::Threads(error)),
        _ => Ok(()),
    }
}
