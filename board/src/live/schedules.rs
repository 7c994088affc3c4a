//! Which schedule runs: what the command line says or a governor chooses, unless a client holds another.

use super::control::Hold;
use super::model::Model;
use super::publisher::Record;
use crate::governor::{GoalError, Goals, Governor, HoldError, Missed, Reason, Switch};
use crate::output::{self, Time};
use mergevit_runtime::RunError;
use serde::Serialize;
use std::fmt;
use std::time::{Duration, Instant};

/// Another schedule runs. Serializing does not allocate.
#[derive(Debug, Serialize)]
pub(super) struct SwitchRecord<'a> {
    event: &'static str,
    time: Time,
    from: &'a str,
    to: &'a str,
    reason: Reason,
    /// Of the last batch, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_us: Option<f64>,
    /// What a batch may take, under a frame rate.
    #[serde(skip_serializing_if = "Option::is_none")]
    budget_us: Option<f64>,
    /// What the board draws, where that is limited.
    #[serde(skip_serializing_if = "Option::is_none")]
    watts: Option<f64>,
}

impl<'a> SwitchRecord<'a> {
    pub(super) fn new(choices: &'a [String], switch: &Switch) -> Self {
        let latency = Some(switch.latency).filter(|latency| !latency.is_zero());
        Self {
            event: "switch",
            time: Time::now(),
            from: &choices[switch.from],
            to: &choices[switch.to],
            reason: switch.reason,
            latency_us: latency.map(super::microseconds),
            budget_us: switch.budget.map(super::microseconds),
            watts: switch.watts,
        }
    }
}

/// `        r0 → r8: over budget, 41.20 ms of 33.33 ms`
impl Record for SwitchRecord<'_> {
    fn text(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = match self.reason {
            Reason::OverBudget => "over budget",
            Reason::Slack => "slack",
            Reason::Power => "power",
            Reason::Held => "held",
            Reason::Released => "released",
        };
        write!(to, "        {} → {}: {reason}", self.from, self.to)?;
        if let (Some(latency), Some(budget)) = (self.latency_us, self.budget_us) {
            write!(to, ", {:.2} ms of {:.2} ms", latency / 1e3, budget / 1e3)?;
        }
        match self.watts {
            Some(watts) => write!(to, ", {watts:.2} W"),
            None => Ok(()),
        }
    }
}

/// What runs: places among a model's choices.
#[derive(Debug)]
pub(crate) struct Schedules {
    governor: Option<Governor>,
    /// What runs without a governor, unless another is held.
    own: usize,
    current: usize,
    held: Option<usize>,
    /// What was told to be missed.
    missed: Missed,
    begin: Instant,
    /// Of the last batch.
    latency: Duration,
}

impl Schedules {
    /// For a model, which runs what is chosen first. Allocates.
    ///
    /// # Errors
    /// [`GoalError`]: no schedule meets the goals.
    pub(crate) fn new(model: &mut Model, goals: Goals) -> Result<Self, GoalError> {
        let own = model.current();
        let governor = match goals == Goals::default() {
            true => None,
            false => Some(Governor::new(&model.points, goals)?),
        };
        let current = governor.as_ref().map_or(own, Governor::current);
        // The names of choices are those of the pack.
        let _ = model.choose(current);
        Ok(Self {
            governor,
            own,
            current,
            held: None,
            missed: Missed::default(),
            begin: Instant::now(),
            latency: Duration::ZERO,
        })
    }

    /// What runs, and whether it is held.
    pub(super) fn current(&self) -> (usize, bool) {
        (self.current, self.held.is_some())
    }

    /// Least time from one batch to the next.
    pub(super) fn interval(&self) -> Option<Duration> {
        self.governor.as_ref()?.frame_interval()
    }

    /// A batch was classified.
    pub(super) fn batch(
        &mut self,
        model: &mut Model,
        latency: Duration,
    ) -> Result<Option<Switch>, RunError> {
        self.latency = latency;
        let now = self.begin.elapsed();
        let switch = self
            .governor
            .as_mut()
            .and_then(|own| own.frame(now, latency));
        self.follow(model, switch)
    }

    /// The board draws so much.
    pub(super) fn power(
        &mut self,
        model: &mut Model,
        watts: f64,
    ) -> Result<Option<Switch>, RunError> {
        let now = self.begin.elapsed();
        let switch = self.governor.as_mut().and_then(|own| own.power(now, watts));
        self.follow(model, switch)
    }

    /// Does what a client asks for. The inner error says why it cannot be.
    pub(super) fn obey(
        &mut self,
        hold: Hold,
        model: &mut Model,
    ) -> Result<Result<Option<Switch>, HoldError>, RunError> {
        let wanted = match hold {
            Hold::Release => None,
            Hold::Choice(index) => Some(index),
        };
        let switch = match &mut self.governor {
            Some(governor) => governor.hold(wanted),
            // A choice of a model that was replaced meanwhile may not be there.
            None if wanted.is_some_and(|index| index >= model.choices.len()) => {
                Err(HoldError::Unknown)
            }
            None => Ok(self.switch(wanted, wanted.unwrap_or(self.own))),
        };
        match switch {
            Ok(switch) => {
                self.held = wanted;
                // Whether it is held is news where nothing switches.
                let switch = switch.or_else(|| self.switch(wanted, self.current));
                Ok(Ok(self.follow(model, switch)?))
            }
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// The choice that is held, if one is.
    pub(super) fn held(&self) -> Option<usize> {
        self.held
    }

    /// What a client made run.
    fn switch(&self, wanted: Option<usize>, to: usize) -> Option<Switch> {
        Some(Switch {
            from: self.current,
            to,
            reason: match wanted {
                Some(_) => Reason::Held,
                None => Reason::Released,
            },
            latency: self.latency,
            budget: None,
            watts: None,
        })
    }

    /// Runs what a switch says.
    fn follow(
        &mut self,
        model: &mut Model,
        switch: Option<Switch>,
    ) -> Result<Option<Switch>, RunError> {
        if let Some(switch) = &switch {
            model.choose(switch.to)?;
            self.current = switch.to;
        }
        Ok(switch)
    }

    /// Goals that are missed, if those are others than when this was asked last.
    pub(super) fn newly_missed(&mut self) -> Option<Missed> {
        let missed = self.governor.as_ref()?.missed();
        let before = std::mem::replace(&mut self.missed, missed);
        (missed != before).then_some(missed)
    }

    /// Says of goals that will be missed from the start.
    pub(crate) fn warn(&self) {
        let Some(missed) = self.governor.as_ref().map(Governor::missed) else {
            return;
        };
        if missed.frames_per_second {
            output::warning(&"--target-fps: even the fastest schedule is slower than that here");
        }
    }
}
