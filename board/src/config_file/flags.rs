//! What a command takes on its command line, asked of its definition, so that no second list of it exists.

use clap::{Arg, ArgAction, Command};
use std::any::TypeId;
use std::ffi::OsString;
use std::fmt;
use toml::Spanned;
use toml::de::DeValue;

/// The flag that names a configuration file.
pub(super) const CONFIG: &str = "config";

/// Names at least as much alike as this are a likely mistake.
const ALIKE: f64 = 0.7;

/// A flag that a file may give.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flag<'a> {
    pub(super) arg: &'a Arg,
    name: &'a str,
    kind: Kind,
    repeats: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Switch,
    Count,
    Number,
    Text,
}

/// Why a flag does not take a value.
#[derive(Debug)]
pub(super) struct WrongType {
    expected: String,
    found: &'static str,
}

impl fmt::Display for WrongType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let article = match self.found.starts_with(['a', 'i', 'o']) {
            true => "an",
            false => "a",
        };
        write!(
            f,
            "expected {}, found {article} {}",
            self.expected, self.found
        )
    }
}

/// Commands that take a configuration file; each has a table of its name there.
pub(super) fn configured(program: &Command) -> impl Iterator<Item = &Command> {
    program.get_subcommands().filter(|command| {
        let mut flags = command.get_arguments().filter_map(Arg::get_long);
        flags.any(|name| name == CONFIG)
    })
}

/// The flags of a command that a file may give: all but those that print and end, those that are hidden, and the file.
pub(super) fn of(command: &Command) -> impl Iterator<Item = Flag<'_>> {
    let flags = command.get_arguments().filter_map(Flag::new);
    flags.filter(|flag| flag.name != CONFIG && !flag.arg.is_hide_set())
}

impl<'a> Flag<'a> {
    fn new(arg: &'a Arg) -> Option<Self> {
        let name = arg.get_long()?;
        let kind = match arg.get_action() {
            ArgAction::SetTrue => Kind::Switch,
            ArgAction::Count => Kind::Count,
            ArgAction::Set | ArgAction::Append if is_number(arg) => Kind::Number,
            ArgAction::Set | ArgAction::Append => Kind::Text,
            _ => return None,
        };
        let repeats = matches!(arg.get_action(), ArgAction::Append);
        Some(Self {
            arg,
            name,
            kind,
            repeats,
        })
    }

    /// Without the dashes.
    pub(super) fn name(&self) -> &'a str {
        self.name
    }

    /// The words of a command line that say the same as `value`.
    ///
    /// # Errors
    /// [`WrongType`] if the flag takes nothing of that type.
    pub(super) fn words(&self, value: &Spanned<DeValue<'_>>) -> Result<Vec<OsString>, WrongType> {
        match value.get_ref() {
            DeValue::Array(values) if self.repeats => values
                .iter()
                .map(|value| self.word(value.get_ref()))
                .collect(),
            DeValue::Boolean(on) if self.kind == Kind::Switch => Ok(on
                .then(|| format!("--{}", self.name).into())
                .into_iter()
                .collect()),
            DeValue::Integer(times) if self.kind == Kind::Count => {
                let times = u8::from_str_radix(times.as_str(), times.radix());
                let times = times.map_err(|_| self.wrong("integer"))?;
                let word = OsString::from(format!("--{}", self.name));
                Ok(vec![word; times.into()])
            }
            value => Ok(vec![self.word(value)?]),
        }
    }

    fn word(&self, value: &DeValue<'_>) -> Result<OsString, WrongType> {
        let text = match (self.kind, value) {
            (Kind::Text, DeValue::String(text)) => text.to_string(),
            // In decimal: what a flag is given on a command line.
            (Kind::Number, DeValue::Integer(number)) => {
                let number = i128::from_str_radix(number.as_str(), number.radix());
                number.map_err(|_| self.wrong("integer"))?.to_string()
            }
            (Kind::Number, DeValue::Float(number)) => number.as_str().to_owned(),
            (_, value) => return Err(self.wrong(value.type_str())),
        };
        Ok(format!("--{}={text}", self.name).into())
    }

    fn wrong(&self, found: &'static str) -> WrongType {
        let one = match self.kind {
            Kind::Switch => "true or false",
            Kind::Count => "a number of times, 0 to 255",
            Kind::Number => "a number",
            Kind::Text => "a string",
        };
        let expected = match self.repeats {
            true => format!("{one} or a list of them"),
            false => one.into(),
        };
        WrongType { expected, found }
    }
}

fn is_number(arg: &Arg) -> bool {
    let parsed = arg.get_value_parser().type_id();
    let numbers = [
        TypeId::of::<u8>(),
        TypeId::of::<u16>(),
        TypeId::of::<u32>(),
        TypeId::of::<u64>(),
        TypeId::of::<usize>(),
        TypeId::of::<i32>(),
        TypeId::of::<i64>(),
        TypeId::of::<f32>(),
        TypeId::of::<f64>(),
    ];
    numbers.iter().any(|number| parsed == *number)
}

/// What somebody may have meant by `name`: the nearest of `names`, or all of them.
pub(super) fn suggestion<'a>(name: &str, names: impl Iterator<Item = &'a str> + Clone) -> String {
    let likeness = |other: &&str| strsim::jaro_winkler(name, other);
    let nearest = names
        .clone()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .filter(|nearest| likeness(nearest) >= ALIKE);
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => format!("expected one of {}", names.collect::<Vec<_>>().join(", ")),
    }
}
