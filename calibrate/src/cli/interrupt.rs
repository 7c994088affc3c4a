//! Ending early: by `SIGINT`, `SIGTERM` or `SIGHUP`.

use super::console::warn;
use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Exit code of an interrupted process: 128 + `SIGINT`.
const INTERRUPTED: i32 = 130;

static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Held while a file is replaced.
static REPLACING: Mutex<()> = Mutex::new(());

/// Ends the process at a signal, unless it is replacing a file: then after that, or at the second signal. A
/// signal that the process was told to ignore, as under `nohup`, stays ignored.
pub(super) fn end_on_signals() {
    if let Err(error) = ctrlc::try_set_handler(interrupt) {
        log::debug!("signals are not handled: {error}");
    }
}

fn interrupt() {
    let is_second = IS_INTERRUPTED.swap(true, Ordering::SeqCst);
    if is_second || REPLACING.try_lock().is_ok() {
        end();
    }
}

fn end() -> ! {
    // Below the line of a progress bar.
    warn("\ninterrupted\n");
    process::exit(INTERRUPTED)
}

/// Replaces a file with `replace`, whole, before a signal ends the process.
pub(super) fn uninterrupted<T>(replace: impl FnOnce() -> T) -> T {
    let replacing = REPLACING.lock().unwrap_or_else(PoisonError::into_inner);
    let replaced = replace();
    // In this order: a signal that found the lock taken has set the flag before.
    drop(replacing);
    if IS_INTERRUPTED.load(Ordering::SeqCst) {
        end();
    }
    replaced
}
