//! Linear layers: interleave the activations, then up to 64 output channels a task, then the epilogue.
//!
//! Weights are read once from memory, by whole rows, and stay in the second-level cache while all tokens
//! pass, 48 of them at a time in the first level. A block of 16 channels by up to 48 tokens is
//! transposed in registers so that the epilogue sees rows of tokens, as everything else does. Where gates and
//! values alternate, a block takes every second weight row, so that a gate and its value meet in the same lane.

use super::epilogues::{Activate, Finish, Gate, Half, Position, Requantize, ResidualAdd, Rotate};
use super::isa::{Block, CHANNELS, Flip, Isa, MAX_LANES, Sign, Sums};
use super::panel::interleave;
use super::shared::SharedMut;
use super::threads::Team;
use crate::ops::{Epilogue, LinearWeights};
use std::ops::Range;

/// `LinearWeights` x panel: the shape of the work all tasks share.
#[derive(Clone, Copy)]
struct Job<'a, I> {
    isa: I,
    rows: usize,
    weights: LinearWeights<'a>,
    panel: &'a [i32],
    flip: Flip,
}

/// `input` (M, K) times the transpose of the weights, then the epilogue. `panel` is scratch.
pub(super) fn linear<I: Isa>(
    isa: I,
    team: &mut Team,
    panel: &mut [i32],
    rows: usize,
    input: &[i8],
    weights: &LinearWeights<'_>,
    epilogue: Epilogue<'_>,
) {
    let (outputs, inputs) = (weights.outputs, weights.inputs);
    assert_eq!(input.len(), rows * inputs);
    assert_eq!(weights.data.len(), outputs * inputs);
    assert!(outputs.is_multiple_of(CHANNELS) && inputs.is_multiple_of(64));
    assert!([weights.scale.len(), weights.bias.len(), weights.sums.len()] == [outputs; 3]);
    let job = Job {
        isa,
        rows,
        weights: *weights,
        panel: fill_panel(isa, team, panel, input, inputs),
        flip: I::SIGNED,
    };
    match epilogue {
        Epilogue::Requantize { output } => {
            run(team, job, &Requantize::new(output, rows, outputs));
        }
        Epilogue::Rotate { rotation, output } => {
            run(team, job, &Rotate::new(rotation, output, rows, outputs));
        }
        Epilogue::Activate {
            activation,
            steps,
            output,
        } => {
            assert!([steps.inverse.len(), steps.zero_point.len()] == [outputs; 2]);
            let finish = Activate {
                activation: *activation,
                steps,
                requantize: Requantize::new(output, rows, outputs),
            };
            run(team, job, &finish);
        }
        Epilogue::Gate { activation, output } => {
            let finish = Gate {
                activation: *activation,
                then: Requantize::new(output, rows, outputs / 2),
            };
            run(team, job, &finish);
        }
        Epilogue::GateHalf { activation, output } => {
            let finish = Gate {
                activation: *activation,
                then: Half::new(output, rows, outputs / 2),
            };
            run(team, job, &finish);
        }
        Epilogue::Half { output } => run(team, job, &Half::new(output, rows, outputs)),
        Epilogue::ResidualAdd { residual } => {
            run(team, job, &ResidualAdd::new(residual, rows, outputs));
        }
        Epilogue::Embed(embed) => run(team, job, &Position::new(embed, rows, outputs)),
    }
}

/// Interleaves the rows of `input`, each of `inputs` bytes, into the front of `panel`; returns that part.
fn fill_panel<'a, I: Isa>(
    isa: I,
    team: &mut Team,
    panel: &'a mut [i32],
    input: &[i8],
    inputs: usize,
) -> &'a [i32] {
    let rows = input.len() / inputs;
    let words = inputs / 4 * I::LANES;
    let vectors = rows.div_ceil(I::LANES);
    let panel = &mut panel[..vectors * words];
    let shared = SharedMut::new(panel);
    team.run(vectors, &|_, v| {
        // SAFETY: one task a vector.
        let to = unsafe { shared.part(v * words..(v + 1) * words) };
        let first = v * I::LANES;
        let from = &input[first * inputs..(first + I::LANES).min(rows) * inputs];
        isa.vectorize(
            #[inline(always)]
            || interleave(isa, from, inputs, inputs, I::SIGNED.mask, to),
        );
    });
    panel
}

/// Most groups of channels of a task: 64 channels are one cache line of an i8 output row.
const GROUPS: usize = 4;

/// `PARTS` weight rows, one after the other, make one output channel.
fn run<I: Isa, F: Finish<PARTS>, const PARTS: usize>(team: &mut Team, job: Job<'_, I>, finish: &F) {
    let group = PARTS * CHANNELS;
    assert!(job.weights.outputs.is_multiple_of(group));
    let groups = job.weights.outputs / group;
    // Smaller tasks only where there would be too few for threads to end together.
    let enough = |chunk: &usize| groups / chunk >= 3 * team.threads();
    let chunk = [GROUPS, 2].into_iter().find(enough).unwrap_or(1);
    team.run(groups.div_ceil(chunk), &|_, task| {
        let first = task * chunk;
        job.isa.vectorize(
            #[inline(always)]
            || {
                // SAFETY: one task a range of channels.
                unsafe { channels(&job, first..(first + chunk).min(groups), finish) };
            },
        );
    });
}

/// All tokens of some groups of output channels.
///
/// A block of tokens meets all of the task's channels before the next one: its panel stays in the first
/// cache while the weights come from the second, and an output row's cache line is written at one go.
///
/// # Safety
/// No other thread works on these channels.
#[inline(always)]
unsafe fn channels<I: Isa, F: Finish<PARTS>, const PARTS: usize>(
    job: &Job<'_, I>,
    groups: Range<usize>,
    finish: &F,
) {
    let (isa, weights) = (job.isa, &job.weights);
    let inputs = weights.inputs;
    let vectors = job.rows.div_ceil(I::LANES);
    let words = inputs / 4 * I::LANES;
    let mut sums = [Sums::ZERO; PARTS];
    let mut v = 0;
    while v < vectors {
        let count = block_vectors::<I>(vectors - v);
        let panel = &job.panel[v * words..(v + count) * words];
        for group in groups.clone() {
            let n0 = group * CHANNELS;
            let rows = &weights.data[n0 * PARTS * inputs..(n0 + CHANNELS) * PARTS * inputs];
            // The next task's weights come from memory while these compute.
            let ahead = rows.as_ptr().wrapping_add(groups.len() * rows.len());
            let lines = v * rows.len() / vectors..(v + count) * rows.len() / vectors;
            for line in lines.step_by(64) {
                isa.prefetch(ahead.wrapping_add(line));
            }
            for (part, sums) in sums.iter_mut().enumerate() {
                let start: [i32; CHANNELS] = std::array::from_fn(|c| {
                    job.flip.correction * weights.sums[(n0 + c) * PARTS + part]
                });
                let block = Block {
                    panel: panel.as_ptr().cast(),
                    vector_stride: 4 * words,
                    weights: rows[part * inputs..].as_ptr(),
                    weight_stride: PARTS * inputs,
                    inner: inputs,
                    sign: Sign::Signed,
                };
                // SAFETY: `panel` and `rows` were sliced to what the blocks of all parts describe.
                unsafe { isa.block(&block, count, &start, sums) };
            }
            // SAFETY: the caller's.
            unsafe { epilogue(job, n0, v, count, &sums, finish) };
        }
        v += count;
    }
}

/// How many of the `left` vectors go into the next block: as many as fit, but not one alone after many.
#[inline(always)]
pub(super) fn block_vectors<I: Isa>(left: usize) -> usize {
    if left == I::VECTORS + 1 {
        left.div_ceil(2)
    } else {
        left.min(I::VECTORS)
    }
}

/// # Safety
/// No other thread works on these channels.
#[inline(always)]
unsafe fn epilogue<I: Isa, F: Finish<PARTS>, const PARTS: usize>(
    job: &Job<'_, I>,
    n0: usize,
    first_vector: usize,
    count: usize,
    sums: &[Sums; PARTS],
    finish: &F,
) {
    let isa = job.isa;
    let ready = finish.ready(isa);
    for c in (0..CHANNELS).step_by(I::LANES) {
        let zero = isa.splat_f32(0.0);
        let (mut scale, mut bias) = ([zero; PARTS], [zero; PARTS]);
        for part in 0..PARTS {
            let at = (n0 + c) * PARTS + part;
            scale[part] = every::<I, PARTS>(isa, &job.weights.scale[at..]);
            bias[part] = every::<I, PARTS>(isa, &job.weights.bias[at..]);
        }
        for v in 0..count {
            let mut squares = [[isa.splat_i32(0); MAX_LANES]; PARTS];
            for (square, sums) in squares.iter_mut().zip(sums) {
                for (lane, x) in square[..I::LANES].iter_mut().enumerate() {
                    *x = isa.load_i32(&sums.0[((c + lane) * I::VECTORS + v) * I::LANES..]);
                }
                isa.transpose(&mut square[..I::LANES]);
            }
            let m0 = (first_vector + v) * I::LANES;
            for (lane, m) in (m0..job.rows).take(I::LANES).enumerate() {
                let mut y = [zero; PARTS];
                for part in 0..PARTS {
                    let acc = isa.to_f32(squares[part][lane]);
                    y[part] = isa.fma(acc, scale[part], bias[part]);
                }
                // SAFETY: the caller's.
                unsafe { finish.row(isa, &ready, m, n0 + c, y) };
            }
        }
    }
}

/// A vector of every `STEP`-th element.
#[inline(always)]
fn every<I: Isa, const STEP: usize>(isa: I, from: &[f32]) -> I::F32 {
    if STEP == 1 {
        return isa.load_f32(from);
    }
    let mut lanes = [0.0; MAX_LANES];
    for (lane, &x) in lanes[..I::LANES].iter_mut().zip(from.iter().step_by(STEP)) {
        *lane = x;
    }
    isa.load_f32(&lanes)
}
