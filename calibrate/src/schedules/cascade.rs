//! The threshold of a cascade: below which margin a frame runs again.

use crate::evaluate::Outputs;
use mergevit_runtime::margin;
use thiserror::Error;

/// Too few images to promise so high an agreement.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
#[error(
    "an agreement of {:.1} % takes {expected} images to choose the threshold on, and there are {found}",
    100.0 * self.agreement
)]
pub struct TooFew {
    /// The agreement, a fraction.
    pub agreement: f64,
    /// Images at hand.
    pub found: usize,
    /// Images that it takes.
    pub expected: usize,
}

/// How a cascade did on some images.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// Fraction of the images whose class is that of the second schedule alone.
    pub agreement: f64,
    /// Fraction of them that ran again.
    pub second_runs: f64,
}

/// Whether the first schedule's answer to `image` stands.
fn is_sure(first: &Outputs, image: usize, threshold: f32) -> bool {
    // False of no number.
    margin(first.logits(image)) >= threshold
}

/// The smallest threshold with which the answers to *other* images can be expected to agree with those of `then` to at least
/// `agreement`, a fraction below 1; `first` and `then` are of the same images.
///
/// As many of the N images may disagree as the fraction 1 - `agreement` of N + 1 allows, less one: the image still to come
/// is counted as one that disagrees. For images drawn like these, the expected agreement is then at least what was asked
/// for, whatever the model (Angelopoulos et al., Conformal Risk Control, arXiv 2208.02814, theorem 1).
///
/// # Errors
/// [`TooFew`]: not even without a disagreement would it be certain.
pub fn threshold(first: &Outputs, then: &Outputs, agreement: f64) -> Result<f32, TooFew> {
    // Differences of decimal fractions are a little off.
    const SLACK: f64 = 1e-9;
    let (images, risk) = (first.images(), 1.0 - agreement);
    let bad = (risk * (images + 1) as f64 + SLACK).floor();
    if bad < 1.0 {
        return Err(TooFew {
            agreement,
            found: images,
            expected: (1.0 / risk - SLACK).ceil() as usize - 1,
        });
    }
    let differs = |&image: &usize| first.decision(image) != then.decision(image);
    let margins = (0..images).filter(differs);
    let mut margins: Vec<f32> = margins.map(|image| margin(first.logits(image))).collect();
    // What is no number runs again in any case.
    margins.retain(|margin| !margin.is_nan());
    margins.sort_by(|a, b| b.total_cmp(a));
    let largest_to_catch = margins.get(bad as usize - 1);
    let above = largest_to_catch.map_or(0.0, |margin| margin.next_up());
    Ok(above.clamp(f32::MIN_POSITIVE, f32::MAX))
}

/// How a cascade with this threshold does on other images, of which `first` and `then` are the answers.
pub fn outcome(first: &Outputs, then: &Outputs, threshold: f32) -> Outcome {
    let (mut same, mut again) = (0, 0);
    for image in 0..first.images() {
        let is_sure = is_sure(first, image, threshold);
        again += u64::from(!is_sure);
        let is_same = !is_sure || first.decision(image) == then.decision(image);
        same += u64::from(is_same);
    }
    let images = first.images() as f64;
    Outcome {
        agreement: same as f64 / images,
        second_runs: again as f64 / images,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_kernels::testing::Random;

    /// Outputs of which image `i` has the margin `margins[i]`, for class 0 or, where it is below 0, class 1.
    fn answers(margins: &[f32]) -> Outputs {
        Outputs::of_logits(margins.iter().map(|&margin| vec![margin, 0.0]))
    }

    #[test]
    fn a_threshold_is_just_above_what_must_run_again() {
        // Wrong where the margin is 1, 2 and 3; right where it is 0.5 and 4, many times.
        let own: Vec<f32> = (0..97)
            .map(|i| if i % 2 == 0 { 0.5 } else { 4.0 })
            .collect();
        let first = answers(&[&own[..], &[1.0, 2.0, 3.0]].concat());
        let then = answers(&[&own[..], &[-1.0; 3]].concat());
        // Of 101 may disagree: 3, 2 and 1, of which the unseen image is one.
        for (agreement, expected) in [(0.97, 1.0f32), (0.98, 2.0), (0.99, 3.0)] {
            let found = threshold(&first, &then, agreement).unwrap();
            assert_eq!(found, expected.next_up(), "{agreement}");
        }
        assert_eq!(threshold(&first, &then, 0.96).unwrap(), f32::MIN_POSITIVE);
        let outcome = outcome(&first, &then, 2.0f32.next_up());
        assert_eq!((outcome.agreement, outcome.second_runs), (0.99, 0.51));
        let few = threshold(&first, &then, 0.995).unwrap_err();
        assert_eq!((few.found, few.expected), (100, 199));
        assert_eq!(
            few.to_string(),
            "an agreement of 99.5 % takes 199 images to choose the threshold on, and there are 100"
        );
        let enough = answers(&[1.0; 199]);
        assert!(threshold(&enough, &enough, 0.995).is_ok());
    }

    #[test]
    fn what_is_no_number_runs_again() {
        let first = answers(&[f32::NAN, f32::NAN, 1.0]);
        let then = answers(&[-1.0, 1.0, 1.0]);
        let found = outcome(&first, &then, f32::MIN_POSITIVE);
        assert_eq!((found.agreement, found.second_runs), (1.0, 2.0 / 3.0));
    }

    /// On fresh images the agreement is what was asked for, on the mean of many draws.
    #[test]
    fn the_promise_is_kept_on_other_images() {
        let mut random = Random(11);
        let mut draw = |images: usize| {
            let (mut first, mut then) = (Vec::new(), Vec::new());
            for _ in 0..images {
                let truth = 4.0 * random.unit();
                then.push(truth);
                first.push(truth + 0.8 * random.unit());
            }
            (answers(&first), answers(&then))
        };
        for wanted in [0.9, 0.98] {
            let (mut kept, mut again) = (0.0, 0.0);
            const DRAWS: u32 = 60;
            for _ in 0..DRAWS {
                let (first, then) = draw(200);
                let threshold = threshold(&first, &then, wanted).unwrap();
                let (first, then) = draw(1000);
                let own = outcome(&first, &then, threshold);
                kept += own.agreement / f64::from(DRAWS);
                again += own.second_runs / f64::from(DRAWS);
            }
            assert!(kept >= wanted - 0.001, "{wanted}: {kept}");
            assert!(again < 0.3, "{wanted}: {again}");
        }
    }
}
