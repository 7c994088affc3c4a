//! Measures on request, so that a script can alternate between engines.

use super::latency::{Limit, times};
use super::pixels::Pixels;
use crate::failure::Failure;
use crate::output;
use mergevit_runtime::Engine;
use std::io::{self, BufRead, Read};

/// Most runs per request.
const MAX_COUNT: u32 = 1_000_000;

/// Bytes of a request that are read: more than any count has.
const MAX_REQUEST: u64 = 64;

/// Reads one count per line; answers each with a line of that many latencies in microseconds, separated by
/// spaces. Ends at an empty line or at the end of the input.
pub(super) fn serve(engine: &mut Engine, pixels: &Pixels) -> Result<(), Failure> {
    let mut input = io::stdin().lock();
    let mut line = String::new();
    loop {
        line.clear();
        let read = input.by_ref().take(MAX_REQUEST).read_line(&mut line);
        read.map_err(|error| Failure::work(&format_args!("standard input: cannot read: {error}")))?;
        let request = line.trim();
        if request.is_empty() {
            return Ok(());
        }
        let count = request.parse().ok();
        let count = count.filter(|count| (1..=MAX_COUNT).contains(count));
        let count = count.ok_or_else(|| {
            Failure::work(&format_args!(
                "standard input: count {request:?}, expected 1 to {MAX_COUNT}"
            ))
        })?;
        let times = times(engine, pixels, Limit::Iterations(count))?;
        let microseconds = times
            .iter()
            .map(|&time| format!("{:.1}", time as f64 / 1e3));
        let answer: Vec<String> = microseconds.collect();
        output::print(&format!("{}\n", answer.join(" ")))?;
    }
}
