//! Which class was taken for which.

use serde::Serialize;
use std::collections::BTreeMap;

/// Up to so many classes all pairs are counted in a table; beyond, only the most frequent confusions.
pub const TABLE_CLASSES: usize = 20;

/// So many of the most frequent confusions are named.
pub const NAMED_PAIRS: usize = 20;

/// A class that was taken for another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ConfusedPair {
    /// The label.
    pub label: String,
    /// The answer, another class.
    pub answer: String,
    /// Images with this label and answer.
    pub images: u64,
    /// Images with this label.
    pub of: u64,
    /// Images with this label to which full precision without merging gives this answer; none without a checkpoint.
    pub images_fp32: Option<u64>,
}

/// Labels against answers.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Confusion {
    /// `table[label][answer]` is how many images with this label got this answer; empty beyond
    /// [`TABLE_CLASSES`].
    pub table: Vec<Vec<u64>>,
    /// The most frequent confusions, at most [`NAMED_PAIRS`], most frequent first.
    pub pairs: Vec<ConfusedPair>,
}

impl Confusion {
    /// Counts the labelled images of `answers`, pairs of label and answer by the number of their class, of which
    /// `names` has the names. `fp32` are full precision's, if there are any.
    pub fn count(
        names: &[String],
        answers: impl Iterator<Item = (usize, usize)>,
        fp32: Option<impl Iterator<Item = (usize, usize)>>,
    ) -> Self {
        let counts = tally(answers);
        let counts_fp32 = fp32.map(tally);
        let mut images = vec![0; names.len()];
        for (&(label, _), count) in &counts {
            images[label] += count;
        }
        let wrong = counts.iter().filter(|((label, answer), _)| label != answer);
        let mut wrong: Vec<_> = wrong.map(|(&pair, &count)| (pair, count)).collect();
        // Stable: equals stay in the order of classes.
        wrong.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
        wrong.truncate(NAMED_PAIRS);
        let pair = |(pair, count): ((usize, usize), u64)| ConfusedPair {
            label: names[pair.0].clone(),
            answer: names[pair.1].clone(),
            images: count,
            of: images[pair.0],
            images_fp32: counts_fp32
                .as_ref()
                .map(|counts| counts.get(&pair).copied().unwrap_or(0)),
        };
        let classes = if names.len() <= TABLE_CLASSES {
            names.len()
        } else {
            0
        };
        let cell = |label, answer| counts.get(&(label, answer)).copied().unwrap_or(0);
        let row = |label| (0..classes).map(|answer| cell(label, answer)).collect();
        Self {
            table: (0..classes).map(row).collect(),
            pairs: wrong.into_iter().map(pair).collect(),
        }
    }
}

/// How often there is each pair.
fn tally(pairs: impl Iterator<Item = (usize, usize)>) -> BTreeMap<(usize, usize), u64> {
    let mut counts = BTreeMap::new();
    for pair in pairs {
        *counts.entry(pair).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|class| format!("c{class}")).collect()
    }

    #[test]
    fn pairs_are_counted_and_the_frequent_ones_come_first() {
        let int8 = [(0, 0), (0, 1), (1, 2), (1, 2), (2, 2), (1, 1)];
        let fp32 = [(0, 0), (0, 0), (1, 2), (1, 1), (2, 2), (1, 1)];
        let confusion = Confusion::count(&names(3), int8.into_iter(), Some(fp32.into_iter()));
        assert_eq!(confusion.table, [[1, 1, 0], [0, 1, 2], [0, 0, 1]]);
        let pair = |label: &str, answer: &str, images, of, fp32| ConfusedPair {
            label: label.into(),
            answer: answer.into(),
            images,
            of,
            images_fp32: Some(fp32),
        };
        assert_eq!(
            confusion.pairs,
            [pair("c1", "c2", 2, 3, 1), pair("c0", "c1", 1, 2, 0)]
        );
    }

    #[test]
    fn many_classes_have_no_table() {
        let none = None::<std::iter::Empty<_>>;
        let wrong = (0..99).map(|class| (class, class + 1));
        let confusion = Confusion::count(&names(100), wrong, none);
        assert!(confusion.table.is_empty());
        assert_eq!(confusion.pairs.len(), NAMED_PAIRS);
        assert_eq!(confusion.pairs[0].images_fp32, None);
    }
}
