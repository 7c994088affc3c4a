//! What records say of a cascade: which schedule gave an answer, and how often the second was asked.

use crate::answer::Answer;
use crate::output;
use mergevit_runtime::Engine;
use serde::Serialize;
use std::fmt;

/// Under a cascade, which of its schedules gave the answer.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Decision<'a> {
    /// Its name.
    pub(crate) schedule: &'a str,
    /// Whether it was the second.
    pub(crate) second_run: bool,
}

impl<'a> Decision<'a> {
    /// Of an answer that the engine has just given; `None` unless it runs a cascade.
    pub(crate) fn of(engine: &'a Engine, answer: &Answer) -> Option<Self> {
        let second_run = answer.is_second_run();
        engine.cascade().map(|cascade| Self {
            schedule: if second_run {
                &cascade.then
            } else {
                &cascade.first
            },
            second_run,
        })
    }
}

/// Behind a latency in text, whose answer it is: `, r16`, and nothing without a cascade.
pub(crate) struct Schedule<'a>(pub(crate) Option<Decision<'a>>);

impl fmt::Display for Schedule<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(decision) => write!(f, ", {}", decision.schedule),
            None => Ok(()),
        }
    }
}

/// How often a cascade ran a second time; without a cascade, nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub(crate) struct SecondRuns {
    #[serde(skip_serializing_if = "Option::is_none")]
    second_runs: Option<u64>,
    /// Of all frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    second_run_rate: Option<f64>,
}

impl SecondRuns {
    /// Of so many frames; `None` without a cascade.
    pub(crate) fn new(second_runs: Option<u64>, frames: u64) -> Self {
        Self {
            second_runs,
            second_run_rate: second_runs.map(|runs| output::ratio(runs as f64, frames as f64)),
        }
    }
}

/// `, 12.5 % ran twice`, or nothing.
impl fmt::Display for SecondRuns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.second_run_rate {
            Some(rate) => write!(f, ", {} ran twice", output::percent(rate, 1)),
            None => Ok(()),
        }
    }
}
