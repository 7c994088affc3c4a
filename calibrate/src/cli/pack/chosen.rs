//! What a pack's held-out images decide: its schedules, its cascades, and what it says of them.

use super::super::args::TargetName;
use super::super::console::warn;
use super::super::error::CommandError;
use super::auto;
use super::cascades::{self, Chosen, NoCascade};
use super::front::Front;
use super::judged::Judged;
use super::merging;
use super::named::{ScheduleArgs, auto_name};
use crate::schedules::{Cost, Unit};
use mergevit_runtime::{Cascade, Schedule};

/// What became of the schedules.
pub(super) struct Schedules {
    pub(super) schedules: Vec<Schedule>,
    pub(super) cascades: Vec<Cascade>,
    /// What else was searched.
    pub(super) front: Front,
}

impl Judged<'_> {
    /// Searches what is to be searched, makes the cascades that are asked for, and measures all of it. `given` are the
    /// schedules whose r is known.
    ///
    /// # Errors
    /// [`CommandError`]: no schedule costs as little as it should, or nothing here runs the pack.
    pub(super) fn choose(
        &self,
        args: &ScheduleArgs,
        given: Vec<Schedule>,
    ) -> Result<Schedules, CommandError> {
        let model = &self.checkpoint.model;
        let agreements = args.agreements(model);
        let pack = self.pack(vec![Schedule::constant(0, model.depth)])?;
        let unit = match args.is_auto() {
            true => self.unit(args.target)?,
            false => Unit::Multiplications,
        };
        let cost = Cost::new(&pack, unit);
        let mut schedules = given;
        let (mut spare, mut front) = (None, Front::default());
        if args.is_auto() {
            let found = self.search(&cost, args.wanted_share(), !agreements.is_empty())?;
            self.console
                .say(&auto::text(&found, &pack, self.choose.len()));
            front = self.front(&cost, &found, args.target.map(TargetName::name));
            for found in found {
                if !found.is_wanted {
                    spare = Some(found.schedule.name.clone());
                }
                schedules.push(found.schedule);
            }
        }
        // Fitted on some labels, measured on others.
        let is_labelled = self.choose.is_labelled() && self.validate.is_labelled();
        let mut answered = match is_labelled || !agreements.is_empty() {
            true => self.answers(&schedules)?,
            false => Vec::new(),
        };
        let cascades = self.cascades(&schedules, &answered, &cost, &agreements);
        if let Some(unused) = spare.and_then(|name| unused(&name, &schedules, &cascades)) {
            schedules.remove(unused);
            answered.remove(unused);
        }
        self.measure_merging(&mut schedules)?;
        self.console.say(&merging::text(&schedules));
        self.console.say(&cascades::text(&cascades));
        let advice = match args.is_auto() {
            true => advice_of_search(args.wanted_share(), &schedules, &cascades),
            false => "hint: --merge auto searches schedules that lose less on such images; --agreement 99 adds a \
                      cascade, which runs frames again where merging leaves it unsure\n"
                .into(),
        };
        merging::warn_of_losses(&schedules, &advice);
        for (agreement, reason) in cascades
            .iter()
            .filter_map(|(own, made)| Some((own, made.as_ref().err()?)))
        {
            warn(&cascades::refusal(*agreement, reason));
        }
        if is_labelled && let Err(reason) = self.fit_confidence(&mut schedules, &answered) {
            warn(&format!("warning: no temperature is fitted: {reason}\n"));
        }
        let made = cascades.into_iter().filter_map(|(_, made)| made.ok());
        Ok(Schedules {
            cascades: made.map(|chosen| chosen.cascade).collect(),
            schedules,
            front,
        })
    }
}

/// The place of the schedule of this name, unless a cascade uses it.
fn unused(
    name: &str,
    schedules: &[Schedule],
    cascades: &[(f64, Result<Chosen, NoCascade>)],
) -> Option<usize> {
    let mut made = cascades.iter().filter_map(|(_, made)| made.as_ref().ok());
    let is_used = made.any(|chosen| chosen.cascade.first == name);
    let place = schedules.iter().position(|own| own.name == name);
    place.filter(|_| !is_used)
}

/// What there is to do where a schedule does not keep its promise: to take the one searched at the cost `wanted`, a share of
/// no merging's, if that does, or a cascade.
fn advice_of_search(
    wanted: f64,
    schedules: &[Schedule],
    cascades: &[(f64, Result<Chosen, NoCascade>)],
) -> String {
    let name = auto_name(wanted);
    let wanted = 100.0 * wanted;
    let searched = schedules.iter().find(|own| own.name == name);
    if let Some(effect) = searched.and_then(|own| own.merging.as_ref())
        && !merging::breaks_promise(effect)
    {
        let kept = merging::kept(effect);
        return format!("hint: --schedule {name} keeps {kept}, at {wanted:.0} % of the cost\n");
    }
    let cheapest = cascades.iter().filter_map(|(_, made)| made.as_ref().ok());
    match cheapest.min_by(|a, b| a.share.total_cmp(&b.share)) {
        Some(Chosen { cascade, share }) => format!(
            "hint: no schedule keeps enough at {wanted:.0} % of the cost; --schedule {} is chosen to keep {} % of decisions, at {:.0} % of the cost on average\n",
            cascade.name,
            100.0 * cascade.wanted_agreement,
            100.0 * share
        ),
        None => "hint: ask for a milder cost with --gmac or --latency, or give such images to --images as the model will see\n"
            .into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_runtime::MergingEffect;

    /// The schedule searched at 60 %, which keeps so many of the decisions.
    fn searched(agreement: f64) -> [Schedule; 1] {
        let mut schedule = Schedule::new("auto-60", vec![0, 8]);
        schedule.merging = Some(MergingEffect {
            dataset: "set".into(),
            images: 100,
            agreement: Some(agreement),
            signal_to_noise_db: Some(20.0),
        });
        [schedule]
    }

    #[test]
    fn a_searched_schedule_that_keeps_enough_is_advised_before_a_cascade() {
        let cascade = Cascade {
            name: "cascade".into(),
            first: "auto-60".into(),
            then: "r0".into(),
            threshold: 1.0,
            wanted_agreement: 0.99,
            dataset: "set".into(),
            images: 100,
            agreement: 1.0,
            second_runs: 0.1,
        };
        let made = [(
            0.99,
            Ok(Chosen {
                cascade,
                share: 0.7,
            }),
        )];
        let advice = advice_of_search(0.6, &searched(0.99), &made);
        assert!(
            advice.contains("--schedule auto-60 keeps 99.00 %"),
            "{advice}"
        );
        let advice = advice_of_search(0.6, &searched(0.95), &made);
        let expected = "--schedule cascade is chosen to keep 99 % of decisions, at 70 % of";
        assert!(advice.contains(expected), "{advice}");
        let advice = advice_of_search(0.6, &searched(0.95), &[]);
        assert!(advice.contains("milder cost"), "{advice}");
    }
}
