//! Records that several commands print as lines of JSON. `records.schema.json` describes all of them.

use crate::answer::AnswerView;
use crate::cascade::Decision;
use crate::file_name::FileName;
use crate::output::Time;
use serde::Serialize;

/// One classified frame. Serializing does not allocate.
#[derive(Serialize)]
pub(crate) struct FrameRecord<'a> {
    pub(crate) event: &'static str,
    /// When it was classified.
    pub(crate) time: Time,
    /// Counted from 0; frames that could not be used do not count.
    pub(crate) frame: u64,
    /// Where it came from, if from a file.
    #[serde(flatten)]
    pub(crate) file: Option<&'a FileName>,
    /// `top`, and perhaps `unknown`; or `embedding`.
    #[serde(flatten)]
    pub(crate) answer: AnswerView<'a>,
    #[serde(flatten)]
    pub(crate) decision: Option<Decision<'a>>,
    /// Preprocessing and inference.
    pub(crate) latency_us: f64,
    /// From the capture to the result, in a live loop.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) age_us: Option<f64>,
}

/// A frame that could not be used, or what ended a run. Serializing does not allocate.
#[derive(Serialize)]
pub(crate) struct ErrorRecord<'a> {
    event: &'static str,
    time: Time,
    #[serde(flatten)]
    file: Option<&'a FileName>,
    /// As standard error says it.
    reason: &'a str,
}

impl<'a> ErrorRecord<'a> {
    pub(crate) fn new(file: Option<&'a FileName>, reason: &'a str) -> Self {
        Self {
            event: "error",
            time: Time::now(),
            file,
            reason,
        }
    }
}
