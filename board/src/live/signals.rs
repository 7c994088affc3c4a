//! Signals: SIGINT and SIGTERM end the loop, SIGHUP loads the model again.

use super::control::Control;
use crate::failure::Failure;
use crate::seal;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::io;
use std::sync::Arc;

/// Exit code of a process that a second interrupt ends at once: 128 + SIGINT.
const INTERRUPTED: i32 = 130;

/// From now on signals are requests to the loop. A second one that asks it to end ends the process, in case the loop
/// hangs. A signal that was ignored when the program started, as `nohup` has it, stays ignored.
pub(crate) fn listen(control: &Arc<Control>) -> Result<(), Failure> {
    let failure = |error: io::Error| Failure::work(&format_args!("cannot handle signals: {error}"));
    let ignored = ignored(&std::fs::read_to_string("/proc/self/status").unwrap_or_default());
    let wanted = [SIGINT, SIGTERM, SIGHUP];
    let wanted = wanted.into_iter().filter(|&signal| !ignored.has(signal));
    let mut signals = Signals::new(wanted).map_err(failure)?;
    let control = Arc::clone(control);
    let wait = move || {
        for signal in signals.forever() {
            match signal {
                SIGHUP => control.reload(),
                _ if control.stop() => std::process::exit(INTERRUPTED),
                _ => {}
            }
        }
    };
    seal::spawn_exempt("signals", wait).map_err(failure)?;
    Ok(())
}

/// A set of signals, one a bit from the lowest, which is that of signal 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Set(u64);

impl Set {
    fn has(self, signal: i32) -> bool {
        self.0 >> (signal - 1) & 1 == 1
    }
}

/// The signals that a process ignores, by the text of its `/proc/PID/status`; none if it does not say.
fn ignored(status: &str) -> Set {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    Set(mask.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ignored_signals_are_read_from_the_status() {
        let status =
            "Name:\tcat\nSigBlk:\t0000000000000002\nSigIgn:\t0000000000001001\nSigCgt:\t0\n";
        let set = ignored(status);
        assert!(set.has(SIGHUP) && set.has(13));
        assert!(!set.has(SIGINT) && !set.has(SIGTERM));
        assert_eq!(ignored("Name:\tcat\n"), Set(0));
        assert_eq!(ignored("SigIgn:\tx\n"), Set(0));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_ignores_what_its_runtime_makes_it_ignore() {
        let status = std::fs::read_to_string("/proc/self/status").expect("/proc is mounted");
        // Rust's runtime ignores SIGPIPE.
        assert!(ignored(&status).has(13));
    }
}
