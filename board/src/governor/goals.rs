//! What is asked of a governor, and what it can choose from.

use std::time::Duration;
use thiserror::Error;

/// A schedule, as measured on this board before the run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Point {
    /// The caller's number of it.
    pub(crate) schedule: usize,
    /// Preprocessing and inference of what is classified at once.
    pub(crate) latency: Duration,
    /// A share, 0..=1, if the pack says one.
    pub(crate) accuracy: Option<f64>,
}

/// What is asked for. Where not all of it can be had, accuracy comes first, then power, then the frame rate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Goals {
    /// Frames per second; above 0.
    pub(crate) frames_per_second: Option<f64>,
    /// The most that the board may draw; above 0.
    pub(crate) watts: Option<f64>,
    /// The least accuracy of a schedule that may run, a share, 0..=1.
    pub(crate) accuracy: Option<f64>,
}

/// Goals under which nothing can run.
#[derive(Clone, Copy, Debug, Error, PartialEq)]
pub(crate) enum GoalError {
    /// There are no schedules.
    #[error("there is no schedule to choose from")]
    NoSchedule,
    /// A schedule has no time.
    #[error("schedule {0} was not measured")]
    NotMeasured(usize),
    /// No schedule is accurate enough.
    #[error("no schedule reaches an accuracy of {:.2} %{}", wanted * 100.0, best_of(*best))]
    Accuracy {
        /// The minimum that was asked for.
        wanted: f64,
        /// The best that is known of a schedule.
        best: Option<f64>,
    },
}

fn best_of(best: Option<f64>) -> String {
    best.map_or("; the pack states none".into(), |best| {
        format!("; the best has {:.2} %", best * 100.0)
    })
}
