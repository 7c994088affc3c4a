//! Text that is cut off where its room ends, built without allocating.

use std::fmt;
use std::ops::Deref;

/// Text of bounded length, reserved once.
#[derive(Debug)]
pub(crate) struct Clipped {
    text: String,
    bytes: usize,
}

impl Clipped {
    /// Room for `bytes` bytes.
    pub(crate) fn new(bytes: usize) -> Self {
        Self {
            text: String::with_capacity(bytes),
            bytes,
        }
    }

    /// Empties it.
    pub(crate) fn clear(&mut self) {
        self.text.clear();
    }
}

impl Deref for Clipped {
    type Target = str;

    fn deref(&self) -> &str {
        &self.text
    }
}

impl fmt::Write for Clipped {
    /// Takes what fits, and never fails.
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes - self.text.len();
        self.text.push_str(&text[..text.floor_char_boundary(room)]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    #[test]
    fn text_is_cut_off_between_characters() {
        let mut text = Clipped::new(4);
        for (written, kept) in [
            ("abc", "abc"),
            ("abcd", "abcd"),
            ("abcdé", "abcd"),
            ("abcé", "abc"),
        ] {
            text.clear();
            assert_eq!(write!(text, "{written}"), Ok(()));
            assert_eq!(&*text, kept);
        }
    }
}
