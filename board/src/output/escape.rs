//! Names that others chose, such as those of files and classes, as text that a terminal may show.

use std::fmt::{self, Display, Write};

/// Text without what acts on a terminal instead of standing in it: control characters become escapes such as `\n`
/// and `\u{1b}`, and so do the characters that turn the direction of writing or break the line. Formatting does not
/// allocate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Escaped<T>(pub(crate) T);

/// Most bytes that an escape takes for each byte it replaces: `\u{7f}` for one.
pub(crate) const GROWTH: usize = 6;

impl<T: Display> Display for Escaped<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Filter(f), "{}", self.0)
    }
}

/// Passes text on, escaped.
struct Filter<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Filter<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let mut rest = text;
        while let Some(at) = rest.find(acts) {
            let (plain, tail) = rest.split_at(at);
            self.0.write_str(plain)?;
            let mut characters = tail.chars();
            if let Some(character) = characters.next() {
                write!(self.0, "{}", character.escape_default())?;
            }
            rest = characters.as_str();
        }
        self.0.write_str(rest)
    }
}

/// Whether a character does something to a terminal: controls, Unicode's `Bidi_Control`, line and paragraph separators.
fn acts(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_escaped_and_the_rest_stays() {
        for (text, shown) in [
            ("photo 1.png", "photo 1.png"),
            ("Zürich/図\\n.png", "Zürich/図\\n.png"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("\x1b[31mred\x07", "\\u{1b}[31mred\\u{7}"),
            ("gnp.\u{202e}exe", "gnp.\\u{202e}exe"),
            ("\u{85}\u{2028}\u{2066}", "\\u{85}\\u{2028}\\u{2066}"),
            ("", ""),
        ] {
            assert_eq!(Escaped(text).to_string(), shown);
        }
    }

    #[test]
    fn escapes_are_as_long_as_promised() {
        for character in (0..=0x2_ffff).filter_map(char::from_u32) {
            let shown = Escaped(character).to_string();
            assert!(shown.len() <= GROWTH * character.len_utf8(), "{shown}");
        }
    }
}
