//! Text to tokens (PTX ISA 8.5, section 4 "Syntax").

use super::ParseError;

/// A token; words keep their dots, so that `ld.global.u32` and `%tid.x` are one each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Token<'a> {
    /// An identifier, directive, opcode, register name or version number.
    Word(&'a str),
    /// An integer constant, as the two's complement bits of its value.
    Integer(u64),
    /// A constant `0f…`: the bits of a binary32.
    Float32(u32),
    /// A constant `0d…`: the bits of a binary64.
    Float64(u64),
    /// A string without its quotes.
    Text(&'a str),
    /// A single character of punctuation.
    Mark(char),
}

/// The tokens of a text, each with the number of its line, counted from 1.
pub(crate) fn tokenize(text: &str) -> Result<Vec<(Token<'_>, u32)>, ParseError> {
    let mut lexer = Lexer {
        text,
        at: 0,
        line: 1,
    };
    let mut tokens = Vec::with_capacity(text.len() / 4);
    while let Some(token) = lexer.next()? {
        tokens.push((token, lexer.line));
    }
    Ok(tokens)
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: u32,
}

fn begins_word(c: u8) -> bool {
    c.is_ascii_alphabetic() || matches!(c, b'_' | b'$' | b'%' | b'.')
}

fn is_word(c: u8) -> bool {
    begins_word(c) || c.is_ascii_digit()
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.at..]
    }

    fn fail(&self, what: impl Into<String>) -> ParseError {
        ParseError::new(self.line, what)
    }

    fn skip_blanks(&mut self) -> Result<(), ParseError> {
        loop {
            let rest = self.rest();
            if rest.starts_with(b"//") {
                self.at += rest.iter().position(|&c| c == b'\n').unwrap_or(rest.len());
            } else if rest.starts_with(b"/*") {
                let end = self.text[self.at..]
                    .find("*/")
                    .ok_or_else(|| self.fail("comment without end"))?;
                let comment = &self.text[self.at..self.at + end];
                self.line += comment.bytes().filter(|&c| c == b'\n').count() as u32;
                self.at += end + 2;
            } else if let Some(&c) = rest.first().filter(|c| c.is_ascii_whitespace()) {
                self.line += u32::from(c == b'\n');
                self.at += 1;
            } else {
                return Ok(());
            }
        }
    }

    fn next(&mut self) -> Result<Option<Token<'a>>, ParseError> {
        self.skip_blanks()?;
        let rest = self.rest();
        let Some(&first) = rest.first() else {
            return Ok(None);
        };
        let negative = first == b'-' && rest.get(1).is_some_and(u8::is_ascii_digit);
        let token = if begins_word(first) {
            self.word()
        } else if first.is_ascii_digit() || negative {
            self.number(negative)?
        } else if first == b'"' {
            self.text()?
        } else if b"{}()[],;:=<>@!|+-".contains(&first) {
            self.at += 1;
            Token::Mark(char::from(first))
        } else {
            return Err(self.fail(format!("unexpected byte {first:#04x}")));
        };
        Ok(Some(token))
    }

    /// A word; `::` belongs to it (`.shared::cta`), a single colon ends a label. A directive ends before the
    /// next dot: `.reg.b32` is two.
    fn word(&mut self) -> Token<'a> {
        let (rest, start) = (self.rest(), self.at);
        let mut length = 0;
        loop {
            let next = rest.get(length).copied();
            if length > 0 && rest[0] == b'.' && next == Some(b'.') {
                break;
            } else if next.is_some_and(is_word) {
                length += 1;
            } else if rest[length..].starts_with(b"::") {
                length += 2;
            } else {
                break;
            }
        }
        self.at += length;
        Token::Word(&self.text[start..self.at])
    }

    fn text(&mut self) -> Result<Token<'a>, ParseError> {
        let start = self.at + 1;
        let end = self.text[start..]
            .find(['"', '\n'])
            .filter(|&end| self.text[start + end..].starts_with('"'))
            .ok_or_else(|| self.fail("string without end"))?;
        self.at = start + end + 1;
        Ok(Token::Text(&self.text[start..start + end]))
    }

    /// PTX ISA 4.5 "Constants".
    fn number(&mut self, negative: bool) -> Result<Token<'a>, ParseError> {
        self.at += usize::from(negative);
        let length = self.rest().iter().take_while(|&&c| is_word(c)).count();
        let digits = &self.text[self.at..self.at + length];
        self.at += length;
        if digits.contains('.') {
            return Ok(Token::Word(digits));
        }
        let lower = digits.to_ascii_lowercase();
        let parse = |digits: &str, radix| {
            u64::from_str_radix(digits, radix).map_err(|_| self.fail(format!("number {lower:?}")))
        };
        let float = |digits: &str, width: usize| {
            let whole = digits.len() == width && !negative;
            whole
                .then_some(())
                .ok_or_else(|| self.fail(format!("number {lower:?}")))?;
            parse(digits, 16)
        };
        if let Some(hex) = lower.strip_prefix("0f") {
            return float(hex, 8).map(|bits| Token::Float32(bits as u32));
        }
        if let Some(hex) = lower.strip_prefix("0d") {
            return float(hex, 16).map(Token::Float64);
        }
        let value = if let Some(hex) = lower.strip_prefix("0x") {
            parse(hex.trim_end_matches('u'), 16)
        } else if let Some(bits) = lower.strip_prefix("0b") {
            parse(bits.trim_end_matches('u'), 2)
        } else if lower.len() > 1 && lower.starts_with('0') {
            parse(&lower, 8)
        } else {
            parse(lower.trim_end_matches('u'), 10)
        }?;
        Ok(Token::Integer(if negative {
            value.wrapping_neg()
        } else {
            value
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<Token<'_>> {
        tokenize(text)
            .unwrap()
            .into_iter()
            .map(|(token, _)| token)
            .collect()
    }

    #[test]
    fn words_keep_dots_and_numbers_their_bits() {
        use Token::{Float32, Integer, Mark, Word};
        assert_eq!(
            words("@!%p1 ld.shared::cta.u32 %r1, [%rd2+-16]; // end\n0f3F800000 0x10 -1"),
            [
                Mark('@'),
                Mark('!'),
                Word("%p1"),
                Word("ld.shared::cta.u32"),
                Word("%r1"),
                Mark(','),
                Mark('['),
                Word("%rd2"),
                Mark('+'),
                Integer((-16i64) as u64),
                Mark(']'),
                Mark(';'),
                Float32(0x3f80_0000),
                Integer(16),
                Integer(u64::MAX),
            ]
        );
    }

    #[test]
    fn lines_count_through_comments() {
        let tokens = tokenize("/* a\n b */ c\nd").unwrap();
        assert_eq!(tokens, [(Token::Word("c"), 2), (Token::Word("d"), 3)]);
        assert_eq!(
            words("L1: x::y"),
            [Token::Word("L1"), Token::Mark(':'), Token::Word("x::y")]
        );
        assert_eq!(
            words(".reg.b32"),
            [Token::Word(".reg"), Token::Word(".b32")]
        );
    }

    #[test]
    fn damage_is_an_error() {
        for text in [
            "/* a",
            "\"a",
            "\"a\n\"",
            "0f12",
            "12ab",
            "`",
            "99999999999999999999",
        ] {
            assert!(tokenize(text).is_err(), "{text}");
        }
    }
}
