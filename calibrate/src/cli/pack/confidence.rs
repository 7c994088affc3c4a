//! A temperature for each schedule.

use super::judged::{Answered, Judged};
use super::sets::HeldOut;
use crate::confidence::{FitError, Reliability, Sample, confidence, fit};
use crate::evaluate::Outputs;
use mergevit_runtime::{Confidence, Schedule, ScoreKind};

impl Judged<'_> {
    /// Fits a temperature for each schedule on the images to choose with, and measures what it does on those that
    /// validate. `answered` is one a schedule.
    ///
    /// # Errors
    /// [`FitError`]: there are too few labels, or they are not of the model's classes, or not of all of them.
    pub(super) fn fit_confidence(
        &self,
        schedules: &mut [Schedule],
        answered: &[Answered],
    ) -> Result<(), FitError> {
        let kind = self.checkpoint.model.score_kind;
        let classes = self.checkpoint.model.scores();
        for (schedule, own) in schedules.iter_mut().zip(answered) {
            let temperature = fit(kind, &samples(&own.choose, self.choose))?;
            // Of the whole set: if there are many classes, the few images held out need not show all.
            if self.present_classes < classes {
                return Err(FitError::Absent {
                    present: self.present_classes,
                    classes,
                });
            }
            let error =
                |temperature| expected_error(kind, &own.validate, self.validate, temperature);
            let (Some((ece_before, images)), Some((ece, _))) = (error(1.0), error(temperature))
            else {
                return Err(FitError::Few { found: 0 });
            };
            schedule.confidence = Some(Confidence {
                temperature: temperature as f32,
                dataset: self.choose.name.clone(),
                images,
                ece_before,
                ece,
            });
        }
        Ok(())
    }
}

/// The labelled images.
fn samples<'a>(answers: &'a Outputs, set: &'a HeldOut) -> Vec<Sample<'a>> {
    let images = set.classes.iter().enumerate();
    let labelled = images.filter(|(_, classes)| !classes.is_empty());
    labelled
        .map(|(image, classes)| Sample {
            scores: answers.logits(image),
            classes,
        })
        .collect()
}

/// The expected calibration error, and of how many images; none without labels.
fn expected_error(
    kind: ScoreKind,
    answers: &Outputs,
    set: &HeldOut,
    temperature: f64,
) -> Option<(f64, u64)> {
    let mut reliability = Reliability::default();
    for (image, classes) in set.classes.iter().enumerate() {
        if let (Some(decision), false) = (answers.decision(image), classes.is_empty()) {
            let own = confidence(kind, answers.logits(image), temperature);
            reliability.add(own, classes.contains(&decision));
        }
    }
    Some((reliability.expected_error()?, reliability.images()))
}
