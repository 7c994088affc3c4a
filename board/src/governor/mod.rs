//! Decides which schedule runs, and how often: holds a frame rate and a power limit by merging more, and goes back to more
//! accurate schedules where there is room.
//!
//! It knows no clock, no engine and no sensor: the live loop tells what a frame took and what the board draws, and times
//! since any one moment. After [`Governor::new`] nothing allocates. Two loops each ask for a level of the [`Ladder`], and
//! the faster one of the two runs:
//!
//! - [`pace`] looks at each frame, and asks for the most accurate schedule that keeps the frame rate;
//! - [`power`] looks once a second, lowers the frame rate, and then the schedule.
//!
//! Whatever they do, no schedule below the minimum accuracy runs; a raise follows no other switch within 2 s; and each
//! raise that fails doubles the wait before the next, up to some minutes ([`backoff`]).

mod backoff;
mod goals;
mod ladder;
mod pace;
mod power;
#[cfg(test)]
mod simulator;
#[cfg(test)]
mod tests;

pub(crate) use goals::{GoalError, Goals, Point};
use ladder::Ladder;
use pace::Pace;
use power::{Freedom, Power};
use serde::Serialize;
use std::time::Duration;
use thiserror::Error;

/// Frames are let through at this multiple of the wanted rate. At just that rate, a frame that came late once would leave
/// all later ones waiting, because a camera's frames and ours would stay apart for ever.
const HEADROOM: f64 = 1.05;

/// Why a schedule is not held.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub(crate) enum HoldError {
    /// It is none of the points.
    #[error("there is no such schedule")]
    Unknown,
    /// It is less accurate than the goals allow.
    #[error("the schedule is below the minimum accuracy")]
    Accuracy,
}

/// Why a schedule follows another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// Frames took, or were about to take, longer than their rate allows.
    OverBudget,
    /// There is room for a more accurate schedule.
    Slack,
    /// The board drew too much.
    Power,
    /// Somebody chose it.
    Held,
    /// Somebody gave the choice back.
    Released,
}

/// One schedule follows another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Switch {
    pub(crate) from: usize,
    pub(crate) to: usize,
    pub(crate) reason: Reason,
    /// The latest frame's.
    pub(crate) latency: Duration,
    /// What a frame may take, if a frame rate is asked for.
    pub(crate) budget: Option<Duration>,
    /// The latest mean over a second, if it is known.
    pub(crate) watts: Option<f64>,
}

/// Goals that are missed though all was done for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missed {
    /// The fastest schedule is too slow, or power allows fewer frames.
    pub(crate) frames_per_second: bool,
    /// The board draws too much at the lowest frame rate and the fastest schedule.
    pub(crate) watts: bool,
}

/// Chooses schedules during a run.
#[derive(Debug)]
pub(crate) struct Governor {
    ladder: Ladder,
    points: Box<[Point]>,
    goals: Goals,
    pace: Option<Pace>,
    power: Option<Power>,
    /// The level that runs unless a schedule is held.
    level: usize,
    held: Option<usize>,
    latency: Duration,
    watts: Option<f64>,
}

impl Governor {
    /// Goals for the schedules in `points`, in any order.
    ///
    /// Under a frame rate the most accurate schedule that should keep it runs first, and under a power limit alone the most
    /// accurate one of all. With a minimum accuracy alone the fastest runs that reaches it. Without any goal the first
    /// point runs; nothing but [`Governor::hold`] changes that.
    ///
    /// # Errors
    /// [`GoalError`] if no schedule may run.
    pub(crate) fn new(points: &[Point], goals: Goals) -> Result<Self, GoalError> {
        let governed = match goals == Goals::default() {
            true => &points[..points.len().min(1)],
            false => points,
        };
        let ladder = Ladder::new(governed, goals.accuracy)?;
        let rate = goals.frames_per_second;
        let pace = rate.map(|rate| Pace::new(rate, &ladder));
        let power = goals.watts.map(|watts| Power::new(watts, rate));
        let level = match (&pace, &power) {
            (Some(pace), _) => pace.level(),
            (None, Some(_)) => 0,
            (None, None) => ladder.fastest(),
        };
        Ok(Self {
            ladder,
            points: points.into(),
            goals,
            pace,
            power,
            level,
            held: None,
            latency: Duration::ZERO,
            watts: None,
        })
    }

    /// The schedule that is to run.
    pub(crate) fn current(&self) -> usize {
        self.held
            .unwrap_or_else(|| self.ladder.schedule(self.level))
    }

    /// The least time from the begin of a frame to that of the next.
    pub(crate) fn frame_interval(&self) -> Option<Duration> {
        let wanted = self.goals.frames_per_second.map(|rate| rate * HEADROOM);
        let allowed = self.power.as_ref().and_then(Power::cap);
        let rate = match (wanted, allowed) {
            (Some(wanted), Some(allowed)) => wanted.min(allowed),
            (wanted, allowed) => wanted.or(allowed)?,
        };
        Some(Duration::from_secs_f64(1.0 / rate))
    }

    /// Goals that are missed now; at the start, those that will be.
    pub(crate) fn missed(&self) -> Missed {
        let wanted = self.goals.frames_per_second;
        let allowed = self.power.as_ref().and_then(Power::cap);
        let capped = wanted.zip(allowed).is_some_and(|(w, a)| a < w);
        Missed {
            frames_per_second: capped || self.pace.as_ref().is_some_and(Pace::is_missed),
            watts: self.power.as_ref().is_some_and(Power::is_missed),
        }
    }

    /// Tells that the current schedule took `latency` for what was classified until `now`.
    pub(crate) fn frame(&mut self, now: Duration, latency: Duration) -> Option<Switch> {
        self.latency = latency;
        if let Some(power) = &mut self.power {
            power.frame();
        }
        if self.held.is_some() {
            return None;
        }
        let floor = self.power.as_ref().map_or(0, Power::level);
        self.pace.as_mut()?.frame(now, latency, &self.ladder, floor);
        self.follow(Reason::OverBudget)
    }

    /// Tells what the board draws at `now`, at any rate of at least 1 Hz. Watch [`Governor::frame_interval`] after it.
    pub(crate) fn power(&mut self, now: Duration, watts: f64) -> Option<Switch> {
        let freedom = Freedom {
            fastest: self.ladder.fastest(),
            pace: self.pace.as_ref().map_or(0, Pace::level),
            held: self.held.is_some(),
        };
        let mean = self.power.as_mut()?.sample(now, watts, freedom)?;
        self.watts = Some(mean);
        self.follow(Reason::Power)
    }

    /// Holds a schedule whatever it costs, or gives the choice back. A power limit goes on to limit the frame rate.
    ///
    /// # Errors
    /// [`HoldError`] if the schedule may not run; nothing changes then.
    pub(crate) fn hold(&mut self, schedule: Option<usize>) -> Result<Option<Switch>, HoldError> {
        let from = self.current();
        if let Some(schedule) = schedule {
            let mut points = self.points.iter();
            let point = points.find(|point| point.schedule == schedule);
            let point = point.ok_or(HoldError::Unknown)?;
            if !ladder::reaches(point.accuracy, self.goals.accuracy) {
                return Err(HoldError::Accuracy);
            }
        }
        self.held = schedule;
        let reason = match schedule {
            Some(_) => Reason::Held,
            None => Reason::Released,
        };
        Ok(self.switch(from, reason))
    }

    /// Runs the level that both loops ask for; `slower` is the reason if that is a faster schedule.
    fn follow(&mut self, slower: Reason) -> Option<Switch> {
        let from = self.current();
        let pace = self.pace.as_ref().map_or(0, Pace::level);
        let level = pace.max(self.power.as_ref().map_or(0, Power::level));
        let reason = match level > self.level {
            true => slower,
            false => Reason::Slack,
        };
        self.level = level;
        self.switch(from, reason)
    }

    /// Tells of a switch, if there is one, and forgets what was measured before it.
    fn switch(&mut self, from: usize, reason: Reason) -> Option<Switch> {
        let to = self.current();
        if from == to {
            return None;
        }
        if let Some(pace) = &mut self.pace {
            pace.switched();
        }
        if let Some(power) = &mut self.power {
            power.switched();
        }
        Some(Switch {
            from,
            to,
            reason,
            latency: self.latency,
            budget: self.pace.as_ref().map(Pace::budget),
            watts: self.watts,
        })
    }
}
