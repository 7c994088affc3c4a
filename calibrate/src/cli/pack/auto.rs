//! `--merge auto`: schedules chosen for what they cost.

use super::super::args::TargetName;
use super::super::error::CommandError;
use super::super::progress::Progress;
use super::judged::Judged;
use super::named::{auto_name, too_little};
use crate::evaluate::{Outputs, outputs};
use crate::report::{Table, write_table};
use crate::schedules::{Candidate, Cost, Rated, Shape, Unit, candidates, passes, search, shares};
use mergevit_runtime::limits::MAX_SCHEDULES;
use mergevit_runtime::words::Count;
use mergevit_runtime::{Pack, Schedule};
use std::ops::Range;

/// How much cheaper than the cheapest schedule asked for that one is which only a cascade may use.
const CASCADE_PART: f64 = 1.25;

/// The best schedule at one cost.
pub(super) struct Found {
    pub(super) schedule: Schedule,
    /// Its cost as a share of no merging.
    pub(super) share: f64,
    /// All that raced, the best first.
    pub(super) ranked: Vec<Rated>,
    /// Whether it was asked for; else it is in the pack only if a cascade needs it.
    pub(super) is_wanted: bool,
}

impl Judged<'_> {
    /// What schedules are counted in.
    ///
    /// # Errors
    /// [`CommandError`]: nothing here runs the pack.
    pub(super) fn unit(&self, target: Option<TargetName>) -> Result<Unit, CommandError> {
        Ok(match target {
            None => Unit::Multiplications,
            Some(TargetName::ThisMachine) => Unit::Measured(self.latency_model()?),
            Some(TargetName::Module(module)) => Unit::Estimated(module),
        })
    }

    /// The best schedules at some costs up to `wanted`, a share of no merging's; on the images to choose with.
    ///
    /// INT8 is the judge: its answers with merging against its answers without. It is ten times as fast as full precision,
    /// and what it adds is in both.
    ///
    /// # Errors
    /// [`CommandError::Usage`]: no schedule costs so little.
    pub(super) fn search(
        &self,
        cost: &Cost<'_>,
        wanted: f64,
        for_cascade: bool,
    ) -> Result<Vec<Found>, CommandError> {
        let beyond = 1.0 - CASCADE_PART * (1.0 - wanted);
        let beyond = (for_cascade && beyond > 0.0).then_some((beyond, false));
        let costs = shares(wanted).map(|share| (share, true));
        let races = costs.into_iter().chain(beyond);
        let races: Vec<_> = races
            .map(|(share, is_wanted)| (share, is_wanted, candidates(cost, share)))
            .collect();
        if races
            .iter()
            .any(|(_, is_wanted, all)| *is_wanted && all.is_empty())
        {
            let model = cost.pack().config();
            let most = Shape::CONSTANT.merge(model.tokens() as f64, model);
            let least = cost.share(&Schedule::new("most", most));
            return Err(too_little(wanted, least));
        }
        let images = self.choose.len();
        let runs = races.iter().map(|(_, _, all)| passes(all.len(), images));
        let progress = Progress::new(self.console, "searching", runs.sum::<usize>() + images, 1);
        let done = || progress.step();
        let depth = self.checkpoint.model.depth;
        let unmerged = Schedule::constant(0, depth);
        let truth = self.judge(&[&unmerged], 0..images, &done)?.remove(0);
        let mut found: Vec<Found> = Vec::new();
        for (share, is_wanted, all) in races {
            let ranked = search(all, images, |schedules, range| {
                let of_range = truth.part(range.clone());
                let outputs = self.judge(schedules, range, &done)?;
                let difference = outputs.iter().map(|own| own.difference(&of_range));
                Ok::<_, CommandError>(difference.collect())
            })?;
            // Only what nobody asked for can lack candidates.
            let Some(Candidate {
                schedule,
                share: own,
                ..
            }) = ranked.first().map(|best| &best.candidate)
            else {
                continue;
            };
            found.push(Found {
                schedule: Schedule {
                    name: auto_name(share),
                    ..schedule.clone()
                },
                share: *own,
                ranked,
                is_wanted,
            });
        }
        Ok(found)
    }

    /// INT8's outputs for a range of the images to choose with.
    fn judge(
        &self,
        schedules: &[&Schedule],
        images: Range<usize>,
        done: &dyn Fn(),
    ) -> Result<Vec<Outputs>, CommandError> {
        let image = self.checkpoint.model.image_bytes();
        let pixels = &self.choose.pixels[images.start * image..images.end * image];
        let mut all = Vec::with_capacity(schedules.len());
        for some in schedules.chunks(MAX_SCHEDULES) {
            let own = some.iter().map(|&own| own.clone()).collect();
            let mut engine = self.engine(own)?;
            for schedule in some {
                all.push(outputs::quantized(
                    &mut engine,
                    &schedule.name,
                    pixels,
                    done,
                )?);
            }
        }
        Ok(all)
    }
}

/// What was found, as text.
pub(super) fn text(found: &[Found], pack: &Pack, images: usize) -> String {
    let row = |found: &Found| {
        let best = &found.ranked[0];
        let difference = &best.difference;
        let noise = difference.signal_to_noise_db();
        let agreement = difference.agreement();
        vec![
            found.schedule.name.clone(),
            format!("{:.1}", 100.0 * found.share),
            layers(&found.schedule.merge),
            noise.map_or_else(|| "equal".into(), |db| format!("{db:.1}")),
            agreement.map_or_else(|| "-".into(), |p| format!("{:.1}", 100.0 * p)),
            found.ranked.len().to_string(),
        ]
    };
    let table = Table {
        header: [
            "schedule",
            "cost %",
            "r by layer",
            "SNR, dB",
            "agreement %",
            "of",
        ]
        .map(String::from)
        .into(),
        rows: found.iter().map(row).collect(),
    };
    let mut text = format!(
        "schedules of {}, chosen by INT8's own answers without merging to {}:\n",
        pack.config().architecture,
        Count(images as u64, "image")
    );
    write_table(&mut text, &table);
    text.push('\n');
    text
}

/// r layer by layer: `0,0,8,8`.
fn layers(merge: &[u16]) -> String {
    let each: Vec<_> = merge.iter().map(u16::to_string).collect();
    each.join(",")
}
