//! The schedules and cascades that the command line asks for.

use super::super::args::{self, Merging, TargetName};
use super::super::error::CommandError;
use crate::schedules::{Shape, shares};
use clap::Args;
use mergevit_runtime::{ModelConfig, PackWriter, Plan, Provenance, Schedule};

/// Name of the only cascade.
const CASCADE: &str = "cascade";

/// The cost that schedules are searched for unless told otherwise, as a share of no merging's.
const SHARE: f64 = 0.6;

/// The agreement of the cascade that comes with searched schedules unless told otherwise.
const AGREEMENT: f64 = 0.99;

/// Which schedules and cascades a pack gets, and on how many images they are chosen.
#[derive(Clone, Debug, Args)]
pub(super) struct ScheduleArgs {
    /// Tokens to merge in every layer: one schedule per number, named r0, r8, ...; auto searches schedules, named by
    /// their cost: auto-85, auto-75, auto-60
    #[arg(long, value_name = "R", value_delimiter = ',', default_value = "0")]
    #[arg(value_parser = args::merging, allow_hyphen_values = true)]
    merge: Vec<Merging>,
    /// A schedule with r for each layer; may be repeated
    #[arg(long, value_name = "NAME=R0,R1,...[:RANKING]", value_parser = args::schedule)]
    schedule: Vec<Schedule>,
    /// Search schedules by their latency there, instead of their multiply-accumulates
    #[arg(long, value_enum, value_name = "MACHINE")]
    pub(super) target: Option<TargetName>,
    /// Multiply-accumulates that the cheapest searched schedule may take, as a share of no merging's [default: 0.6]
    #[arg(long, value_name = "SHARE", value_parser = args::share, allow_negative_numbers = true)]
    #[arg(conflicts_with = "target")]
    gmac: Option<f64>,
    /// Latency that the cheapest searched schedule may take on the target, as a share of no merging's [default: 0.6]
    #[arg(long, value_name = "SHARE", value_parser = args::share, allow_negative_numbers = true)]
    #[arg(requires = "target")]
    latency: Option<f64>,
    /// Add a cascade: frames of which a cheap schedule is unsure run again without merging, so that this share of decisions,
    /// in per cent, is as without merging; may be repeated [default with --merge auto: 99]
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', value_parser = args::agreement)]
    #[arg(allow_negative_numbers = true)]
    agreement: Vec<f64>,
    /// Images on which schedules, cascades and temperatures are chosen
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(super) choose_limit: usize,
    /// Other images on which they are measured
    #[arg(long, value_name = "N", default_value_t = 256)]
    pub(super) validate_limit: usize,
}

/// The name of a searched schedule that costs `share` of no merging: `auto-60`.
pub(super) fn auto_name(share: f64) -> String {
    format!("auto-{}", (1e3 * share).round() / 10.0)
}

/// The name of a cascade for `agreement`, a fraction, if it is one of so many: `cascade`, or `cascade-99.5`.
pub(super) fn cascade_name(agreement: f64, count: usize) -> String {
    match count {
        1 => CASCADE.into(),
        _ => {
            // Three digits behind the point are as exact as names need, without the noise of binary fractions.
            let per_cent = (1e5 * agreement).round() / 1e3;
            format!("{CASCADE}-{per_cent}")
        }
    }
}

/// No schedule costs as little as `wanted`, a share of no merging's: the least is `least`.
pub(super) fn too_little(wanted: f64, least: f64) -> CommandError {
    CommandError::Usage(format!(
        "no schedule of this model costs as little as {:.0} % of no merging; the least is {:.0} %",
        100.0 * wanted,
        100.0 * least
    ))
}

impl ScheduleArgs {
    /// Whether schedules are to be searched.
    pub(super) fn is_auto(&self) -> bool {
        self.merge.contains(&Merging::Auto)
    }

    /// The share of no merging's cost that the cheapest searched schedule may take.
    pub(super) fn wanted_share(&self) -> f64 {
        self.gmac.or(self.latency).unwrap_or(SHARE)
    }

    /// The agreements, fractions, of the cascades.
    pub(super) fn agreements(&self, model: &ModelConfig) -> Vec<f64> {
        match self.agreement.is_empty() && self.is_auto() && model.classifies() {
            true => vec![AGREEMENT],
            false => self.agreement.clone(),
        }
    }

    /// Whether anything is chosen that needs images.
    pub(super) fn chooses(&self) -> bool {
        self.is_auto() || !self.agreement.is_empty()
    }

    /// Whether anything is chosen or measured that needs images held out, labels or not.
    pub(super) fn is_judged(&self) -> bool {
        let mut given = self.given(1).into_iter();
        self.is_auto() || given.any(|schedule| !schedule.is_unmerged())
    }

    /// The schedules whose r is given.
    fn given(&self, depth: usize) -> Vec<Schedule> {
        let constant = self.merge.iter().filter_map(|merging| match merging {
            Merging::Constant(r) => Some(Schedule::constant(*r, depth)),
            Merging::Auto => None,
        });
        let mut schedules: Vec<_> = constant.chain(self.schedule.iter().cloned()).collect();
        // Whatever is searched is measured against it.
        if self.is_auto() && !schedules.iter().any(Schedule::is_unmerged) {
            schedules.insert(0, Schedule::constant(0, depth));
        }
        schedules
    }

    /// Checks what can be checked without the model.
    ///
    /// # Errors
    /// [`CommandError::Usage`].
    pub(super) fn check(&self) -> Result<(), CommandError> {
        let refuse = |reason: String| Err(CommandError::Usage(reason));
        if !self.is_auto() {
            let without = [
                ("--target", self.target.is_some()),
                ("--gmac", self.gmac.is_some()),
            ];
            if let Some((option, _)) = without.iter().find(|(_, is_given)| *is_given) {
                return refuse(format!("{option} is for --merge auto"));
            }
        }
        if self.chooses() && (self.choose_limit == 0 || self.validate_limit == 0) {
            return refuse(
                "--merge auto and --agreement need images to choose with, and others to validate"
                    .into(),
            );
        }
        let names = self.names();
        let repeated = names
            .iter()
            .enumerate()
            .find(|(at, name)| names[..*at].contains(name));
        match repeated {
            None => Ok(()),
            Some((_, name)) => refuse(format!(
                "two schedules are named {name}; --merge R names one rR, --schedule gives any name"
            )),
        }
    }

    /// The names of all schedules and cascades that there will be.
    fn names(&self) -> Vec<String> {
        let given = self.given(1).into_iter().map(|schedule| schedule.name);
        let searched = shares(self.wanted_share()).map(auto_name);
        let searched = searched.into_iter().filter(|_| self.is_auto());
        let cascades = self.agreement.iter();
        let cascades = cascades.map(|&own| cascade_name(own, self.agreement.len()));
        let default = self.is_auto() && self.agreement.is_empty();
        let default = default.then(|| cascade_name(AGREEMENT, 1));
        given
            .chain(searched)
            .chain(cascades)
            .chain(default)
            .collect()
    }

    /// The schedules whose r is given, fit for the model.
    ///
    /// # Errors
    /// [`CommandError::Usage`].
    pub(super) fn schedules(&self, model: &ModelConfig) -> Result<Vec<Schedule>, CommandError> {
        let schedules = self.given(model.depth);
        for Schedule { name, merge, .. } in &schedules {
            let refuse = |reason| CommandError::Usage(format!("schedule {name}: {reason}"));
            if merge.len() != model.depth {
                let (found, expected) = (merge.len(), model.depth);
                return Err(refuse(format!(
                    "r for {found} layers, expected {expected} layers"
                )));
            }
            for &r in merge {
                args::check_merge(r, model).map_err(refuse)?;
            }
        }
        // Whatever else a pack asks of them, and of their number.
        let mut all = schedules.clone();
        if self.is_auto() {
            let searched = self.names().into_iter().skip(all.len());
            all.extend(searched.map(|name| Schedule::new(name, vec![0; model.depth])));
        }
        PackWriter::new(model.clone(), all, Provenance::default())
            .map_err(|error| CommandError::Usage(error.to_string()))?;
        self.check_cascades(model, &schedules)?;
        if self.is_auto() && self.target.is_none() {
            self.check_share(model)?;
        }
        Ok(schedules)
    }

    /// Checks that merging as much as can be merged costs no more than is asked for.
    fn check_share(&self, model: &ModelConfig) -> Result<(), CommandError> {
        let most = Shape::CONSTANT.merge(model.tokens() as f64, model);
        let macs = |schedule: &Schedule| {
            let plan = Plan::new(model, schedule, 1);
            plan.map_or(f64::NAN, |plan| plan.cost().macs as f64)
        };
        let least = macs(&Schedule::new("most", most)) / macs(&Schedule::constant(0, model.depth));
        match least > self.wanted_share() {
            false => Ok(()),
            true => Err(too_little(self.wanted_share(), least)),
        }
    }

    /// Checks that there can be the cascades that are asked for.
    fn check_cascades(
        &self,
        model: &ModelConfig,
        schedules: &[Schedule],
    ) -> Result<(), CommandError> {
        let refuse = |reason: &str| Err(CommandError::Usage(format!("--agreement: {reason}")));
        if self.agreement.is_empty() {
            return Ok(());
        }
        if !model.classifies() {
            return refuse("the model gives embeddings, and no classes that could agree");
        }
        if !schedules.iter().any(Schedule::is_unmerged) {
            return refuse("no schedule without merging to run again with; add 0 to --merge");
        }
        if !self.is_auto() && schedules.iter().all(Schedule::is_unmerged) {
            return refuse("no schedule that merges; give --merge auto, or some r");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_cost_and_agreement() {
        assert_eq!(
            shares(0.6).map(auto_name),
            ["auto-85", "auto-75", "auto-60"]
        );
        assert_eq!(auto_name(0.8125), "auto-81.3");
        assert_eq!(cascade_name(0.995, 1), "cascade");
        assert_eq!(cascade_name(0.995, 2), "cascade-99.5");
        assert_eq!(cascade_name(0.99, 2), "cascade-99");
    }
}
