//! Why a command failed, and what its user can do about it.

use crate::output::Escaped;
use std::fmt;
use std::io;

/// Exit code of wrong usage.
pub(crate) const USAGE: u8 = 2;

/// Exit code of a live loop whose reader has gone.
const READER_GONE: u8 = 141;

/// A command's failure.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The work failed: exit code 1.
    Work {
        /// What failed, and why.
        message: String,
        /// What to do about it.
        hint: Option<String>,
    },
    /// The arguments contradict each other: exit code 2.
    Usage(String),
    /// The command has reported its failures itself: exit code 1.
    Reported,
    /// The reader of standard output closed it: a quiet end, exit code 0.
    OutputClosed,
    /// It closed it while a live loop had more to say: a quiet end, but none that was asked for, so that a supervisor
    /// starts the loop again. Exit code 141, as a shell has it of a process that a closed pipe ends: 128 + SIGPIPE.
    ReaderGone,
}

impl Failure {
    /// The work failed with `error`.
    pub(crate) fn work(error: &dyn fmt::Display) -> Self {
        Self::Work {
            message: error.to_string(),
            hint: None,
        }
    }

    /// Adds advice, replacing any given before.
    pub(crate) fn hint(mut self, advice: impl Into<String>) -> Self {
        if let Self::Work { hint, .. } = &mut self {
            *hint = Some(advice.into());
        }
        self
    }

    /// Writing to standard output failed.
    pub(crate) fn output(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::OutputClosed,
            _ => Self::work(&format_args!("standard output: cannot write: {error}")),
        }
    }

    /// A thread was refused.
    pub(crate) fn thread(error: &io::Error) -> Self {
        Self::work(&format_args!("cannot start a thread: {error}"))
    }

    /// What failed, and why, without advice.
    pub(crate) fn reason(&self) -> String {
        match self {
            Self::Work { message, .. } | Self::Usage(message) => message.clone(),
            Self::Reported | Self::OutputClosed | Self::ReaderGone => String::new(),
        }
    }

    /// The process's exit code.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::OutputClosed => 0,
            Self::ReaderGone => READER_GONE,
            Self::Work { .. } | Self::Reported => 1,
            Self::Usage(_) => USAGE,
        }
    }
}

/// Names in it are escaped.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Work { message, hint } => {
                write!(f, "error: {}", Escaped(message))?;
                match hint {
                    Some(hint) => write!(f, "\nhint: {}", Escaped(hint)),
                    None => Ok(()),
                }
            }
            Self::Usage(message) => {
                let message = Escaped(message);
                write!(f, "error: {message}\n\nFor more, try '--help'.")
            }
            Self::Reported | Self::OutputClosed | Self::ReaderGone => Ok(()),
        }
    }
}
