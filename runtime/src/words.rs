//! Words that messages of every crate need. No part of the public interface.

use std::fmt;

/// How many of something: `1 image`, `2 images`. The word is one that takes an s.
#[derive(Debug, Clone, Copy)]
pub struct Count<'a>(pub u64, pub &'a str);

impl fmt::Display for Count<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(count, word) = self;
        let ending = if *count == 1 { "" } else { "s" };
        write!(f, "{count} {word}{ending}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_is_singular_and_all_else_plural() {
        let images = [0, 1, 2, 11].map(|count| Count(count, "image").to_string());
        assert_eq!(images, ["0 images", "1 image", "2 images", "11 images"]);
    }
}
