//! How far one network's outputs are from another's.

/// The differences of many pairs of outputs: of any number, in constant memory.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Difference {
    images: u64,
    compared: u64,
    agreeing: u64,
    signal: f64,
    noise: f64,
}

impl Difference {
    /// Adds one image's outputs, `own` beside `truth`: logits or embeddings, as the networks give them.
    pub fn add(&mut self, truth: &[f32], own: &[f32]) {
        self.images += 1;
        for (&truth, &own) in truth.iter().zip(own) {
            let (truth, own) = (f64::from(truth), f64::from(own));
            self.signal += truth * truth;
            self.noise += (own - truth).powi(2);
        }
    }

    /// Counts one image of which both named a class.
    pub fn count(&mut self, is_same: bool) {
        self.compared += 1;
        self.agreeing += u64::from(is_same);
    }

    /// Images whose outputs were added.
    pub fn images(&self) -> u64 {
        self.images
    }

    /// Fraction of the counted images with the same class; none of none.
    pub fn agreement(&self) -> Option<f64> {
        (self.compared > 0).then(|| self.agreeing as f64 / self.compared as f64)
    }

    /// `10 log10(sum of squares of the truth / sum of squares of the difference)`, in dB; none where they are equal, or
    /// the truth is 0.
    pub fn signal_to_noise_db(&self) -> Option<f64> {
        let is_finite = self.noise > 0.0 && self.signal > 0.0;
        is_finite.then(|| 10.0 * (self.signal / self.noise).log10())
    }
}

impl std::ops::AddAssign for Difference {
    fn add_assign(&mut self, other: Self) {
        self.images += other.images;
        self.compared += other.compared;
        self.agreeing += other.agreeing;
        self.signal += other.signal;
        self.noise += other.noise;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_relative_to_the_truth() {
        let mut difference = Difference::default();
        assert_eq!(difference.signal_to_noise_db(), None);
        difference.add(&[10.0, 0.0], &[10.0, 0.0]);
        assert_eq!(
            (difference.images(), difference.signal_to_noise_db()),
            (1, None)
        );
        difference.add(&[0.0, 0.0], &[1.0, 0.0]);
        let db = difference.signal_to_noise_db().unwrap();
        assert!((db - 20.0).abs() < 1e-12);
    }

    #[test]
    fn parts_add_up_to_the_whole() {
        let pairs = [([1.0, 2.0], [1.5, 2.0]), ([3.0, 0.0], [3.0, 1.0])];
        let (mut whole, mut sum) = (Difference::default(), Difference::default());
        for (truth, own) in pairs {
            let mut part = Difference::default();
            for difference in [&mut whole, &mut part] {
                difference.add(&truth, &own);
                difference.count(truth == own);
            }
            sum += part;
        }
        assert_eq!(sum, whole);
    }

    #[test]
    fn agreement_is_of_what_was_counted() {
        let mut difference = Difference::default();
        difference.add(&[1.0], &[2.0]);
        assert_eq!(difference.agreement(), None);
        for is_same in [true, true, false, true] {
            difference.count(is_same);
        }
        assert_eq!(difference.agreement(), Some(0.75));
    }
}
