//! Timing: short bursts of runs, the backends taking turns.

use super::suite::Backend;
use mergevit_kernels::cuda::DeviceError;
use std::time::{Duration, Instant};

/// Turns of each backend. The speed of a machine drifts within seconds; turns spread the drift over all backends.
const TURNS: u32 = 10;

/// Length of a burst: long compared with reading the clock, short compared with a scheduler's time slice.
const BURST_NS: f64 = 50_000.0;

/// Most runs of a burst.
const MAX_REPEATS: f64 = 1000.0;

/// How long to measure.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// For each case on each backend, including the warm-up.
    pub(crate) time: Duration,
    /// Fewest bursts, however slow the backend.
    pub(crate) min_bursts: usize,
}

/// Nanoseconds of a run, over all bursts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Timing {
    pub(crate) bursts: usize,
    pub(crate) median_ns: f64,
    pub(crate) min_ns: f64,
    pub(crate) p90_ns: f64,
}

impl Timing {
    /// From the nanoseconds of each burst, at least one.
    pub(crate) fn of(mut bursts: Vec<f64>) -> Self {
        bursts.sort_by(f64::total_cmp);
        // Nearest rank.
        let quantile = |share: f64| bursts[((bursts.len() - 1) as f64 * share).round() as usize];
        Self {
            bursts: bursts.len(),
            median_ns: quantile(0.5),
            min_ns: bursts[0],
            p90_ns: quantile(0.9),
        }
    }
}

/// What is known of a backend so far.
struct Progress {
    /// Runs of a burst.
    repeats: u32,
    spent: Duration,
    bursts: Vec<f64>,
}

/// Times the operation, which all backends have run before, on each of them in turn.
///
/// # Errors
/// [`DeviceError`] if a device failed.
pub(crate) fn interleaved<O: ?Sized>(
    operation: &mut O,
    backends: &mut [Box<dyn Backend<O>>],
    budget: &Budget,
) -> Result<Vec<Timing>, DeviceError> {
    let warm_up = budget.time / TURNS;
    let mut progress = Vec::with_capacity(backends.len());
    for backend in &mut *backends {
        progress.push(Progress::warm_up(operation, &mut **backend, warm_up)?);
    }
    let rest = budget.time - warm_up;
    for turn in 1..=TURNS {
        let due = rest * turn / TURNS;
        let min_bursts = if turn == TURNS { budget.min_bursts } else { 0 };
        for (backend, progress) in backends.iter_mut().zip(&mut progress) {
            // A slow backend is ahead of its turn and lets the next ones pass.
            while progress.spent < due || progress.bursts.len() < min_bursts {
                progress.burst(operation, &mut **backend)?;
            }
        }
    }
    Ok(progress.into_iter().map(|p| Timing::of(p.bursts)).collect())
}

impl Progress {
    /// Runs the operation for a while, at least once, to learn how many runs make a burst.
    fn warm_up<O: ?Sized>(
        operation: &mut O,
        backend: &mut dyn Backend<O>,
        time: Duration,
    ) -> Result<Self, DeviceError> {
        let start = Instant::now();
        let mut fastest = backend.time(operation, 1)?;
        while start.elapsed() < time {
            fastest = fastest.min(backend.time(operation, 1)?);
        }
        Ok(Self {
            repeats: (BURST_NS / fastest).clamp(1.0, MAX_REPEATS) as u32,
            spent: Duration::ZERO,
            bursts: Vec::new(),
        })
    }

    fn burst<O: ?Sized>(
        &mut self,
        operation: &mut O,
        backend: &mut dyn Backend<O>,
    ) -> Result<(), DeviceError> {
        let start = Instant::now();
        self.bursts.push(backend.time(operation, self.repeats)?);
        self.spent += start.elapsed();
        Ok(())
    }
}
