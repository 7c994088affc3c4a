//! `--merge auto`: schedules chosen for what they cost.

use super::super::args::TargetName;
use super::super::error::CommandError;
use super::super::progress::Progress;
use super::judged::Judged;
use super::named::{auto_name, too_little};
use crate::evaluate::{Outputs, outputs};
use crate::report::{Table, write_table};
use crate::schedules::{
    Candidate, Cost, Rated, Shape, Unit, again, candidates, passes, search, shares,
};
use mergevit_runtime::limits::MAX_SCHEDULES;
use mergevit_runtime::words::Count;
use mergevit_runtime::{Pack, Ranking, Schedule};
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
        let races = races(cost, wanted, for_cascade)?;
        let at_wanted = races[0].candidates.clone();
        let images = self.choose.len();
        let racing = |(index, race): (usize, &Race)| match index {
            0 => at_wanted.len(),
            _ => again(race.candidates.clone(), &at_wanted, &[]).len(),
        };
        let racing = races.iter().enumerate().map(racing);
        let runs: usize = racing.map(|racing| passes(racing, images)).sum();
        let progress = Progress::new(self.console, "searching", runs + images, 1);
        let done = || progress.step();
        let unmerged = Schedule::constant(0, self.checkpoint.model.depth);
        let truth = self.judge(&[&unmerged], 0..images, &done)?.remove(0);
        let mut found: Vec<Found> = Vec::new();
        for race in races {
            let candidates = match found.first() {
                None => race.candidates,
                Some(first) => again(race.candidates, &at_wanted, &first.ranked),
            };
            let ranked = search(candidates, images, |schedules, range| {
                let of_range = truth.part(range.clone());
                let outputs = self.judge(schedules, range, &done)?;
                let difference = outputs.iter().map(|own| own.difference(&of_range));
                Ok::<_, CommandError>(difference.collect())
            })?;
            let best = ranked[0].candidate.clone();
            found.push(Found {
                schedule: Schedule {
                    name: auto_name(race.share),
                    ..best.schedule
                },
                share: best.share,
                ranked,
                is_wanted: race.is_wanted,
            });
        }
        // The mildest first.
        found.sort_by(|a, b| b.share.total_cmp(&a.share));
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

/// Schedules of one cost.
struct Race {
    /// The cost as a share of no merging.
    share: f64,
    /// See [`Found::is_wanted`].
    is_wanted: bool,
    /// At least one.
    candidates: Vec<Candidate>,
}

/// The race at the wanted cost, then those at other costs, of which what did well in the first is enough.
fn races(cost: &Cost<'_>, wanted: f64, for_cascade: bool) -> Result<Vec<Race>, CommandError> {
    let asked_for = shares(wanted).into_iter().rev().map(|share| (share, true));
    let beyond = 1.0 - CASCADE_PART * (1.0 - wanted);
    let beyond = (for_cascade && beyond > 0.0).then_some((beyond, false));
    let mut races = Vec::new();
    for (share, is_wanted) in asked_for.chain(beyond) {
        let candidates = candidates(cost, share);
        if !candidates.is_empty() {
            races.push(Race {
                share,
                is_wanted,
                candidates,
            });
        } else if is_wanted {
            let model = cost.pack().config();
            let most = Shape::CONSTANT.merge(model.tokens() as f64, model);
            let least = cost.share(&Schedule::new("most", most));
            return Err(too_little(share, least));
        }
    }
    Ok(races)
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
            layers(&found.schedule),
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

/// r layer by layer, and what ranks tokens if that is not their similarity, as `--schedule` takes it: `0,0,8,8`.
fn layers(schedule: &Schedule) -> String {
    let each: Vec<_> = schedule.merge.iter().map(u16::to_string).collect();
    let list = each.join(",");
    match schedule.ranking {
        Ranking::Similarity => list,
        ranking => format!("{list}:{}", ranking.name()),
    }
}
