//! The cascades of a pack.

use super::judged::{Answered, Judged};
use super::named::cascade_name;
use crate::evaluate::standard_error;
use crate::report::{Table, write_table};
use crate::schedules::Cost;
use crate::schedules::cascade::{Outcome, TooFew, outcome, threshold};
use mergevit_runtime::{Cascade, Schedule};

/// A cascade and its average cost.
pub(super) struct Chosen {
    pub(super) cascade: Cascade,
    /// Average cost of one image, on the images that validate, as a share of that without merging.
    pub(super) share: f64,
}

/// Why there is no cascade for an agreement.
#[derive(Debug)]
pub(super) enum NoCascade {
    TooFew(TooFew),
    /// The cheapest costs this share of no merging.
    NoGain(f64),
}

impl Judged<'_> {
    /// For each of `agreements`, fractions, the cascade of one of `schedules` and the first that does not merge that costs
    /// least on the mean. `answered` is one a schedule.
    ///
    /// Threshold and first schedule are chosen on the images to choose with, what the cascade says of itself is measured on
    /// those that validate.
    pub(super) fn cascades(
        &self,
        schedules: &[Schedule],
        answered: &[Answered],
        cost: &Cost<'_>,
        agreements: &[f64],
    ) -> Vec<(f64, Result<Chosen, NoCascade>)> {
        let Some(then) = schedules.iter().position(Schedule::is_unmerged) else {
            return Vec::new();
        };
        let each = agreements.iter().map(|&agreement| {
            let name = cascade_name(agreement, agreements.len());
            let chosen = self.cascade(schedules, answered, cost, then, (agreement, name));
            (agreement, chosen)
        });
        each.collect()
    }

    fn cascade(
        &self,
        schedules: &[Schedule],
        answered: &[Answered],
        cost: &Cost<'_>,
        then: usize,
        (agreement, name): (f64, String),
    ) -> Result<Chosen, NoCascade> {
        // What a first schedule and second runs cost together.
        let share = |first: &Schedule, own: &Outcome| {
            cost.share(first) + own.second_runs * cost.share(&schedules[then])
        };
        let mut best: Option<(f64, usize, f32)> = None;
        for (index, first) in schedules.iter().enumerate() {
            if first.is_unmerged() {
                continue;
            }
            let (of_first, of_then) = (&answered[index].choose, &answered[then].choose);
            let threshold = threshold(of_first, of_then, agreement).map_err(NoCascade::TooFew)?;
            let share = share(first, &outcome(of_first, of_then, threshold));
            if best.is_none_or(|(least, _, _)| share < least) {
                best = Some((share, index, threshold));
            }
        }
        let (least, index, threshold) = best.ok_or(NoCascade::NoGain(1.0))?;
        if least >= 1.0 {
            return Err(NoCascade::NoGain(least));
        }
        let (of_first, of_then) = (&answered[index].validate, &answered[then].validate);
        let own = outcome(of_first, of_then, threshold);
        Ok(Chosen {
            share: share(&schedules[index], &own),
            cascade: Cascade {
                name,
                first: schedules[index].name.clone(),
                then: schedules[then].name.clone(),
                threshold,
                wanted_agreement: agreement,
                dataset: self.validate.name.clone(),
                images: of_first.images() as u64,
                agreement: own.agreement,
                second_runs: own.second_runs,
            },
        })
    }
}

/// What the cascades do, as text; nothing if there are none.
pub(super) fn text(cascades: &[(f64, Result<Chosen, NoCascade>)]) -> String {
    let made = cascades.iter().filter_map(|(_, made)| made.as_ref().ok());
    let rows: Vec<_> = made.map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    let header = [
        "cascade",
        "first",
        "then",
        "threshold",
        "agreement %",
        "second runs %",
        "cost %",
        "images",
    ];
    let mut text = String::new();
    let header = header.map(String::from).into();
    write_table(&mut text, &Table { header, rows });
    text.push('\n');
    text
}

fn row(chosen: &Chosen) -> Vec<String> {
    let own = &chosen.cascade;
    let error = standard_error(own.agreement, own.images);
    vec![
        own.name.clone(),
        own.first.clone(),
        own.then.clone(),
        format!("{:.4}", own.threshold),
        format!("{:.2} ± {:.2}", 100.0 * own.agreement, 100.0 * error),
        format!("{:.1}", 100.0 * own.second_runs),
        format!("{:.1}", 100.0 * chosen.share),
        own.images.to_string(),
    ]
}

/// Why there is no cascade for an agreement, as a warning.
pub(super) fn refusal(agreement: f64, reason: &NoCascade) -> String {
    match reason {
        NoCascade::TooFew(few) => format!(
            "warning: no cascade: {few}\nhint: give more images, and more of them to --choose-limit, or ask for less with --agreement\n"
        ),
        NoCascade::NoGain(share) => format!(
            "warning: no cascade: for an agreement of {} % the cheapest costs {:.0} % of no merging\n",
            100.0 * agreement,
            100.0 * share
        ),
    }
}
