//! What a command says of an image: its most likely classes, or its embedding.

use crate::ranking::{Named, Ranked, Ranking};
use mergevit_runtime::Output;
use serde::Serialize;
use std::fmt;

/// Bytes of a class besides its label: number, probability, keys.
const CLASS: usize = 128;

/// Bytes of a number of an embedding.
const NUMBER: usize = 24;

/// An image's answer, to be kept beyond the engine's next run. Filling it does not allocate.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    named: Named,
    top: Vec<Ranked>,
    /// Classes that there are.
    ranked: usize,
    /// Whether the image is of none of them, if the pack can tell.
    unknown: Option<bool>,
    embedding: Vec<f32>,
    second_run: bool,
}

impl Answer {
    /// Room for `top` classes.
    pub(crate) fn classes(named: Named, top: usize) -> Self {
        Self {
            named,
            top: vec![Ranked::default(); top],
            ranked: 0,
            unknown: None,
            embedding: Vec::new(),
            second_run: false,
        }
    }

    /// Room for an embedding of `columns` numbers.
    pub(crate) fn embedding(columns: usize) -> Self {
        Self {
            embedding: vec![0.0; columns],
            ..Self::classes(Named::Best, 0)
        }
    }

    /// Most bytes that it prints, with labels of at most `label` bytes.
    pub(crate) fn bound(&self, label: usize) -> usize {
        self.top.len() * (CLASS + label) + self.embedding.len() * NUMBER
    }

    /// Takes the answer of one of the batch's images.
    pub(crate) fn take(&mut self, output: &Output<'_>, image: usize) {
        self.second_run = output.ran_again(image);
        match output.unit_embedding(image) {
            Some(embedding) if !self.embedding.is_empty() => {
                self.embedding.copy_from_slice(embedding);
            }
            _ => {
                self.ranked = self.named.rank(output, image, &mut self.top);
                self.unknown = output.is_unknown(image);
            }
        }
    }

    /// The most likely class and its probability, if there are classes.
    pub(crate) fn best(&self) -> Option<(usize, f32)> {
        let best = self.top[..self.ranked].first()?;
        Some((best.class, best.probability))
    }

    /// Whether the pack says that the image is of none of its classes.
    pub(crate) fn is_unknown(&self) -> bool {
        self.unknown == Some(true)
    }

    /// Whether a cascade's second schedule gave it.
    pub(crate) fn is_second_run(&self) -> bool {
        self.second_run
    }

    /// As records have it; `labels` names classes.
    pub(crate) fn view<'a>(&'a self, labels: &'a [String]) -> AnswerView<'a> {
        match self.embedding.is_empty() {
            true => AnswerView::Classes {
                top: Ranking {
                    labels,
                    top: &self.top[..self.ranked],
                },
                unknown: self.unknown,
            },
            false => AnswerView::Embedding {
                embedding: Numbers(&self.embedding),
            },
        }
    }
}

/// Fields of a record: `"top": [...]`, and `"unknown": true` or `false` where the pack can tell; or `"embedding":
/// [...]`. Formatting and serializing do not allocate.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum AnswerView<'a> {
    Classes {
        top: Ranking<'a>,
        #[serde(skip_serializing_if = "Option::is_none")]
        unknown: Option<bool>,
    },
    Embedding {
        embedding: Numbers<'a>,
    },
}

/// `nut 93.1 %, bolt 4.2 %`, or `unknown, nearest nut 93.1 %, bolt 4.2 %`, or numbers.
impl fmt::Display for AnswerView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Classes { top, unknown } => {
                if *unknown == Some(true) {
                    f.write_str("unknown, nearest ")?;
                }
                top.fmt(f)
            }
            Self::Embedding { embedding } => embedding.fmt(f),
        }
    }
}

/// A vector: every number as few digits as tell it from its neighbours.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Numbers<'a>(&'a [f32]);

/// `0.03125 -0.25 0.5`
impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, number) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { " " };
            write!(f, "{separator}{number:?}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_of_no_class_says_so_before_the_nearest() {
        let mut answer = Answer::classes(Named::Best, 1);
        answer.top[0].probability = 0.5;
        answer.ranked = 1;
        let labels = ["nut".to_string()];
        for (unknown, text, json) in [
            (None, "nut 50.0 %", "]}"),
            (Some(false), "nut 50.0 %", "],\"unknown\":false}"),
            (
                Some(true),
                "unknown, nearest nut 50.0 %",
                "],\"unknown\":true}",
            ),
        ] {
            answer.unknown = unknown;
            let view = answer.view(&labels);
            assert_eq!(view.to_string(), text);
            let found = serde_json::to_string(&view).expect("it serializes");
            assert!(
                found.starts_with("{\"top\":[{") && found.ends_with(json),
                "{found}"
            );
            assert!(found.len() <= answer.bound(3));
        }
    }

    #[test]
    fn an_embedding_is_a_list_of_numbers_that_read_back_the_same() {
        let numbers = [0.03125f32, -0.1, 1.0e-9, f32::MIN_POSITIVE, -3.402_823_5e38];
        let mut answer = Answer::embedding(numbers.len());
        answer.embedding.copy_from_slice(&numbers);
        let view = answer.view(&[]);
        let read: Vec<f32> = view
            .to_string()
            .split(' ')
            .map(|number| number.parse().expect("a number"))
            .collect();
        assert_eq!(read, numbers);
        let json = serde_json::to_string(&view).expect("it serializes");
        assert!(json.starts_with("{\"embedding\":[0.03125,-0.1,"), "{json}");
        assert!(json.len() <= answer.bound(0));
    }
}
