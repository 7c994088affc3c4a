//! Confidence against accuracy.

use serde::Serialize;

/// Bins of equal width between a confidence of 0 and 1.
pub const BINS: usize = 15;

/// The answers whose confidence lies in one bin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bin {
    /// How many there are.
    pub images: u64,
    /// Those that are right.
    pub right: u64,
    /// The sum of their confidences, each 0 to 1.
    pub confidence: f64,
}

/// Confidence and accuracy of many answers: of any number, in constant memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reliability {
    bins: [Bin; BINS],
}

impl Reliability {
    /// Counts one answer: its confidence, 0 to 1, and whether it is right.
    pub fn add(&mut self, confidence: f64, is_right: bool) {
        // A confidence of 1 belongs to the last bin; no number, to the first.
        let bin = ((confidence * BINS as f64) as usize).min(BINS - 1);
        let bin = &mut self.bins[bin];
        bin.images += 1;
        bin.right += u64::from(is_right);
        bin.confidence += confidence;
    }

    /// Counts all answers that `other` has counted.
    pub fn add_all(&mut self, other: &Self) {
        for (bin, other) in self.bins.iter_mut().zip(&other.bins) {
            bin.images += other.images;
            bin.right += other.right;
            bin.confidence += other.confidence;
        }
    }

    /// From the least confidence to the largest.
    pub fn bins(&self) -> &[Bin; BINS] {
        &self.bins
    }

    /// Answers counted.
    pub fn images(&self) -> u64 {
        self.bins.iter().map(|bin| bin.images).sum()
    }

    /// The expected calibration error, a fraction: the distance of mean confidence and accuracy of each bin, weighted by
    /// its answers (Naeini et al., Obtaining Well Calibrated Probabilities Using Bayesian Binning, AAAI 2015). None of no
    /// answers.
    pub fn expected_error(&self) -> Option<f64> {
        let images = self.images();
        let distance = |bin: &Bin| (bin.confidence - bin.right as f64).abs();
        let sum: f64 = self.bins.iter().map(distance).sum();
        (images > 0).then(|| sum / images as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_as_sure_as_it_is_right_has_no_error() {
        let mut exact = Reliability::default();
        assert_eq!((exact.images(), exact.expected_error()), (0, None));
        (0..4).for_each(|i| exact.add(0.75, i != 0));
        (0..2).for_each(|i| exact.add(0.5, i != 0));
        assert_eq!((exact.images(), exact.expected_error()), (6, Some(0.0)));
    }

    #[test]
    fn bins_do_not_make_up_for_each_other() {
        // Sure and wrong in one bin, unsure and right in another.
        let mut both = Reliability::default();
        both.add(1.0, false);
        both.add(0.0, true);
        assert_eq!(both.expected_error(), Some(1.0));
        // The same within one bin cancels out.
        let mut one = Reliability::default();
        one.add(0.5, true);
        one.add(0.5, false);
        assert_eq!(one.expected_error(), Some(0.0));
    }

    #[test]
    fn every_confidence_has_a_bin() {
        let mut all = Reliability::default();
        for confidence in [0.0, 0.5, 0.999, 1.0] {
            all.add(confidence, true);
        }
        let counts = all.bins().map(|bin| bin.images);
        assert_eq!(
            (counts[0], counts[BINS / 2], counts[BINS - 1]),
            (1, 1, 2),
            "{counts:?}"
        );
    }
}
