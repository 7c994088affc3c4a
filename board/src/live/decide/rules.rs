//! What one frame says.

use super::Consensus;
use std::time::Instant;

/// What a frame shows, or is decided to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Vote {
    /// A class, by its number.
    Class(usize),
    /// Something that is none of the classes.
    Unknown,
    /// No class is likely enough.
    Nothing,
}

/// A frame's answer, as far as decisions need it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sight {
    /// Its number.
    pub(crate) frame: u64,
    pub(crate) captured: Instant,
    /// The most likely class.
    pub(crate) class: usize,
    /// Its probability, 0 to 1.
    pub(crate) probability: f32,
    /// The pack says that the image is of no class.
    pub(crate) is_unknown: bool,
}

/// How answers become votes, and votes states.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rules {
    /// Least probability of a class that counts.
    pub(crate) threshold: Option<f32>,
    /// What is not likely enough, or of no class by the pack, is unknown.
    pub(crate) unknown: bool,
    pub(crate) consensus: Consensus,
}

impl Rules {
    /// What a frame says.
    pub(crate) fn vote(&self, sight: &Sight) -> Vote {
        // A probability that is no number reaches no threshold.
        let is_sure = self
            .threshold
            .is_none_or(|least| sight.probability >= least);
        match (self.unknown, is_sure) {
            (true, false) => Vote::Unknown,
            (true, true) if sight.is_unknown => Vote::Unknown,
            (false, false) => Vote::Nothing,
            _ => Vote::Class(sight.class),
        }
    }
}
