//! Writing to standard output and standard error without panicking where they are closed, and to a line of
//! fixed length without allocating.

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

/// Writes bytes to standard output and flushes it. Allocates at most on its first use.
pub(crate) fn write(bytes: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

/// Writes a line to standard error. If that is closed, nobody wants to know.
pub(crate) fn warn(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Text of bounded length, reserved once.
#[derive(Debug)]
pub(crate) struct Line {
    bytes: Vec<u8>,
}

impl Line {
    /// Room for `capacity` bytes.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
        }
    }

    /// Starts again.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// What was written since.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Write for Line {
    /// Takes what fits; 0 bytes if the line is full.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.bytes.capacity() - self.bytes.len();
        let taken = bytes.len().min(room);
        self.bytes.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A byte count for people: `12.3 MB`.
pub(crate) fn bytes(count: u64) -> String {
    match count {
        0..10_000 => format!("{count} B"),
        10_000..10_000_000 => format!("{:.1} kB", count as f64 / 1e3),
        10_000_000..10_000_000_000 => format!("{:.1} MB", count as f64 / 1e6),
        _ => format!("{:.1} GB", count as f64 / 1e9),
    }
}

/// Microseconds for people: three digits and a unit.
pub(crate) fn microseconds(value: f64) -> String {
    match value {
        ..1e3 => format!("{value:.0} µs"),
        ..1e5 => format!("{:.2} ms", value / 1e3),
        ..1e6 => format!("{:.1} ms", value / 1e3),
        _ => format!("{:.2} s", value / 1e6),
    }
}

/// `part` of `whole`, 0 where there is no whole.
pub(crate) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// Rows of cells as text, columns aligned; the first column to the left, the others to the right.
pub(crate) fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (cell, &width)) in row.iter().zip(&widths).enumerate() {
            let padded = match column {
                0 => format!("{cell:<width$}"),
                _ => format!("  {cell:>width$}"),
            };
            line.push_str(&padded);
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_takes_what_fits() {
        let mut line = Line::new(4);
        assert!(write!(line, "abc").is_ok());
        assert!(write!(line, "de").is_err());
        assert_eq!(line.bytes(), b"abcd");
        line.clear();
        assert!(line.bytes().is_empty());
    }

    #[test]
    fn columns_are_aligned() {
        let row = |cells: [&str; 2]| cells.map(String::from).to_vec();
        let text = table(&[row(["a", "µs"]), row(["long", "1"]), vec!["x".into()]]);
        assert_eq!(text, "a     µs\nlong   1\nx\n");
    }

    #[test]
    fn numbers_have_units() {
        assert_eq!(bytes(9_999), "9999 B");
        assert_eq!(bytes(1_234_567), "1234.6 kB");
        assert_eq!(bytes(12_345_678), "12.3 MB");
        assert_eq!(microseconds(12.3), "12 µs");
        assert_eq!(microseconds(12_345.0), "12.35 ms");
        assert_eq!(microseconds(2_500_000.0), "2.50 s");
    }
}
