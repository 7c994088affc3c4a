//! What a cascade would have answered, from what its two schedules did.

use super::answers::Answers;
use super::difference::Difference;
use super::tally::{Tally, fraction};
use mergevit_runtime::Cascade;

/// Answers of a cascade over a data set, counted.
#[derive(Clone, Debug, PartialEq)]
pub struct CascadeTally {
    /// The cascade.
    pub cascade: Cascade,
    /// Images seen.
    pub images: u64,
    /// Those that ran again.
    pub second_runs: u64,
    /// Those with the class of the second schedule.
    pub agreeing_then: u64,
    /// Those with a label.
    pub labelled: u64,
    /// Those of them that are classified correctly.
    pub top1: u64,
    /// Those that were compared with the reference.
    pub compared: u64,
    /// Those of them with the reference's class.
    pub agreeing: u64,
    /// How far the outputs of the compared images are from the reference's.
    pub difference: Difference,
}

impl CascadeTally {
    /// Counts what `cascade` answers: `first` and `then` are what its schedules did, `reference` the answers of full
    /// precision, if there are any, all of the same images. A cascade gives the same bits as its schedules by themselves, so
    /// nothing runs for it.
    pub(super) fn new(
        cascade: &Cascade,
        first: &Tally,
        then: &Tally,
        reference: Option<&Answers>,
    ) -> Self {
        let mut tally = Self {
            cascade: cascade.clone(),
            images: 0,
            second_runs: 0,
            agreeing_then: 0,
            labelled: 0,
            top1: 0,
            compared: 0,
            agreeing: 0,
            difference: Difference::default(),
        };
        let reference = reference.map_or(&[][..], Answers::all);
        let pairs = first.answers().all().iter().zip(then.answers().all());
        for (image, (of_first, of_then)) in pairs.enumerate() {
            // What is no number runs again.
            let is_sure = of_first.margin >= cascade.threshold;
            let (answer, by) = match is_sure {
                true => (of_first, first),
                false => (of_then, then),
            };
            tally.images += 1;
            tally.second_runs += u64::from(!is_sure);
            tally.agreeing_then += u64::from(answer.class == of_then.class);
            tally.labelled += u64::from(answer.label.is_some());
            tally.top1 += u64::from(answer.label == Some(answer.class));
            if let Some(reference) = reference.get(image) {
                tally.compared += 1;
                tally.agreeing += u64::from(answer.class == reference.class);
            }
            if let Some(&difference) = by.differences().get(image) {
                tally.difference += difference;
            }
        }
        tally
    }

    /// Fraction of the images that ran again; none of none.
    pub fn second_run_rate(&self) -> Option<f64> {
        fraction(self.second_runs, self.images)
    }

    /// Fraction of the images with the class of the second schedule.
    pub fn agreement_then(&self) -> Option<f64> {
        fraction(self.agreeing_then, self.images)
    }

    /// Fraction of the labelled images that are classified correctly.
    pub fn accuracy(&self) -> Option<f64> {
        fraction(self.top1, self.labelled)
    }

    /// Fraction of the compared images with the reference's class.
    pub fn agreement(&self) -> Option<f64> {
        fraction(self.agreeing, self.compared)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers of two scores and a label; full precision's scores are 3 and 0.
    fn tally(of: &[(f32, f32, usize)], is_compared: bool) -> Tally {
        let mut tally = Tally::new(2);
        for &(a, b, label) in of {
            tally.count(&[a, b], Some(label), None);
            if is_compared {
                tally.compare_outputs(&[3.0, 0.0], &[a, b]);
            }
        }
        tally
    }

    #[test]
    fn unsure_images_have_the_second_answer() {
        let cascade = Cascade {
            name: "cascade".into(),
            first: "r8".into(),
            then: "r0".into(),
            threshold: 1.0,
            wanted_agreement: 0.99,
            dataset: "set".into(),
            images: 1,
            agreement: 1.0,
            second_runs: 0.0,
        };
        // Sure and right, sure and wrong, at the threshold, unsure and repaired.
        let of_first = [(5.0, 0.0, 0), (5.0, 0.0, 1), (1.0, 0.0, 0), (0.9, 0.0, 1)];
        let of_then = [(5.0, 0.0, 0), (0.0, 5.0, 1), (0.0, 1.0, 0), (0.0, 5.0, 1)];
        let (first, then) = (tally(&of_first, true), tally(&of_then, true));
        let tally = CascadeTally::new(&cascade, &first, &then, Some(then.answers()));
        assert_eq!((tally.images, tally.second_runs), (4, 1));
        assert_eq!(tally.second_run_rate(), Some(0.25));
        assert_eq!(tally.agreement_then(), Some(0.5));
        assert_eq!(tally.accuracy(), Some(0.75));
        assert_eq!(tally.agreement(), Some(0.5));
        // Three images by the first, at 4 + 4 + 4, and the last by the second, at 9 + 25; 9 of signal each.
        let db = 10.0 * (36.0 / (12.0 + 34.0f64)).log10();
        assert!((tally.difference.signal_to_noise_db().unwrap() - db).abs() < 1e-12);
        let [first, then] = [of_first, of_then].map(|of| self::tally(&of, false));
        let alone = CascadeTally::new(&cascade, &first, &then, None);
        assert_eq!(alone.difference.signal_to_noise_db(), None);
        assert_eq!((alone.agreement(), alone.accuracy()), (None, Some(0.75)));
    }
}
