//! A small grey picture as text, two pixels per character.

use super::samples::SIDE;
use std::fmt::Write;

/// How pictures are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Half blocks in the 24 greys of a 256-colour terminal.
    Blocks,
    /// Characters from light to dark, no colours.
    Ascii,
}

impl Style {
    /// Colours if standard output is a terminal, unless the environment asks for none.
    pub(super) fn detect() -> Self {
        use std::io::IsTerminal;
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|value| value == "dumb");
        if std::io::stdout().is_terminal() && !plain {
            Self::Blocks
        } else {
            Self::Ascii
        }
    }
}

/// From black to white.
const RAMP: [char; 10] = [' ', '.', ':', '-', '=', '+', '*', '#', '%', '@'];

/// Draws (28, 28) grey pixels as 14 rows of 28 characters.
pub(super) fn draw(pixels: &[u8], style: Style) -> Vec<String> {
    pixels
        .chunks_exact(2 * SIDE)
        .map(|pair| {
            let (upper, lower) = pair.split_at(SIDE);
            let pixels = upper.iter().zip(lower);
            match style {
                Style::Ascii => pixels.map(|(&a, &b)| character(a, b)).collect(),
                Style::Blocks => blocks(pixels),
            }
        })
        .collect()
}

fn character(upper: u8, lower: u8) -> char {
    let mean = (usize::from(upper) + usize::from(lower)) / 2;
    RAMP[mean * RAMP.len() / 256]
}

fn blocks<'a>(pixels: impl Iterator<Item = (&'a u8, &'a u8)>) -> String {
    // Colours 232 to 255 are greys from nearly black to nearly white.
    let grey = |value: u8| 232 + usize::from(value) * 24 / 256;
    let mut row = String::new();
    for (&upper, &lower) in pixels {
        let _ = write!(row, "\x1b[38;5;{};48;5;{}m▀", grey(upper), grey(lower));
    }
    row.push_str("\x1b[0m");
    row
}

/// A bar of `width` characters, `fraction` (0..=1) of them filled.
pub(super) fn bar(fraction: f32, width: usize, style: Style) -> String {
    let filled = (fraction.clamp(0.0, 1.0) * width as f32).round() as usize;
    let (full, empty) = match style {
        Style::Blocks => ("█", "░"),
        Style::Ascii => ("#", "."),
    };
    full.repeat(filled) + &empty.repeat(width - filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_has_the_same_size() {
        let mut pixels = [0; SIDE * SIDE];
        pixels[SIDE * SIDE - 1] = 255;
        pixels[SIDE * SIDE - 1 - SIDE] = 255;
        let rows = draw(&pixels, Style::Ascii);
        assert_eq!(rows.len(), SIDE / 2);
        assert!(rows.iter().all(|row| row.chars().count() == SIDE));
        assert!(rows[SIDE / 2 - 1].ends_with(" @"));
        let rows = draw(&pixels, Style::Blocks);
        assert!(rows.iter().all(|row| row.matches('▀').count() == SIDE));
        assert!(rows[SIDE / 2 - 1].ends_with("\x1b[38;5;255;48;5;255m▀\x1b[0m"));
    }

    #[test]
    fn bars_keep_their_width() {
        for fraction in [-1.0, 0.0, 0.26, 1.0, 2.0, f32::NAN] {
            assert_eq!(bar(fraction, 10, Style::Ascii).len(), 10);
        }
        assert_eq!(bar(0.26, 10, Style::Ascii), "###.......");
    }
}
