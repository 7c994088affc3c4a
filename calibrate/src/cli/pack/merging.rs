//! What merging alone costs: measured, stored, said, and warned of.

use super::super::console::warn;
use super::super::error::CommandError;
use super::judged::Judged;
use crate::evaluate::standard_error;
use crate::report::{Table, write_table};
use crate::schedules::{PROMISED_AGREEMENT, PROMISED_SIGNAL_TO_NOISE_DB};
use mergevit_runtime::words::Count;
use mergevit_runtime::{MergingEffect, Schedule};

impl Judged<'_> {
    /// Measures full precision with each schedule that merges against full precision without, on the images that validate,
    /// and stores it in the schedule. Nothing of no images.
    ///
    /// # Errors
    /// [`CommandError`]: the pack cannot be made.
    pub(super) fn measure_merging(&self, schedules: &mut [Schedule]) -> Result<(), CommandError> {
        let set = self.validate;
        let mut merging: Vec<_> = schedules
            .iter_mut()
            .filter(|own| !own.is_unmerged())
            .collect();
        if merging.is_empty() || set.len() == 0 {
            return Ok(());
        }
        let unmerged = Schedule::constant(0, self.checkpoint.model.depth);
        let mut all = vec![&unmerged];
        all.extend(merging.iter().map(|own| &**own));
        let answers = self.full_precision(&all)?;
        for (own, answers_of_own) in merging.iter_mut().zip(&answers[1..]) {
            let difference = answers_of_own.difference(&answers[0]);
            own.merging = Some(MergingEffect {
                dataset: set.name.clone(),
                images: difference.images(),
                agreement: difference.agreement(),
                signal_to_noise_db: difference.signal_to_noise_db(),
            });
        }
        Ok(())
    }
}

/// Whether a schedule loses more than it should.
pub(super) fn breaks_promise(effect: &MergingEffect) -> bool {
    match effect.agreement {
        Some(agreement) => agreement < PROMISED_AGREEMENT,
        None => effect
            .signal_to_noise_db
            .is_some_and(|db| db < PROMISED_SIGNAL_TO_NOISE_DB),
    }
}

/// `98.4 % ± 0.8 % of 256 decisions`, or in dB where there are no decisions.
pub(super) fn kept(effect: &MergingEffect) -> String {
    let images = effect.images;
    match (effect.agreement, effect.signal_to_noise_db) {
        (Some(p), _) => format!(
            "{:.2} % ± {:.2} % of {}",
            100.0 * p,
            100.0 * standard_error(p, images),
            Count(images, "decision")
        ),
        (None, Some(db)) => format!("{db:.1} dB on {}", Count(images, "image")),
        (None, None) => format!("all of {}", Count(images, "image")),
    }
}

/// What merging costs, schedule by schedule; no rows if nothing was measured.
pub(super) fn table(schedules: &[Schedule]) -> Table {
    let row = |schedule: &Schedule| {
        let effect = schedule.merging.as_ref()?;
        let agreement = effect.agreement.map_or_else(
            || "-".into(),
            |p| {
                let error = standard_error(p, effect.images);
                format!("{:.2} ± {:.2}", 100.0 * p, 100.0 * error)
            },
        );
        let noise = effect.signal_to_noise_db;
        let noise = noise.map_or_else(|| "equal".into(), |db| format!("{db:.1}"));
        let images = effect.images.to_string();
        Some(vec![schedule.name.clone(), agreement, noise, images])
    };
    let header = ["merging in FP32", "agreement %", "SNR, dB", "images"];
    Table {
        header: header.map(String::from).into(),
        rows: schedules.iter().filter_map(row).collect(),
    }
}

/// The table as text; nothing if nothing was measured.
pub(super) fn text(schedules: &[Schedule]) -> String {
    let table = table(schedules);
    let mut text = String::new();
    if !table.rows.is_empty() {
        write_table(&mut text, &table);
        text.push('\n');
    }
    text
}

/// Warns of each schedule that loses more than it should; `advice` says what else there is.
pub(super) fn warn_of_losses(schedules: &[Schedule], advice: &str) {
    let losing = schedules.iter().filter_map(|schedule| {
        let effect = schedule.merging.as_ref()?;
        breaks_promise(effect).then(|| format!("{} keeps {}", schedule.name, kept(effect)))
    });
    let losing: Vec<_> = losing.collect();
    if losing.is_empty() {
        return;
    }
    let least = match schedules
        .iter()
        .filter_map(|own| own.merging.as_ref())
        .any(|own| own.agreement.is_some())
    {
        true => format!(
            "{:.2} %, so that accuracy loses 1.2 points at most",
            100.0 * PROMISED_AGREEMENT
        ),
        false => format!("{PROMISED_SIGNAL_TO_NOISE_DB} dB"),
    };
    warn(&format!(
        "warning: merging loses more than it should on such images: {}; expected {least}\n{advice}",
        losing.join(", ")
    ));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(agreement: Option<f64>, db: Option<f64>) -> MergingEffect {
        MergingEffect {
            dataset: "set".into(),
            images: 256,
            agreement,
            signal_to_noise_db: db,
        }
    }

    #[test]
    fn decisions_count_and_without_them_noise() {
        assert!(breaks_promise(&effect(Some(0.987), Some(40.0))));
        assert!(!breaks_promise(&effect(Some(0.988), Some(2.0))));
        assert!(breaks_promise(&effect(None, Some(19.0))));
        assert!(!breaks_promise(&effect(None, Some(21.0))));
        assert!(!breaks_promise(&effect(None, None)));
    }

    #[test]
    fn what_is_kept_is_said_with_its_error() {
        assert_eq!(
            kept(&effect(Some(0.96875), Some(12.0))),
            "96.88 % ± 1.09 % of 256 decisions"
        );
        assert_eq!(kept(&effect(None, Some(12.0))), "12.0 dB on 256 images");
    }

    #[test]
    fn what_was_not_measured_has_no_row() {
        let mut measured = Schedule::new("late", vec![0, 8]);
        measured.merging = Some(effect(Some(1.0), None));
        let schedules = [Schedule::constant(0, 2), measured];
        let table = table(&schedules);
        assert_eq!(table.rows, [["late", "100.00 ± 0.00", "equal", "256"]]);
        assert_eq!(text(&schedules[..1]), "");
    }
}
