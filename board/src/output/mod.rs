//! What the program prints: standard output and standard error without a panic where they are closed, and
//! the forms that commands share.

mod line;
mod table;
mod units;

pub(crate) use line::Line;
pub(crate) use table::Table;
pub(crate) use units::{arrows, bytes, microseconds, percent, ratio};

use crate::failure::Failure;
use serde::Serialize;
use std::io::{self, Write};

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

/// Writes a line to standard error. If that is closed, there is nobody to tell.
pub(crate) fn warn(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}
