//! Arguments that several commands share, and their values.

use super::console::Console;
use clap::builder::PossibleValue;
use clap::{ArgAction, Args};
use log::LevelFilter;
use mergevit_kernels::ops::Merge;
use mergevit_runtime::estimate::Module;
use mergevit_runtime::{ModelConfig, Ranking, Schedule};

/// How much to say.
#[derive(Clone, Copy, Debug, Args)]
pub(super) struct Verbosity {
    /// Say nothing but results and errors
    #[arg(long, short, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Say more: -v what is done, -vv how; the variable RUST_LOG overrides it
    #[arg(long, short, global = true, action = ArgAction::Count)]
    verbose: u8,
}

impl Verbosity {
    pub(super) fn console(self) -> Console {
        Console {
            is_quiet: self.quiet,
        }
    }

    /// What the log shows.
    pub(super) fn level(self) -> LevelFilter {
        match self.verbose {
            0 if self.quiet => LevelFilter::Error,
            0 => LevelFilter::Warn,
            1 => LevelFilter::Info,
            2 => LevelFilter::Debug,
            _ => LevelFilter::Trace,
        }
    }
}

/// Parses a number of images.
pub(super) fn images(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(images) if images > 0 => Ok(images),
        _ => Err("expected 1 or more images".into()),
    }
}

/// Parses r.
pub(super) fn merge(text: &str) -> Result<u16, String> {
    match text.parse::<u64>() {
        Ok(r) => u16::try_from(r).map_err(|_| format!("expected at most {} tokens", u16::MAX)),
        Err(_) => Err("expected 0 or more tokens".into()),
    }
}

/// What `--merge` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merging {
    /// So many tokens in each layer.
    Constant(u16),
    /// Schedules that are searched.
    Auto,
}

/// Parses r, or `auto`.
pub(super) fn merging(text: &str) -> Result<Merging, String> {
    match text {
        "auto" => Ok(Merging::Auto),
        _ => merge(text)
            .map(Merging::Constant)
            .map_err(|error| format!("{error}, or auto")),
    }
}

/// The machine that schedules are searched for.
#[derive(Clone, Copy, Debug)]
pub(super) enum TargetName {
    /// A Jetson module, for which latency is estimated.
    Module(&'static Module),
    /// The one that the program runs on.
    ThisMachine,
}

impl TargetName {
    const THIS_MACHINE: &'static str = "this-machine";

    /// As the command line spells it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Module(module) => module.name,
            Self::ThisMachine => Self::THIS_MACHINE,
        }
    }
}

impl clap::ValueEnum for TargetName {
    fn value_variants<'a>() -> &'a [Self] {
        const {
            &[
                Self::Module(Module::ALL[0]),
                Self::Module(Module::ALL[1]),
                Self::Module(Module::ALL[2]),
                Self::ThisMachine,
            ]
        }
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        let help = match self {
            Self::Module(module) => module.title,
            Self::ThisMachine => "Measured here, with the best backend",
        };
        Some(PossibleValue::new(self.name()).help(help))
    }
}

/// Parses a share of what no merging costs.
pub(super) fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share < 1.0 => Ok(share),
        _ => Err("expected a share of what no merging costs, between 0 and 1: 0.6".into()),
    }
}

/// Parses an agreement in per cent to a fraction.
pub(super) fn agreement(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').parse::<f64>() {
        Ok(value) if (50.0..100.0).contains(&value) => Ok(value / 100.0),
        _ => Err("expected 50 per cent or more, below 100: 99.5".into()),
    }
}

/// Parses `NAME=R0,R1,...` and `NAME=R0,R1,...:RANKING`.
pub(super) fn schedule(text: &str) -> Result<Schedule, String> {
    let (name, rest) = text.split_once('=').ok_or("expected NAME=R0,R1,...")?;
    let (list, ranking) = match rest.split_once(':') {
        Some((list, name)) => (list, ranking(name)?),
        None => (rest, Ranking::default()),
    };
    let r = |r: &str| merge(r).map_err(|error| format!("{r:?} in {list:?}: {error}"));
    let merge = list.split(',').map(r).collect::<Result<_, _>>()?;
    Ok(Schedule::new(name, merge).ranked_by(ranking))
}

/// Parses which tokens merge first.
fn ranking(text: &str) -> Result<Ranking, String> {
    let all = Ranking::ALL;
    let found = all.into_iter().find(|ranking| ranking.name() == text);
    found.ok_or_else(|| {
        let names = all.map(Ranking::name).join(" or ");
        format!("{text:?} ranks nothing, expected {names}")
    })
}

/// Parses a percentage of an activation's values.
pub(super) fn percentile(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if value > 50.0 && value <= 100.0 => Ok(value),
        _ => Err("expected a number above 50, at most 100".into()),
    }
}

/// Parses a share in per cent to a fraction.
pub(super) fn per_cent(text: &str) -> Result<f64, String> {
    match text.trim_end_matches('%').trim_end().parse::<f64>() {
        Ok(value) if (0.0..=50.0).contains(&value) => Ok(value / 100.0),
        _ => Err("expected 0 to 50 per cent, as in 1%".into()),
    }
}

/// Parses a temperature of scores.
pub(super) fn temperature(text: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(value) if value > 0.0 && value.is_finite() && (1.0 / value).is_finite() => Ok(value),
        _ => Err("expected a number above 0".into()),
    }
}

/// Checks that a layer could ever merge `r` tokens.
///
/// # Errors
/// What it could.
pub(super) fn check_merge(r: u16, model: &ModelConfig) -> Result<(), String> {
    let most = Merge::limit(model.tokens(), model.prefix);
    if usize::from(r) <= most {
        return Ok(());
    }
    Err(format!(
        "r is {r}, but a layer can merge at most {most} of this model's {} tokens",
        model.tokens()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_out_of_range_are_refused_with_the_range() {
        assert_eq!((merge("0"), merge("65535")), (Ok(0), Ok(65535)));
        for text in ["-1", "", "x", "1.5", "nan"] {
            assert_eq!(merge(text), Err("expected 0 or more tokens".into()));
        }
        assert_eq!(merge("65536"), Err("expected at most 65535 tokens".into()));
        assert_eq!(images("1"), Ok(1));
        for text in ["0", "-5", "many"] {
            assert_eq!(images(text), Err("expected 1 or more images".into()));
        }
        assert_eq!(
            (percentile("99.9"), percentile("100")),
            (Ok(99.9), Ok(100.0))
        );
        for text in ["50", "100.1", "nan", "inf", "-1"] {
            assert!(percentile(text).is_err(), "{text}");
        }
    }

    #[test]
    fn shares_agreements_and_auto_are_understood() {
        assert_eq!((share("0.6"), agreement("99.5")), (Ok(0.6), Ok(0.995)));
        assert_eq!(agreement("99%"), Ok(0.99));
        for text in ["0", "1", "60", "nan", ""] {
            assert!(share(text).is_err(), "{text}");
        }
        for text in ["0.99", "100", "nan", "-1"] {
            assert!(agreement(text).is_err(), "{text}");
        }
        assert_eq!(merging("auto"), Ok(Merging::Auto));
        assert_eq!(merging("8"), Ok(Merging::Constant(8)));
        assert_eq!(
            merging("x"),
            Err("expected 0 or more tokens, or auto".into())
        );
    }

    #[test]
    fn shares_are_in_per_cent() {
        assert_eq!((per_cent("1%"), per_cent("2.5 %")), (Ok(0.01), Ok(0.025)));
        assert_eq!(per_cent("0"), Ok(0.0));
        for text in ["51%", "-1%", "nan", "%", "one"] {
            assert!(per_cent(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_schedule_names_what_is_wrong_in_it() {
        assert_eq!(schedule("late=0,8").unwrap().merge, [0, 8]);
        let ranked = schedule("late=0,8:class-attention").unwrap();
        assert_eq!(ranked.ranking, Ranking::ClassAttention);
        assert_eq!(ranked.merge, [0, 8]);
        let error = schedule("late=0,8:class_attention").unwrap_err();
        assert!(error.contains("similarity or class-attention"), "{error}");
        let error = schedule("late=0,-8").unwrap_err();
        assert_eq!(error, "\"-8\" in \"0,-8\": expected 0 or more tokens");
        assert!(schedule("late").is_err());
    }
}
