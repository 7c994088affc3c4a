//! Timing each operation on the processor, or each launch on a device.

use super::row::{Row, Shape};
use crate::commands::bench::latency::{Limit, nanoseconds};
use crate::commands::bench::pixels::Pixels;
use crate::failure::Failure;
use crate::telemetry::quantile;
use mergevit_runtime::estimate::{self, Module};
use mergevit_runtime::inspect::{self, ArenaView, DeviceTimes, LaunchTimes, Op, PlannedLaunch};
use mergevit_runtime::{Engine, RunError};
use std::slice;
use std::time::Instant;

/// Runs of each launch on a device: enough for the clocks to rise and for the timer's resolution.
pub(super) const REPEATS: u32 = 50;

/// Times every launch on a device, which the estimate may know as `module`; `None` on the processor. A row is named after
/// the last operation that the launch computes, or after its kernel if it computes none of the plan's.
pub(super) fn launches(
    engine: &mut Engine,
    pixels: &Pixels,
    module: Option<&Module>,
) -> Result<Option<(DeviceTimes, Vec<Row>)>, Failure> {
    let failure = |error: RunError| Failure::work(&error);
    // The arena then holds what real runs leave there.
    engine.classify_pixels(pixels.all()).map_err(failure)?;
    let mut rows: Vec<Row> = Vec::new();
    let mut timer = |planned: &PlannedLaunch, times: LaunchTimes| {
        let cost = planned.ops.iter().map(Op::cost).sum();
        let last = planned.ops.last().map(|op| (op.name(), op.layer()));
        let (name, layer) = last.unwrap_or((planned.launch.kernel.name(), None));
        let estimate = |module| estimate::Row::new(slice::from_ref(planned), module).total_us;
        rows.push(Row {
            launch: Some(Shape::of(&planned.launch)),
            in_place_us: times.in_place_us,
            estimate_us: module.map(estimate),
            ..Row::new(name, layer, times.alone_us, cost)
        });
    };
    let whole = inspect::time_launches(engine, REPEATS, &mut timer).map_err(failure)?;
    Ok(whole.map(|whole| (whole, rows)))
}

/// Times every operation on the processor until the limit.
pub(super) fn operations(
    engine: &mut Engine,
    pixels: &Pixels,
    limit: Limit,
) -> Result<(usize, Vec<Row>), Failure> {
    let count = engine.plan().ops().count();
    let mut times = vec![Vec::new(); count];
    let mut runs = 0;
    let start = Instant::now();
    while !limit.reached(runs, start.elapsed()) {
        let mut times = times.iter_mut();
        let mut begin = Instant::now();
        let mut observer = |_: &Op, _: &ArenaView<'_>| {
            let end = Instant::now();
            if let Some(times) = times.next() {
                times.push(nanoseconds(end - begin));
            }
            begin = Instant::now();
        };
        inspect::observe(engine, pixels.all(), &mut observer)
            .map_err(|error| Failure::work(&error))?;
        runs += 1;
    }
    let ops = engine.plan().ops();
    let rows = ops
        .zip(&mut times)
        .map(|(op, times)| {
            times.sort_unstable();
            let time_us = quantile(times, 0.5).unwrap_or(0) as f64 / 1e3;
            Row::new(op.name(), op.layer(), time_us, op.cost())
        })
        .collect();
    Ok((runs, rows))
}
