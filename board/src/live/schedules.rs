//! Which schedule runs: what the command line says, unless a client holds another.

use super::control::Hold;
use super::model::Model;
use super::publisher::Record;
use crate::output::Time;
use mergevit_runtime::RunError;
use serde::Serialize;
use std::fmt;

/// Why another schedule runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Reason {
    /// A client holds it.
    Held,
    /// A client gave it back.
    Released,
}

/// Another schedule runs. Serializing does not allocate.
#[derive(Debug, Serialize)]
pub(super) struct SwitchRecord<'a> {
    event: &'static str,
    time: Time,
    from: &'a str,
    to: &'a str,
    reason: Reason,
}

impl<'a> SwitchRecord<'a> {
    pub(super) fn new(from: &'a str, to: &'a str, reason: Reason) -> Self {
        Self {
            event: "switch",
            time: Time::now(),
            from,
            to,
            reason,
        }
    }
}

/// `        r0 → r8: held`
impl Record for SwitchRecord<'_> {
    fn text(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            Reason::Held => "held",
            Reason::Released => "released",
        };
        write!(to, "        {} → {}: {reason}", self.from, self.to)
    }
}

/// What runs: places among a model's choices.
#[derive(Clone, Copy, Debug)]
pub(super) struct Schedules {
    /// What runs unless another is held.
    own: usize,
    pub(super) current: usize,
    pub(super) held: bool,
}

impl Schedules {
    /// A model runs this of its choices.
    pub(super) fn new(current: usize) -> Self {
        Self {
            own: current,
            current,
            held: false,
        }
    }

    /// Does what a client asks for. Returns what ran before. Does not allocate.
    pub(super) fn obey(
        &mut self,
        hold: Hold,
        model: &mut Model,
    ) -> Result<(usize, Reason), RunError> {
        let (to, reason) = match hold {
            Hold::Choice(index) => (index, Reason::Held),
            Hold::Release => (self.own, Reason::Released),
        };
        let from = self.current;
        // A choice of a model that was replaced meanwhile may not be there.
        if let Some(name) = model.choices.get(to) {
            model.engine.set_schedule(name)?;
            self.current = to;
            self.held = reason == Reason::Held;
        }
        Ok((from, reason))
    }
}
