//! Holds a power limit, once a second: classifies fewer frames first, which at one frame a time saves more than merging,
//! and then merges more.
//!
//! A frame rate that is asked for comes before accuracy: above it frames are dropped first, at it the schedule is lowered,
//! and only under the fastest schedule does the rate fall below it. On the way back it is the other way round.
//!
//! Power is that of the board: what it draws idle, plus energy a frame times frames a second. Neither part is known. A
//! rate that is raised in the proportion of limit and power therefore never leads past the limit, and one that is lowered
//! by the square of the proportion is soon below it.

use super::backoff::Backoff;
use std::time::Duration;

/// How often it acts, if there are frames enough to tell a rate.
const PERIOD: Duration = Duration::from_secs(1);

/// Frames that tell a rate.
const FRAMES: u32 = 3;

/// Share of the limit below which the frame rate is raised; between that and the limit nothing changes.
const SLACK: f64 = 0.95;

/// Share of the limit that a change of the frame rate aims at.
const AIM: f64 = 0.97;

/// Share of the limit below which a more accurate schedule is tried.
const ROOM: f64 = 0.90;

/// Periods above the limit before a schedule is lowered: one may be a reading at the edge.
const PATIENCE: u32 = 2;

/// Frames a second that remain, whatever the limit.
const LOWEST_RATE: f64 = 1.0;

/// The largest factor by which the frame rate changes in one period.
const STEP: f64 = 2.0;

/// The cap binds if the rate is at least this share of it.
const BINDS: f64 = 0.9;

#[derive(Debug)]
pub(super) struct Power {
    limit: f64,
    /// Frames a second down to which the rate falls before the schedule is lowered.
    wanted: f64,
    /// Frames a second that are allowed; infinity if power does not matter.
    cap: f64,
    level: usize,
    window: Window,
    over: u32,
    room_since: Option<Duration>,
    backoff: Backoff,
    missed: bool,
}

/// What was measured since the last decision.
#[derive(Debug, Default)]
struct Window {
    since: Option<Duration>,
    watts: f64,
    samples: u32,
    frames: u32,
}

/// Which schedules power may choose among.
#[derive(Clone, Copy, Debug)]
pub(super) struct Freedom {
    /// The fastest level.
    pub(super) fastest: usize,
    /// The level that the frame rate asks for; a slower one would not run.
    pub(super) pace: usize,
    /// Somebody holds a schedule: only the rate may change.
    pub(super) held: bool,
}

impl Power {
    /// `limit` in watts; `rate` in frames per second, if one is asked for.
    pub(super) fn new(limit: f64, rate: Option<f64>) -> Self {
        Self {
            limit,
            wanted: rate.unwrap_or(LOWEST_RATE),
            cap: f64::INFINITY,
            level: 0,
            window: Window::default(),
            over: 0,
            room_since: None,
            backoff: Backoff::new(),
            missed: false,
        }
    }

    /// The most accurate level that power allows.
    pub(super) fn level(&self) -> usize {
        self.level
    }

    /// Frames per second that power allows.
    pub(super) fn cap(&self) -> Option<f64> {
        self.cap.is_finite().then_some(self.cap)
    }

    /// Whether the limit is exceeded though nothing is left to lower.
    pub(super) fn is_missed(&self) -> bool {
        self.missed
    }

    /// Counts a classified frame.
    pub(super) fn frame(&mut self) {
        self.window.frames += 1;
    }

    /// Forgets what was measured, because another level runs from now on.
    pub(super) fn switched(&mut self) {
        self.window = Window::default();
        self.over = 0;
        self.room_since = None;
    }

    /// Learns what the board draws. Answers with the mean since the last decision, if it has decided.
    pub(super) fn sample(&mut self, now: Duration, watts: f64, freedom: Freedom) -> Option<f64> {
        if !watts.is_finite() || watts < 0.0 {
            return None;
        }
        let since = *self.window.since.get_or_insert(now);
        self.window.watts += watts;
        self.window.samples += 1;
        let elapsed = now.saturating_sub(since);
        let longest = f64::from(FRAMES) / self.lowest();
        let few = self.window.frames < FRAMES && elapsed.as_secs_f64() < longest;
        if elapsed < PERIOD || few {
            return None;
        }
        let mean = self.window.watts / f64::from(self.window.samples);
        let rate = f64::from(self.window.frames) / elapsed.as_secs_f64();
        self.window = Window {
            since: Some(now),
            ..Window::default()
        };
        if mean > self.limit {
            self.room_since = None;
            self.over += 1;
            self.lower(now, mean, rate, freedom);
        } else {
            self.over = 0;
            self.missed = false;
            // A board that draws little because there are no frames has no room for more accurate ones.
            if mean < SLACK * self.limit && rate > 0.0 {
                self.raise(now, mean, rate, freedom);
            } else {
                self.room_since = None;
            }
        }
        Some(mean)
    }

    /// The frame rate that remains, whatever the limit.
    fn lowest(&self) -> f64 {
        LOWEST_RATE.min(self.wanted)
    }

    fn lower(&mut self, now: Duration, mean: f64, rate: f64, freedom: Freedom) {
        let level = self.level.max(freedom.pace);
        let rate = rate.min(self.cap);
        let slower = rate * (AIM * self.limit / mean).powi(2).max(1.0 / STEP);
        if rate == 0.0 {
            // It is not this program that draws too much.
            self.missed = self.over >= PATIENCE;
        } else if rate > self.wanted {
            self.cap = slower.max(self.wanted);
        } else if !freedom.held && level < freedom.fastest {
            // Pacing lets a little more than the wanted rate through.
            self.cap = self.cap.min(self.wanted);
            if self.over >= PATIENCE {
                self.level = level + 1;
                self.backoff.lowered(now);
            }
        } else if self.cap > self.lowest() {
            self.cap = slower.max(self.lowest());
        } else {
            self.missed = self.over >= PATIENCE;
        }
    }

    fn raise(&mut self, now: Duration, mean: f64, rate: f64, freedom: Freedom) {
        let faster = self.cap * (AIM * self.limit / mean).min(STEP);
        if self.cap < self.wanted {
            self.cap = faster.min(self.wanted);
        } else if self.level > 0 && !freedom.held && self.level >= freedom.pace {
            if mean >= ROOM * self.limit {
                self.room_since = None;
                return;
            }
            let since = *self.room_since.get_or_insert(now);
            if now.saturating_sub(since) >= self.backoff.wait() {
                self.level -= 1;
                self.backoff.raised(now);
                self.room_since = None;
            }
        } else if rate < BINDS * self.cap {
            self.cap = f64::INFINITY;
        } else {
            self.cap = faster;
        }
    }
}
