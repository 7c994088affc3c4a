//! How long schedules take on this board, for a governor to choose from.

use crate::governor::Point;
use mergevit_kernels::frame::{Frame, PixelFormat};
use mergevit_runtime::{Engine, RunError, Schedule};
use std::time::{Duration, Instant};

/// At least so many runs of each schedule.
const LEAST_ROUNDS: usize = 9;

/// And at most so many, where the schedules are fast.
const MOST_ROUNDS: usize = 64;

/// Beyond the least number no round begins after this time.
const LIMIT: Duration = Duration::from_millis(200);

/// Times every schedule of a pack with batches of so many frames of so many pixels, (width, height). The engine runs
/// afterwards what it ran before. Allocates.
///
/// # Errors
/// [`RunError`]
pub(super) fn measure(
    engine: &mut Engine,
    batch: usize,
    size: (usize, usize),
) -> Result<Vec<Point>, RunError> {
    let before = crate::model::chosen(engine).to_owned();
    let format = PixelFormat::Nv12;
    let bytes = vec![0x80; format.frame_bytes(size.0, size.1)];
    let frame = Frame::packed(format, size.0, size.1, &bytes);
    let frame = frame.expect("a size that the engine has room for");
    let latencies = latencies(engine, &vec![frame; batch])?;
    engine.set_schedule(&before)?;
    let accuracies = accuracies(engine.pack().schedules());
    Ok(latencies
        .into_iter()
        .zip(accuracies)
        .enumerate()
        .map(|(schedule, (latency, accuracy))| Point {
            schedule,
            latency,
            accuracy,
        })
        .collect())
}

/// The least time of each schedule: what else runs here only adds to it, and to compare schedules is what it is for; what
/// frames really take is measured while they are classified. The schedules take turns, so that a clock that changes does so
/// for all of them, and another one is the first in each round, so that what comes at regular times does not always meet
/// the same.
fn latencies(engine: &mut Engine, frames: &[Frame<'_>]) -> Result<Vec<Duration>, RunError> {
    let schedules = engine.pack().schedules().iter();
    let names: Vec<String> = schedules.map(|own| own.name.clone()).collect();
    let mut least = vec![Duration::MAX; names.len()];
    let begin = Instant::now();
    for round in 0..MOST_ROUNDS {
        if round >= LEAST_ROUNDS && begin.elapsed() > LIMIT {
            break;
        }
        for turn in 0..names.len() {
            let schedule = (round + turn) % names.len();
            engine.set_schedule(&names[schedule])?;
            let start = Instant::now();
            engine.classify(frames)?;
            // A schedule takes some time, whatever the clock can tell.
            let time = start.elapsed().max(Duration::from_nanos(1));
            least[schedule] = least[schedule].min(time);
        }
    }
    Ok(least)
}

/// What the pack says of each schedule, the same of all: how often its first class is right, or else how often it is that of
/// full precision without merging, or else nothing.
fn accuracies(schedules: &[Schedule]) -> Vec<Option<f64>> {
    let of = |what: fn(&Schedule) -> Option<f64>| -> Vec<Option<f64>> {
        schedules.iter().map(what).collect()
    };
    let right = of(|own| own.accuracy.as_ref().map(|accuracy| accuracy.top1));
    let same = of(|own| own.accuracy.as_ref().map(|accuracy| accuracy.agreement));
    let merging = of(|own| match own.is_unmerged() {
        true => Some(1.0),
        false => own.merging.as_ref().and_then(|merging| merging.agreement),
    });
    let is_whole = |all: &&Vec<Option<f64>>| all.iter().all(Option::is_some);
    [&right, &same, &merging]
        .into_iter()
        .find(is_whole)
        .map_or_else(|| vec![None; schedules.len()], Vec::clone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mergevit_runtime::testing;

    #[test]
    fn every_schedule_is_timed_and_what_ran_runs() {
        let pack = testing::pack(&testing::tiny(), &[0, 1, 3], 7);
        let options = Engine::options().backend("cpu").threads(1).max_batch(2);
        let options = options.max_frame(40, 30).schedule("r3");
        let mut engine = options.build(pack).expect("it loads");
        let points = measure(&mut engine, 2, (40, 30)).expect("it runs");
        assert_eq!(
            points
                .iter()
                .map(|point| point.schedule)
                .collect::<Vec<_>>(),
            [0, 1, 2]
        );
        assert!(points.iter().all(|point| !point.latency.is_zero()));
        assert_eq!(engine.schedule().name, "r3");
        // Nothing is known but of the schedule that merges nothing: not the same of all.
        assert!(points.iter().all(|point| point.accuracy.is_none()));
    }
}
