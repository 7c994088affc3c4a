//! What a network answered, image by image.

use mergevit_runtime::margin;

/// Index of the largest logit; ties go to the lower class.
pub fn argmax(logits: &[f32]) -> usize {
    let mut best = 0;
    for (class, &logit) in logits.iter().enumerate() {
        if logit > logits[best] {
            best = class;
        }
    }
    best
}

/// One answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// The image's class, if it has a label.
    pub label: Option<u32>,
    /// The class with the largest score.
    pub class: u32,
    /// By how much its score exceeds the next: 0 of equals, infinite of a single class.
    pub margin: f32,
}

impl Answer {
    /// That of an image with these `logits` and this label.
    pub fn new(logits: &[f32], label: Option<usize>) -> Self {
        let class = argmax(logits);
        Self {
            label: label.map(|label| label as u32),
            class: class as u32,
            margin: margin(logits),
        }
    }

    /// Whether the answer is another class than the label.
    pub fn is_wrong(&self) -> bool {
        self.label.is_some_and(|label| label != self.class)
    }
}

/// The answers of one network, in the order of its images: 16 bytes an image.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answers(Vec<Answer>);

impl Answers {
    /// Adds that of the next image.
    pub fn push(&mut self, answer: Answer) {
        self.0.push(answer);
    }

    /// All of them.
    pub fn all(&self) -> &[Answer] {
        &self.0
    }

    /// Label and answer of those images that have a label.
    pub fn labelled(&self) -> impl Iterator<Item = (usize, usize)> {
        let pair = |answer: &Answer| Some((answer.label? as usize, answer.class as usize));
        self.0.iter().filter_map(pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_margin_is_that_of_the_two_largest() {
        let answer = Answer::new(&[1.0, 4.0, 3.5], Some(2));
        assert_eq!(
            (answer.class, answer.margin, answer.is_wrong()),
            (1, 0.5, true)
        );
        assert_eq!(Answer::new(&[2.0, 2.0], None).margin, 0.0);
        assert_eq!(Answer::new(&[2.0], Some(0)).margin, f32::INFINITY);
    }

    #[test]
    fn images_without_labels_are_left_out_of_pairs() {
        let mut answers = Answers::default();
        answers.push(Answer::new(&[0.0, 1.0], None));
        answers.push(Answer::new(&[0.0, 1.0], Some(0)));
        assert_eq!(answers.labelled().collect::<Vec<_>>(), [(0, 1)]);
    }
}
