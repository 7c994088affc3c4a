//! The schedules that may run, from the most accurate to the fastest.

use super::goals::{GoalError, Point};
use std::time::Duration;

/// Schedules in the order in which a governor goes through them. Level 0 is the slowest and most accurate; each further
/// one is faster.
#[derive(Debug)]
pub(super) struct Ladder {
    levels: Box<[Level]>,
}

#[derive(Clone, Copy, Debug)]
struct Level {
    schedule: usize,
    /// Seconds a frame, as measured at start.
    seconds: f64,
}

impl Ladder {
    /// Keeps the points that reach `accuracy`, less those that another beats in both time and accuracy.
    ///
    /// A point whose accuracy is not known reaches no minimum: nobody could promise it.
    ///
    /// # Errors
    /// [`GoalError`] if no point is left, or one took no time.
    pub(super) fn new(points: &[Point], accuracy: Option<f64>) -> Result<Self, GoalError> {
        if let Some(point) = points.iter().find(|point| point.latency.is_zero()) {
            return Err(GoalError::NotMeasured(point.schedule));
        }
        let mut kept: Vec<Point> = points
            .iter()
            .filter(|point| reaches(point.accuracy, accuracy))
            .copied()
            .collect();
        if kept.is_empty() {
            return Err(match accuracy {
                Some(wanted) => GoalError::Accuracy {
                    wanted,
                    best: points.iter().filter_map(|p| p.accuracy).reduce(f64::max),
                },
                None => GoalError::NoSchedule,
            });
        }
        // Of two that take the same time, the more accurate stays.
        kept.sort_by(|a, b| {
            let accuracies = a.accuracy.partial_cmp(&b.accuracy);
            let accuracy = accuracies.unwrap_or(std::cmp::Ordering::Equal);
            a.latency.cmp(&b.latency).then(accuracy.reverse())
        });
        let mut levels: Vec<Level> = Vec::with_capacity(kept.len());
        let mut best: Option<f64> = None;
        let mut slowest = Duration::ZERO;
        for point in kept {
            let beaten = match (point.accuracy, best) {
                (Some(accuracy), Some(best)) => accuracy <= best,
                _ => point.latency == slowest,
            };
            if beaten {
                continue;
            }
            best = point.accuracy.or(best);
            slowest = point.latency;
            levels.push(Level {
                schedule: point.schedule,
                seconds: point.latency.as_secs_f64(),
            });
        }
        levels.reverse();
        Ok(Self {
            levels: levels.into(),
        })
    }

    /// The number of levels; at least 1.
    pub(super) fn len(&self) -> usize {
        self.levels.len()
    }

    /// The level of the fastest schedule.
    pub(super) fn fastest(&self) -> usize {
        self.levels.len() - 1
    }

    /// The schedule of a level.
    pub(super) fn schedule(&self, level: usize) -> usize {
        self.levels[level].schedule
    }

    /// Seconds that a level took when it was measured.
    pub(super) fn measured(&self, level: usize) -> f64 {
        self.levels[level].seconds
    }

    /// Seconds that `level` should take now, where `running` takes `seconds`: what slows one slows the others as much.
    pub(super) fn predict(&self, level: usize, running: usize, seconds: f64) -> f64 {
        seconds * self.measured(level) / self.measured(running)
    }

    /// The most accurate level from `from` on whose time, which `time` tells, is at most `limit`; else the fastest.
    pub(super) fn within(&self, from: usize, limit: f64, time: impl Fn(usize) -> f64) -> usize {
        (from..self.len())
            .find(|&level| time(level) <= limit)
            .unwrap_or(self.fastest())
    }
}

/// Whether a schedule of some accuracy may run under a minimum.
pub(super) fn reaches(accuracy: Option<f64>, minimum: Option<f64>) -> bool {
    minimum.is_none_or(|minimum| accuracy.is_some_and(|accuracy| accuracy >= minimum))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(schedule: usize, milliseconds: u64, accuracy: impl Into<Option<f64>>) -> Point {
        Point {
            schedule,
            latency: Duration::from_millis(milliseconds),
            accuracy: accuracy.into(),
        }
    }

    fn schedules(ladder: &Ladder) -> Vec<usize> {
        (0..ladder.len()).map(|l| ladder.schedule(l)).collect()
    }

    #[test]
    fn levels_go_from_the_slowest_to_the_fastest_without_those_that_another_beats() {
        let points = [
            point(0, 20, 0.90),
            point(1, 10, 0.85),
            // Slower than 0 and no better.
            point(2, 25, 0.90),
            // As slow as 1 and worse.
            point(3, 10, 0.80),
            point(4, 5, 0.70),
            point(5, 15, None),
        ];
        let ladder = Ladder::new(&points, None).expect("schedules");
        assert_eq!(schedules(&ladder), [0, 5, 1, 4]);
        assert_eq!(ladder.measured(3), 0.005);
        assert!((ladder.predict(0, 2, 0.030) - 0.060).abs() < 1e-9);
        let ladder = Ladder::new(&points, Some(0.85)).expect("schedules");
        assert_eq!(schedules(&ladder), [0, 1]);
        let unknown = [point(0, 9, None), point(1, 9, None), point(2, 3, None)];
        let ladder = Ladder::new(&unknown, None).expect("schedules");
        assert_eq!(schedules(&ladder), [0, 2]);
    }

    #[test]
    fn what_no_schedule_reaches_is_an_error_with_the_best() {
        let points = [point(0, 20, 0.90), point(1, 10, None)];
        let error = Ladder::new(&points, Some(0.95)).expect_err("0.95 is not reached");
        let expected = GoalError::Accuracy {
            wanted: 0.95,
            best: Some(0.90),
        };
        assert_eq!(error, expected);
        let error = Ladder::new(&[], None).expect_err("no schedules");
        assert_eq!(error, GoalError::NoSchedule);
        let error = Ladder::new(&[point(7, 0, None)], None).expect_err("no time");
        assert_eq!(error, GoalError::NotMeasured(7));
    }
}
