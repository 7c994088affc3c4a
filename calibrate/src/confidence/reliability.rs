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

    /// The expected calibration error that as many answers of the same confidences would show by chance alone if each
    /// confidence were exactly the probability of being right. What is below is not told from 0 by so few images.
    pub fn error_by_chance(&self) -> Option<f64> {
        let images = self.images();
        let distance = |bin: &Bin| match bin.images {
            0 => 0.0,
            n => mean_deviation(n, bin.confidence / n as f64),
        };
        let sum: f64 = self.bins.iter().map(distance).sum();
        (images > 0).then(|| sum / images as f64)
    }
}

/// How far a binomial number, of `n` trials with probability `p`, lies from its mean on average: De Moivre's
/// `2 m C(n, m) p^m (1 - p)^(n - m + 1)` with `m = floor(n p) + 1` (Diaconis & Zabell, Closed Form Summation for Classical
/// Distributions, Statistical Science 6, 1991).
fn mean_deviation(n: u64, p: f64) -> f64 {
    let m = (n as f64 * p) as u64 + 1;
    if !(p > 0.0 && p < 1.0) || m > n {
        return 0.0;
    }
    let choose = |k: u64| ((n - m + k) as f64 / k as f64).ln();
    let ln_choose: f64 = (1..=m).map(choose).sum();
    let ln_power = m as f64 * p.ln() + (n - m + 1) as f64 * (-p).ln_1p();
    2.0 * m as f64 * (ln_choose + ln_power).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chance_moves_the_share_that_is_right() {
        // One answer of 3/4: right, 1/4 away, three times of four; wrong, 3/4 away, else.
        assert!((mean_deviation(1, 0.75) - 0.375).abs() < 1e-12);
        let by_sum = |n: u64, p: f64| -> f64 {
            let choose = |k: u64| (1..=k).fold(1.0, |all, i| all * (n - k + i) as f64 / i as f64);
            let of = |k: u64| choose(k) * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32);
            let distance = |k: u64| of(k) * (k as f64 - n as f64 * p).abs();
            (0..=n).map(distance).sum()
        };
        for (n, p) in [
            (1, 0.5),
            (7, 0.3),
            (40, 0.925),
            (40, 0.99),
            (100, 0.01),
            (60, 0.5),
        ] {
            let (found, expected) = (mean_deviation(n, p), by_sum(n, p));
            assert!(
                (found - expected).abs() < 1e-9 * expected,
                "{n} {p}: {found}"
            );
        }
        assert_eq!((mean_deviation(9, 0.0), mean_deviation(9, 1.0)), (0.0, 0.0));
    }

    #[test]
    fn chance_counts_for_less_with_more_images() {
        let of = |images: usize| {
            let mut own = Reliability::default();
            (0..images).for_each(|image| own.add(0.8, image % 5 != 0));
            own.error_by_chance().unwrap()
        };
        assert!((of(400) / of(100) - 0.5).abs() < 0.01);
        assert_eq!(Reliability::default().error_by_chance(), None);
        // All sure: nothing is left to chance.
        let mut sure = Reliability::default();
        sure.add(1.0, true);
        assert_eq!(sure.error_by_chance(), Some(0.0));
    }

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
