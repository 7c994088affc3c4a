//! Holds a frame rate: merges more where frames take too much of their time, and less where there is room.
//!
//! Thresholds after A. Vlachos, "Advanced VR Rendering Performance" (GDC 2016), which holds a display's rate in the same
//! way: lower above 90 % of the budget, or above 85 % where the trend leads past 90 %; raise below 70 %. A display's frame
//! times have no outliers, those of a program beside others on Linux do: the median of three frames stands for one.

use super::backoff::Backoff;
use super::ladder::Ladder;
use std::time::Duration;

/// Share of the budget above which a schedule is too slow.
const HIGH: f64 = 0.90;

/// Share of the budget above which the trend counts, and below which a schedule is chosen.
const TREND: f64 = 0.85;

/// Share of the budget below which a slower schedule must stay, by prediction, before it runs.
const LOW: f64 = 0.70;

/// Frames of which the median counts.
const WINDOW: usize = 3;

/// Without a frame for this long or four budgets, if that is longer, what was measured before says nothing any more.
const FORGOTTEN: Duration = Duration::from_secs(1);

/// How long frames must be late under the fastest schedule before the rate counts as missed.
const LATE: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Pace {
    /// Seconds a frame may take.
    budget: f64,
    level: usize,
    recent: [f64; WINDOW],
    /// How many of `recent` are measured.
    count: usize,
    median: Option<f64>,
    last: Duration,
    /// Since when each level would have had room.
    room: Box<[Option<Duration>]>,
    backoff: Backoff,
    late_since: Option<Duration>,
    missed: bool,
}

impl Pace {
    /// `rate` in frames per second. Starts at the most accurate level that was measured to fit.
    pub(super) fn new(rate: f64, ladder: &Ladder) -> Self {
        let budget = 1.0 / rate;
        Self {
            budget,
            level: ladder.within(0, TREND * budget, |level| ladder.measured(level)),
            recent: [0.0; WINDOW],
            count: 0,
            median: None,
            last: Duration::ZERO,
            room: vec![None; ladder.len()].into(),
            backoff: Backoff::new(),
            late_since: None,
            missed: ladder.measured(ladder.fastest()) > budget,
        }
    }

    /// What a frame may take.
    pub(super) fn budget(&self) -> Duration {
        Duration::from_secs_f64(self.budget)
    }

    /// The level that the frame rate asks for.
    pub(super) fn level(&self) -> usize {
        self.level
    }

    /// Whether the rate is missed even under the fastest schedule.
    pub(super) fn is_missed(&self) -> bool {
        self.missed
    }

    /// Forgets what was measured, because another level runs from now on.
    pub(super) fn switched(&mut self) {
        self.count = 0;
        self.median = None;
        self.room.fill(None);
    }

    /// Learns what a frame took. Power allows `floor` and the faster levels; the faster of that and this level ran.
    pub(super) fn frame(
        &mut self,
        now: Duration,
        latency: Duration,
        ladder: &Ladder,
        floor: usize,
    ) {
        let running = self.level.max(floor);
        let forgotten = FORGOTTEN.max(self.budget() * 4);
        if now.saturating_sub(self.last) > forgotten {
            self.switched();
            self.late_since = None;
        }
        self.last = now;
        self.recent.rotate_left(1);
        self.recent[WINDOW - 1] = latency.as_secs_f64();
        self.count = (self.count + 1).min(WINDOW);
        if self.count < WINDOW {
            return;
        }
        let median = median(self.recent);
        let before = self.median.replace(median).unwrap_or(median);
        self.judge_lateness(now, median, running == ladder.fastest());
        let time = |level| ladder.predict(level, running, median);
        let (high, trend) = (HIGH * self.budget, TREND * self.budget);
        if median > high || (median > trend && 2.0 * median - before > high) {
            self.room.fill(None);
            if running < ladder.fastest() {
                self.level = ladder.within(running + 1, trend, time);
                self.backoff.lowered(now);
            }
            return;
        }
        for (level, since) in self.room[..running].iter_mut().enumerate() {
            *since = match time(level) < LOW * self.budget {
                true => since.or(Some(now)),
                false => None,
            };
        }
        self.raise(now, floor);
    }

    /// Goes up to the most accurate level that power allows and that had room for long enough.
    fn raise(&mut self, now: Duration, floor: usize) {
        let wait = self.backoff.wait();
        let enough = |&level: &usize| {
            let since = self.room[level];
            since.is_some_and(|since| now.saturating_sub(since) >= wait)
        };
        if let Some(level) = (floor..self.level).find(enough) {
            self.level = level;
            self.backoff.raised(now);
        }
    }

    fn judge_lateness(&mut self, now: Duration, median: f64, fastest: bool) {
        if !fastest || median <= self.budget {
            self.late_since = None;
            self.missed = false;
            return;
        }
        let since = *self.late_since.get_or_insert(now);
        self.missed |= now.saturating_sub(since) >= LATE;
    }
}

fn median(mut times: [f64; WINDOW]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[WINDOW / 2]
}
