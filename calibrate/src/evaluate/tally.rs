//! Counting correct answers.

use super::answers::{Answer, Answers, argmax};
use super::cosine::Cosines;
use super::difference::Difference;
use crate::confidence::{Reliability, confidence};
use mergevit_runtime::ScoreKind;
use serde::Serialize;

/// A label among this many best classes counts as found.
const TOP: usize = 5;

/// How many classes rank before `class`; ties go to the lower class.
fn rank(logits: &[f32], class: usize) -> usize {
    let own = logits[class];
    logits
        .iter()
        .enumerate()
        .filter(|&(other, &logit)| logit > own || (logit == own && other < class))
        .count()
}

/// How many images of one class there are, and how many were recognized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClassTally {
    /// Images with this label.
    pub images: u64,
    /// Those that were classified correctly.
    pub top1: u64,
}

/// Correct answers of one classifier over a data set.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    images: u64,
    labelled: u64,
    top1: u64,
    top5: u64,
    compared: u64,
    agreeing: u64,
    classes: Vec<ClassTally>,
    cosines: Cosines,
    answers: Answers,
    /// Of all images together.
    difference: Difference,
    /// Image by image: a cascade takes some images from one schedule, and the others from another.
    differences: Vec<Difference>,
    /// How scores become probabilities.
    kind: ScoreKind,
    temperature: f64,
    reliability: Reliability,
    /// With a temperature of 1.
    uncalibrated: Reliability,
}

/// `part` of `whole`; none of nothing.
pub(crate) fn fraction(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The standard error of a fraction `p` that was found in `n` images: `sqrt(p (1 - p) / n)`, that of a binomial
/// proportion. It is how far another set of as many images would lie from this one, typically.
pub fn standard_error(p: f64, n: u64) -> f64 {
    (p * (1.0 - p) / n as f64).sqrt()
}

impl Tally {
    /// Nothing seen yet.
    pub fn new(classes: usize) -> Self {
        Self {
            images: 0,
            labelled: 0,
            top1: 0,
            top5: 0,
            compared: 0,
            agreeing: 0,
            classes: vec![ClassTally::default(); classes],
            cosines: Cosines::default(),
            answers: Answers::default(),
            difference: Difference::default(),
            differences: Vec::new(),
            kind: ScoreKind::Softmax,
            temperature: 1.0,
            reliability: Reliability::default(),
            uncalibrated: Reliability::default(),
        }
    }

    /// Scores become probabilities like this; without it they are those of a softmax at a temperature of 1.
    #[must_use]
    pub fn with_confidence(mut self, kind: ScoreKind, temperature: f64) -> Self {
        (self.kind, self.temperature) = (kind, temperature);
        self
    }

    /// Counts one image: its logits, its label if it has one (below the number of classes), and the class
    /// that the reference chose, if there is a reference.
    pub fn count(&mut self, logits: &[f32], label: Option<usize>, reference: Option<usize>) {
        self.images += 1;
        self.answers.push(Answer::new(logits, label));
        if let Some(label) = label {
            let rank = rank(logits, label);
            let first = u64::from(rank == 0);
            self.labelled += 1;
            self.top1 += first;
            self.top5 += u64::from(rank < TOP);
            self.classes[label].images += 1;
            self.classes[label].top1 += first;
            let sure = |temperature| confidence(self.kind, logits, temperature);
            let (own, uncalibrated) = (sure(self.temperature), sure(1.0));
            self.reliability.add(own, rank == 0);
            self.uncalibrated.add(uncalibrated, rank == 0);
        }
        if let Some(reference) = reference {
            self.compared += 1;
            self.agreeing += u64::from(argmax(logits) == reference);
        }
    }

    /// Counts one image that is not classified.
    pub fn count_image(&mut self) {
        self.images += 1;
    }

    /// Compares an image's output with the reference's, logits or embeddings.
    pub fn compare_outputs(&mut self, reference: &[f32], own: &[f32]) {
        let mut difference = Difference::default();
        difference.add(reference, own);
        self.difference += difference;
        self.differences.push(difference);
    }

    /// How far the outputs are from the reference's.
    pub fn difference(&self) -> &Difference {
        &self.difference
    }

    /// The same of each image, in their order; none without a reference.
    pub fn differences(&self) -> &[Difference] {
        &self.differences
    }

    /// Confidence and accuracy of the first class, of the labelled images.
    pub fn reliability(&self) -> &Reliability {
        &self.reliability
    }

    /// The same with a temperature of 1.
    pub fn uncalibrated(&self) -> &Reliability {
        &self.uncalibrated
    }

    /// Adds the cosine of an image's embedding with the reference's.
    pub fn compare(&mut self, cosine: f64) {
        self.cosines.add(cosine);
    }

    /// The cosines of embeddings with the reference's.
    pub fn cosines(&self) -> &Cosines {
        &self.cosines
    }

    /// Every answer, image by image; none of images that were not classified.
    pub fn answers(&self) -> &Answers {
        &self.answers
    }

    /// Images seen.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// Images that had a label.
    pub fn labelled(&self) -> u64 {
        self.labelled
    }

    /// Images that were compared with the reference.
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// Fraction, 0 to 1, of the labelled images whose best class is correct; none without labels.
    pub fn top1(&self) -> Option<f64> {
        fraction(self.top1, self.labelled)
    }

    /// Fraction, 0 to 1, of the labelled images whose best five classes include the correct one.
    pub fn top5(&self) -> Option<f64> {
        fraction(self.top5, self.labelled)
    }

    /// Fraction, 0 to 1, of the compared images on which the reference's best class is the same.
    pub fn agreement(&self) -> Option<f64> {
        fraction(self.agreeing, self.compared)
    }

    /// One per class.
    pub fn classes(&self) -> &[ClassTally] {
        &self.classes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_break_ties_towards_the_lower_class() {
        assert_eq!(argmax(&[1.0, 3.0, 3.0]), 1);
        assert_eq!(rank(&[1.0, 3.0, 3.0], 1), 0);
        assert_eq!(rank(&[1.0, 3.0, 3.0], 2), 1);
        assert_eq!(rank(&[1.0, 3.0, 3.0], 0), 2);
    }

    #[test]
    fn a_standard_error_is_that_of_a_proportion() {
        assert_eq!(standard_error(0.5, 100), 0.05);
        assert_eq!((standard_error(0.0, 9), standard_error(1.0, 9)), (0.0, 0.0));
    }

    #[test]
    fn fractions_are_over_what_was_labelled_or_compared() {
        let mut tally = Tally::new(7);
        assert_eq!((tally.top1(), tally.agreement()), (None, None));
        let logits = [7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0];
        tally.count(&logits, Some(0), Some(0));
        tally.count(&logits, Some(4), None);
        tally.count(&logits, Some(5), Some(1));
        tally.count(&logits, None, None);
        assert_eq!(
            (tally.images(), tally.labelled(), tally.compared()),
            (4, 3, 2)
        );
        assert_eq!(tally.top1(), Some(1.0 / 3.0));
        assert_eq!(tally.top5(), Some(2.0 / 3.0));
        assert_eq!(tally.agreement(), Some(0.5));
        assert_eq!(tally.classes()[5], ClassTally { images: 1, top1: 0 });
    }
}
