//! What the program prints: standard output and standard error without a panic where they are closed, and
//! the forms that commands share.

mod clipped;
mod escape;
mod line;
mod table;
mod time;
mod units;

pub(crate) use clipped::Clipped;
pub(crate) use escape::{Escaped, GROWTH};
pub(crate) use line::Line;
pub(crate) use table::Table;
pub(crate) use time::Time;
pub(crate) use units::{arrows, bytes, microseconds, percent, range, ratio};

use crate::failure::Failure;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether standard error gets errors alone.
static QUIET: AtomicBool = AtomicBool::new(false);

/// From now on, standard error gets errors alone.
pub(crate) fn be_quiet() {
    QUIET.store(true, Ordering::Relaxed);
}

/// Writes text to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    write(text.as_bytes()).map_err(|error| Failure::output(&error))
}

/// Writes a value as one line of JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Result<(), Failure> {
    let mut text = serde_json::to_vec(value).map_err(|error| Failure::work(&error))?;
    text.push(b'\n');
    write(&text).map_err(|error| Failure::output(&error))
}

/// Writes the help or version that was asked for to standard output, in colours where that is a terminal.
pub(crate) fn print_help(text: &clap::Error) -> Result<(), Failure> {
    let printed = text.print().and_then(|()| io::stdout().flush());
    printed.map_err(|error| Failure::output(&error))
}

/// Writes bytes to standard output and flushes it. Allocates on its first use at most.
pub(crate) fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Writes text to standard error, a line or several, in which names are escaped. If that is closed, there is nobody
/// to tell.
pub(crate) fn tell(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Writes what went wrong to standard error, as one line. Does not allocate unless `message` does.
pub(crate) fn error(message: &dyn Display) {
    let _ = writeln!(io::stderr().lock(), "{}", Escaped(message));
}

/// Writes what may go wrong to standard error, as one line; `--quiet` silences it.
pub(crate) fn warning(message: &dyn Display) {
    note(&format!("warning: {}", Escaped(message)));
}

/// Writes what is good to know to standard error, as [`tell`] does; `--quiet` silences it.
pub(crate) fn note(text: &str) {
    if !QUIET.load(Ordering::Relaxed) {
        tell(text);
    }
}

/// Writes what is wrong with the arguments to standard error. Without colours: as clap sees it, those that an argument
/// brings along are part of its own.
pub(crate) fn print_usage(error: &clap::Error) {
    for line in error.render().to_string().trim_end().lines() {
        tell(&Escaped(line).to_string());
    }
}
