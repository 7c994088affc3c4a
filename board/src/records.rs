//! Records that several commands print as lines of JSON. `records.schema.json` describes all of them.

use crate::answer::AnswerView;
use crate::cascade::Decision;
use crate::file_name::FileName;
use crate::output::Time;
use serde::Serialize;

/// One classified image; the live loop has a record of its own. Serializing does not allocate.
#[derive(Serialize)]
pub(crate) struct FrameRecord<'a> {
    pub(crate) event: &'static str,
    /// When it was classified.
    pub(crate) time: Time,
    /// Counted from 0; frames that could not be used do not count.
    pub(crate) frame: u64,
    /// Where it came from.
    #[serde(flatten)]
    pub(crate) file: Option<&'a FileName>,
    /// `top`, and perhaps `unknown`; or `embedding`.
    #[serde(flatten)]
    pub(crate) answer: AnswerView<'a>,
    #[serde(flatten)]
    pub(crate) decision: Option<Decision<'a>>,
    /// Preprocessing and inference.
    pub(crate) latency_us: f64,
}

/// Most bytes of a reason that a record has.
pub(crate) const REASON: usize = 1024;

/// A frame that could not be used, or what ended a source or a run. Serializing does not allocate.
#[derive(Serialize)]
pub(crate) struct ErrorRecord<'a> {
    event: &'static str,
    time: Time,
    /// Whose it is, in a live loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(flatten)]
    file: Option<&'a FileName>,
    /// As standard error says it, cut off where it is very long.
    reason: &'a str,
}

impl<'a> ErrorRecord<'a> {
    pub(crate) fn new(file: Option<&'a FileName>, reason: &'a str) -> Self {
        Self {
            event: "error",
            time: Time::now(),
            source: None,
            file,
            reason: &reason[..reason.floor_char_boundary(REASON)],
        }
    }

    /// The same of a source.
    pub(crate) fn of(self, source: &'a str) -> Self {
        Self {
            source: Some(source),
            ..self
        }
    }
}
