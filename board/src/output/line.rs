//! A line of output built without allocating.

use std::io::{self, Write};

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

    /// Empties the line.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    /// What was written since the last [`Line::clear`].
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
}
