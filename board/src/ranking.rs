//! Classes with names and probabilities, in the form that every command prints.

use crate::output::Escaped;
use mergevit_runtime::{Output, ScoreKind};
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::fmt;

/// A class of an image's result, to be kept beyond the engine's next run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ranked {
    pub(crate) class: usize,
    /// 0 to 1.
    pub(crate) probability: f32,
}

/// Which of an image's classes are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Named {
    /// The most likely ones.
    Best,
    /// Those that are more likely right than wrong, or the best if there are none: any number of classes is right.
    Likely,
}

impl From<ScoreKind> for Named {
    fn from(kind: ScoreKind) -> Self {
        match kind {
            ScoreKind::Softmax => Self::Best,
            ScoreKind::Sigmoid => Self::Likely,
        }
    }
}

impl Named {
    /// Fills `top` with an image's classes, best first, and returns how many there are, at most as many as fit. Does
    /// not allocate.
    pub(crate) fn rank(self, output: &Output<'_>, image: usize, top: &mut [Ranked]) -> usize {
        let mut count = 0;
        for (place, prediction) in top.iter_mut().zip(output.top(image)) {
            if self == Self::Likely && count > 0 && prediction.probability < 0.5 {
                break;
            }
            *place = Ranked {
                class: prediction.class,
                probability: prediction.probability,
            };
            count += 1;
        }
        count
    }
}

/// The most likely classes of an image, best first. Formatting and serializing do not allocate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ranking<'a> {
    /// Names by class; empty if the model has none.
    pub(crate) labels: &'a [String],
    pub(crate) top: &'a [Ranked],
}

/// A class by name, for people, or by number where it has none.
pub(crate) struct Label<'a> {
    pub(crate) labels: &'a [String],
    pub(crate) class: usize,
}

impl fmt::Display for Label<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.labels.get(self.class) {
            Some(label) => Escaped(label).fmt(f),
            None => write!(f, "class {}", self.class),
        }
    }
}

/// `shirt 93.1 %, coat 4.2 %`
impl fmt::Display for Ranking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, top) in self.top.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            let label = Label {
                labels: self.labels,
                class: top.class,
            };
            write!(f, "{separator}{label} {:.1} %", 100.0 * top.probability)?;
        }
        Ok(())
    }
}

struct Entry<'a>(&'a [String], &'a Ranked);

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(labels, top) = self;
        let mut entry = serializer.serialize_struct("Top", 3)?;
        entry.serialize_field("class", &top.class)?;
        entry.serialize_field("label", &labels.get(top.class))?;
        entry.serialize_field("probability", &top.probability)?;
        entry.end()
    }
}

/// `[{"class":6,"label":"shirt","probability":0.931}, ...]`
impl Serialize for Ranking<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.top.iter().map(|top| Entry(self.labels, top)))
    }
}
