//! How many frames must agree.

use std::str::FromStr;

/// `needed` of the last `of` frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Consensus {
    pub(crate) needed: usize,
    pub(crate) of: usize,
}

/// Most frames that a decision looks at.
const MOST: usize = 1000;

impl Default for Consensus {
    /// Every frame decides.
    fn default() -> Self {
        Self { needed: 1, of: 1 }
    }
}

/// `N/M`
impl FromStr for Consensus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (needed, of) = text
            .split_once('/')
            .and_then(|(needed, of)| Some((needed.parse().ok()?, of.parse().ok()?)))
            .filter(|(needed, of)| (1..=MOST).contains(of) && (1..=*of).contains(needed))
            .ok_or_else(|| format!("expected N/M with N from 1 to M and M up to {MOST}"))?;
        // Otherwise two states could both have enough.
        match 2 * needed > of {
            true => Ok(Self { needed, of }),
            false => Err(format!("{needed} of {of} frames are no majority")),
        }
    }
}
