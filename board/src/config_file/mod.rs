//! The configuration file: flags of a command in TOML, a table for each command.
//!
//! A key is a flag's long name without dashes; its value is a string or number, `true` for a flag without a value, or a list
//! for a flag that may be repeated. What the file says is put into the command line, before what is there already, and
//! parsed with it: there is one definition of what a flag takes. A flag on the command line wins over the file, for repeated
//! flags over all of the file's list, and over flags of the file that it conflicts with.

mod error;
mod flags;
#[cfg(test)]
mod tests;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{ArgMatches, Command};
pub(crate) use error::ConfigError;
use error::Source;
use flags::{CONFIG, Flag};
use std::ffi::OsString;
use std::fmt::Display;
use std::io::Read;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// Bytes of the longest file that is read.
const LONGEST: u64 = 1 << 20;

/// What makes a single value wrong, whatever the other flags.
const JUDGED: [ErrorKind; 2] = [ErrorKind::ValueValidation, ErrorKind::InvalidValue];

/// Puts what the file says that `args` name with `--config` into `args`; `program` is what they are meant for.
///
/// Leaves arguments as they are if they name no file, or are wrong in themselves.
///
/// # Errors
/// [`ConfigError`] if the file cannot be read, or says what the command does not take.
pub(crate) fn expand(program: &Command, args: Vec<OsString>) -> Result<Vec<OsString>, ConfigError> {
    let lenient = program.clone().ignore_errors(true);
    let Ok(matches) = lenient.try_get_matches_from(&args) else {
        return Ok(args);
    };
    let Some((name, given)) = matches.subcommand() else {
        return Ok(args);
    };
    let path = given.try_get_one::<PathBuf>(CONFIG).ok().flatten();
    // Before the command's name, there are flags without values alone.
    let place = args.iter().position(|argument| argument == name);
    let (Some(path), Some(place)) = (path, place) else {
        return Ok(args);
    };
    let text = read(path)?;
    let words = Reader::new(program).words(name, given, path, &text)?;
    let mut args = args;
    args.splice(place + 1..place + 1, words);
    Ok(args)
}

fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |reason: String| ConfigError::Unreadable {
        path: path.display().to_string(),
        reason,
    };
    let file = std::fs::File::open(path).map_err(|error| unreadable(error.to_string()))?;
    let mut text = String::new();
    let length = file.take(LONGEST + 1).read_to_string(&mut text);
    match length.map_err(|error| unreadable(error.to_string()))? {
        length if length as u64 > LONGEST => {
            Err(unreadable(format!("longer than {LONGEST} bytes")))
        }
        _ => Ok(text),
    }
}

/// Reads files for a program. Making one takes longer than reading.
pub(crate) struct Reader {
    /// With global flags in each command: it lists.
    built: Command,
    /// With no flag required: it judges values.
    lenient: Command,
}

impl Reader {
    /// For what this program takes.
    pub(crate) fn new(program: &Command) -> Self {
        let optional = |command: Command| command.mut_args(|argument| argument.required(false));
        let mut lenient = program.clone().mut_subcommands(optional);
        let mut built = program.clone();
        lenient.build();
        built.build();
        Self { built, lenient }
    }

    /// What the `text` of a file says of command `name`, beside what was `given`. Looks through the tables of other
    /// commands as well.
    ///
    /// # Errors
    /// [`ConfigError`] if it says what the command does not take.
    pub(crate) fn words(
        &mut self,
        name: &str,
        given: &ArgMatches,
        path: &Path,
        text: &str,
    ) -> Result<Vec<OsString>, ConfigError> {
        let source = Source { path, text };
        let document = DeTable::parse(text)
            .map_err(|error| source.error(error.span().unwrap_or(0..0), error.message()))?;
        let commands: Vec<&Command> = flags::configured(&self.built).collect();
        let mut words = Vec::new();
        for (key, value) in document.get_ref() {
            let named = |command: &&&Command| command.get_name() == key.get_ref();
            let Some(command) = commands.iter().find(named) else {
                let names = commands.iter().map(|command| command.get_name());
                let suggestion = flags::suggestion(key.get_ref(), names);
                let message = format!("there is no table `{}`; {suggestion}", key.get_ref());
                return Err(source.error(key.span(), message));
            };
            let DeValue::Table(table) = value.get_ref() else {
                let found = value.get_ref().type_str();
                let message = format!("{}: expected a table, found {found}", key.get_ref());
                return Err(source.error(key.span(), message));
            };
            let given = (command.get_name() == name).then_some(given);
            let table = table_words(&mut self.lenient, command, table, given, source)?;
            words.extend(table);
        }
        Ok(words)
    }
}

/// What a table says; nothing if it is another command's, for which nothing is `given`.
fn table_words(
    lenient: &mut Command,
    command: &Command,
    table: &DeTable<'_>,
    given: Option<&ArgMatches>,
    source: Source<'_>,
) -> Result<Vec<OsString>, ConfigError> {
    let mut all = Vec::new();
    for (key, value) in table {
        let name = key.get_ref().as_ref();
        let Some(flag) = flags::of(command).find(|flag| flag.name() == name) else {
            let names: Vec<_> = flags::of(command).map(|flag| flag.name()).collect();
            let suggestion = flags::suggestion(name, names.into_iter());
            let message = format!("`{}` has no `{name}`; {suggestion}", command.get_name());
            return Err(source.error(key.span(), message));
        };
        let error = |reason: &dyn Display| {
            let message = format!("{name}: {reason}");
            source.error(value.span(), message)
        };
        let words = flag.words(value).map_err(|wrong| error(&wrong))?;
        check(lenient, command, &words).map_err(|reason| error(&reason))?;
        if given.is_some_and(|given| !is_overruled(command, flag, given)) {
            all.extend(words);
        }
    }
    Ok(all)
}

/// Lets the command judge the values of one flag, as if no other were needed.
fn check(lenient: &mut Command, command: &Command, words: &[OsString]) -> Result<(), String> {
    let line = [lenient.get_name(), command.get_name()].map(OsString::from);
    let line = line.into_iter().chain(words.iter().cloned());
    match lenient.try_get_matches_from_mut(line) {
        Err(error) if JUDGED.contains(&error.kind()) => Err(reason(&error)),
        // What it needs or excludes is judged together with the other flags.
        _ => Ok(()),
    }
}

/// Whether the command line has a flag, or another that excludes it.
fn is_overruled(command: &Command, flag: Flag<'_>, given: &ArgMatches) -> bool {
    let is_given = |id: &str| {
        let known = given.try_contains_id(id).is_ok();
        known && given.value_source(id) == Some(ValueSource::CommandLine)
    };
    let excluded = command.get_arg_conflicts_with(flag.arg).into_iter();
    let excluding = command.get_arguments().filter(|other| {
        let conflicts = command.get_arg_conflicts_with(other);
        conflicts
            .iter()
            .any(|conflict| conflict.get_id() == flag.arg.get_id())
    });
    let mut others = excluded.chain(excluding).chain([flag.arg]);
    others.any(|other| is_given(other.get_id().as_str()))
}

/// The first paragraph of what clap says, on one line.
fn reason(error: &clap::Error) -> String {
    let text = error.to_string();
    let paragraph = text.split("\n\n").next().unwrap_or_default();
    let lines = paragraph.lines().map(str::trim);
    let reason = lines.collect::<Vec<_>>().join(" ");
    reason.trim_start_matches("error: ").into()
}
