//! The most products a second that an instruction set reaches here, to hold kernels against.

use super::isa::{Dot4, Isa};
use std::hint::black_box;
use std::sync::{Barrier, OnceLock};
use std::thread::{Builder, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// How long every thread multiplies.
const DURATION: Duration = Duration::from_millis(50);

/// Steps between two looks at the clock: some tens of microseconds.
const STEPS: usize = 4096;

/// [`Isa::saturate`] for sets with a four-byte dot product: `CHAINS` sums that do not wait for each other.
#[inline(always)]
pub(super) fn saturate<I: Dot4, const CHAINS: usize>(isa: I, steps: usize) -> usize {
    let operand = black_box([1u8; 4 * super::isa::MAX_LANES]);
    let start: [i32; CHAINS] = black_box(std::array::from_fn(|i| i as i32));
    // SAFETY: `operand` has as many bytes as the widest set loads.
    let (mut bytes, weights) = unsafe {
        (
            isa.load_bytes(operand.as_ptr()),
            isa.splat_bytes(operand.as_ptr().cast()),
        )
    };
    let mut sums = [isa.splat_i32(0); CHAINS];
    for (sum, &start) in sums.iter_mut().zip(&start) {
        *sum = isa.splat_i32(start);
    }
    for _ in 0..steps {
        for sum in &mut sums {
            bytes = isa.opaque(bytes);
            *sum = isa.dot4(*sum, bytes, weights);
        }
    }
    let mut total = isa.splat_i32(0);
    for sum in sums {
        total = isa.xor_i32(total, sum);
    }
    let mut out = [0i32; super::isa::MAX_LANES];
    isa.store_i32(total, &mut out);
    black_box(out);
    steps * CHAINS * I::LANES * 4
}

/// Multiply-accumulates a second that `threads` threads reach together, each on registers alone; `None` if not all of
/// them can be started.
pub(super) fn measure<I: Isa>(isa: I, threads: usize) -> Option<f64> {
    // Whether all were started: a barrier that somebody is missing from would never open.
    let complete = OnceLock::<bool>::new();
    let barrier = Barrier::new(threads.max(1));
    let run = || {
        let steps = || {
            isa.vectorize(
                #[inline(always)]
                || isa.saturate(STEPS),
            )
        };
        // The first round powers wide units up.
        steps();
        barrier.wait();
        let start = Instant::now();
        let mut rates = Vec::new();
        while rates.is_empty() || start.elapsed() < DURATION {
            let begin = Instant::now();
            rates.push(steps() as f64 / begin.elapsed().as_secs_f64());
        }
        // The median: the clock that lasts, whatever else the machine does in between.
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let run_if_complete = || complete.wait().then(run).unwrap_or_default();
    std::thread::scope(|scope| {
        let spawn = |_| Builder::new().spawn_scoped(scope, run_if_complete).ok();
        let others: Option<Vec<_>> = (1..threads).map(spawn).collect();
        let all = *complete.get_or_init(|| others.is_some());
        let own = all.then(run)?;
        let rates = others?.into_iter().map(ScopedJoinHandle::join);
        Some(
            own + rates
                .map(|rate| rate.expect("the loop cannot panic"))
                .sum::<f64>(),
        )
    })
}
