//! The files that a command writes: opened before the work, written after it.

use super::error::CommandError;
use super::interrupt::uninterrupted;
use crate::checkpoint;
use mergevit_runtime::{OutputError, OutputFile};
use std::io::{self, ErrorKind, IsTerminal};
use std::path::{Path, PathBuf};

/// A file that a command reads, by the option that names it.
pub(super) struct Input {
    option: &'static str,
    path: PathBuf,
}

impl Input {
    /// A file.
    pub(super) fn file(option: &'static str, path: &Path) -> Self {
        let path = path.into();
        Self { option, path }
    }

    /// The files of a checkpoint.
    pub(super) fn checkpoint(option: &'static str, path: &Path) -> Vec<Self> {
        let files = checkpoint::sources(path).into_iter();
        let all = files.chain([path.into()]);
        all.map(|path| Self { option, path }).collect()
    }

    /// The files of a data set, if it is made of few.
    pub(super) fn set(option: &'static str, spec: &str) -> Vec<Self> {
        let Some(files) = spec.strip_prefix("idx:") else {
            return Vec::new();
        };
        let parts = files.split(',').chain([files]);
        parts
            .map(|path| Self::file(option, path.as_ref()))
            .collect()
    }
}

/// Opens what `option` names, `-` being standard output.
///
/// # Errors
/// [`CommandError::Output`]: nothing could be written there. [`CommandError::Usage`]: it is one of the inputs.
pub(super) fn open(
    option: &'static str,
    path: &Path,
    inputs: &[Input],
) -> Result<OutputFile, CommandError> {
    if path.as_os_str() == "-" {
        return Ok(OutputFile::standard_output());
    }
    let output = OutputFile::new(path)?;
    let mut inputs = inputs.iter();
    match inputs.find(|input| output.would_replace(&input.path)) {
        None => Ok(output),
        Some(input) => Err(CommandError::Usage(format!(
            "{option} {} would replace what {} reads; give another name",
            path.display(),
            input.option
        ))),
    }
}

/// Checks that two outputs are not one file.
///
/// # Errors
/// [`CommandError::Usage`].
pub(super) fn check_distinct(
    (option, output): (&'static str, Option<&OutputFile>),
    (other_option, other): (&'static str, Option<&OutputFile>),
) -> Result<(), CommandError> {
    match (output, other) {
        (Some(output), Some(other)) if output.is_same_as(other) => {
            Err(CommandError::Usage(format!(
                "{option} and {other_option} both name {}; give each its own",
                other.name().display()
            )))
        }
        _ => Ok(()),
    }
}

/// Checks that bytes which are no text do not go to a terminal.
///
/// # Errors
/// [`CommandError::Usage`].
pub(super) fn check_binary(output: &OutputFile) -> Result<(), CommandError> {
    if output.is_standard_output() && io::stdout().is_terminal() {
        let message = "standard output is a terminal; redirect it, or name a file with --output";
        return Err(CommandError::Usage(message.into()));
    }
    Ok(())
}

/// Writes all of `bytes`; a file is replaced to the end even if a signal comes.
///
/// # Errors
/// [`CommandError::Output`].
pub(super) fn write(output: &OutputFile, bytes: &[u8]) -> Result<(), CommandError> {
    let written = match output.file() {
        Some(_) => uninterrupted(|| output.write(bytes)),
        None => output.write(bytes),
    };
    Ok(written?)
}

/// Writes text, of which a reader of standard output may want the beginning only.
///
/// # Errors
/// [`CommandError::ReaderGone`] and [`CommandError::Output`].
pub(super) fn write_text(output: &OutputFile, text: &str) -> Result<(), CommandError> {
    match write(output, text.as_bytes()) {
        Err(CommandError::Output(OutputError::StandardOutput(error)))
            if error.kind() == ErrorKind::BrokenPipe =>
        {
            Err(CommandError::ReaderGone)
        }
        other => other,
    }
}

/// Writes text to standard output.
///
/// # Errors
/// As [`write_text`].
pub(super) fn print(text: &str) -> Result<(), CommandError> {
    write_text(&OutputFile::standard_output(), text)
}
