//! What the live loop says, as records. Formatting and serializing them does not allocate.

use super::publisher::Record;
use super::states::StateName;
use super::summary::Summary;
use crate::answer::AnswerView;
use crate::file_name::FileName;
use crate::output::{Escaped, Time};
use crate::records::{ErrorRecord, REASON};
use crate::sources::CameraStatus;
use serde::Serialize;
use std::fmt;

/// Frames that were lost on their way to the loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Dropped {
    /// In the camera's driver, by its sequence numbers.
    pub(super) driver: u64,
    /// Replaced by newer ones before the loop took them.
    pub(super) replaced: u64,
}

/// A classified frame, or a region of one.
#[derive(Serialize)]
pub(super) struct FrameRecord<'a> {
    pub(super) event: &'static str,
    /// When it was classified.
    pub(super) time: Time,
    /// Counted from 0 over all sources; frames that could not be used do not count.
    pub(super) frame: u64,
    /// Its name.
    pub(super) source: &'a str,
    /// Where it came from, if from a file.
    #[serde(flatten)]
    pub(super) file: Option<&'a FileName>,
    /// The part of the frame, as the command line names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) region: Option<&'a str>,
    /// The driver's number, or counted from 0.
    pub(super) sequence: u64,
    /// When the camera had it, or when it was read.
    pub(super) captured: Time,
    /// Since the frame before of that source.
    pub(super) dropped: Dropped,
    /// Whose answer it is.
    pub(super) schedule: &'a str,
    /// Whether a cascade's second schedule answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) second_run: Option<bool>,
    /// `top`, and perhaps `unknown`; or `embedding`.
    #[serde(flatten)]
    pub(super) answer: AnswerView<'a>,
    /// What is decided, if anything is to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<StateName<'a>>,
    /// Preprocessing and inference of the batch.
    pub(super) latency_us: f64,
    /// From the capture to the result.
    pub(super) age_us: f64,
    /// There are other sources.
    #[serde(skip)]
    pub(super) shows_source: bool,
}

/// `     7  front.png  shirt 93.1 %, coat 4.2 %  (3.21 ms, r16)`
impl Record for FrameRecord<'_> {
    fn text(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>6}  ", self.frame)?;
        if self.shows_source {
            write!(f, "{}  ", Escaped(self.source))?;
        }
        if let Some(file) = self.file {
            write!(f, "{file}  ")?;
        }
        if let Some(region) = self.region {
            write!(f, "[{region}]  ")?;
        }
        write!(f, "{}  ({:.2} ms", self.answer, self.latency_us / 1e3)?;
        match self.second_run {
            Some(_) => write!(f, ", {})", self.schedule),
            None => f.write_str(")"),
        }
    }
}

/// A camera came or went.
#[derive(Serialize)]
pub(super) struct CameraRecord<'a> {
    event: &'static str,
    time: Time,
    source: &'a str,
    status: &'static str,
    /// Why, unless it streams; or how it streams.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
}

impl<'a> CameraRecord<'a> {
    pub(super) fn new(source: &'a str, status: &'a CameraStatus) -> Self {
        let reason = status.reason.as_deref();
        Self {
            event: "camera",
            time: Time::now(),
            source,
            status: status.status.name(),
            reason: reason.map(|reason| &reason[..reason.floor_char_boundary(REASON)]),
        }
    }
}

/// Standard error has it, in its turn.
impl Record for CameraRecord<'_> {}

/// Standard error has it, in its turn.
impl Record for ErrorRecord<'_> {}

/// Standard error has it, at the end.
impl Record for Summary {}
