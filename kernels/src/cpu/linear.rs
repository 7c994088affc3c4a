//! Linear layers: interleave the activations, then up to 64 output channels a task, then the epilogue.
//!
//! Weights are read once from memory, by whole rows, and stay in the second-level cache while all tokens
//! pass, 48 of them at a time in the first level. A block of 16 channels by up to 48 tokens is
//! transposed in registers so that the epilogue sees rows of tokens, as everything else does. Where gates and
//! values alternate, a block takes every second weight row, so that a gate and its value meet in the same lane.

use super::epilogues::{
    Activate, Finish, Gate, Half, Position, Requantize, ResidualAdd, Rotate, Scaling,
};
use super::isa::{Ahead, Block, CHANNELS, Flip, Isa, MAX_LANES, Sign, Sums};
use super::panel::{copy, interleave};
use super::shared::SharedMut;
use super::threads::Team;
use crate::ops::{Epilogue, LinearWeights};
use std::ops::Range;

/// `LinearWeights` x panel: the shape of the work all tasks share.
#[derive(Clone, Copy)]
struct Job<'a, I> {
    isa: I,
    rows: usize,
    split: Split,
    weights: LinearWeights<'a>,
    panel: &'a [i32],
    flip: Flip,
    threads: usize,
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
    let split = Split::new::<I>(rows);
    let job = Job {
        isa,
        rows,
        split,
        weights: *weights,
        panel: fill_panel(isa, team, panel, split, input, inputs),
        flip: I::SIGNED,
        threads: team.threads(),
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

/// How the tokens of a layer are multiplied: vectors of them, and the last few, if they are too few for a vector, with
/// their channels along the lanes.
#[derive(Clone, Copy)]
struct Split {
    vectors: usize,
    /// At most [`Isa::ALONG`].
    left: usize,
}

impl Split {
    fn new<I: Isa>(rows: usize) -> Self {
        let (vectors, left) = (rows / I::LANES, rows % I::LANES);
        match left <= I::ALONG {
            true => Self { vectors, left },
            false => Self {
                vectors: vectors + 1,
                left: 0,
            },
        }
    }
}

/// Interleaves the rows of `input`, each of `inputs` bytes, into the front of `panel`, vector by vector, and copies those
/// left over behind them; returns that part.
fn fill_panel<'a, I: Isa>(
    isa: I,
    team: &mut Team,
    panel: &'a mut [i32],
    split: Split,
    input: &[i8],
    inputs: usize,
) -> &'a [i32] {
    let rows = input.len() / inputs;
    let words = inputs / 4 * I::LANES;
    let panel = &mut panel[..split.vectors * words + split.left * inputs / 4];
    let shared = SharedMut::new(panel);
    team.run(split.vectors + split.left, &|_, task| {
        let vector = task < split.vectors;
        let (first, tokens, words) = if vector {
            let first = task * I::LANES;
            (first, I::LANES.min(rows - first), words)
        } else {
            (rows - split.left + (task - split.vectors), 1, inputs / 4)
        };
        let start = first * inputs / 4;
        // SAFETY: one task a vector or token.
        let to = unsafe { shared.part(start..start + words) };
        let from = &input[first * inputs..(first + tokens) * inputs];
        isa.vectorize(
            #[inline(always)]
            || match vector {
                true => interleave(isa, from, inputs, inputs, I::SIGNED.mask, to),
                false => copy(isa, from, I::SIGNED.mask, to),
            },
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
    let split = job.split;
    let mut sums = [Sums::ZERO; PARTS];
    let mut v = 0;
    while v < split.vectors {
        let count = block_vectors::<I>(split.vectors - v);
        for group in groups.clone() {
            let rows = Rows::<PARTS>::new(job, group);
            for (part, sums) in sums.iter_mut().enumerate() {
                let mut block = rows.block(job, part, v * I::LANES, count * I::LANES);
                if part == 0 {
                    block.ahead = rows.ahead(job, groups.len(), v..v + count, split.vectors);
                }
                // SAFETY: the block's operands are in the slices that it was made from.
                unsafe { job.isa.block(&block, count, &rows.start(job, part), sums) };
            }
            // SAFETY: the caller's.
            unsafe { squares(job, rows.n0, v, count, &sums, finish) };
        }
        v += count;
    }
    let first = split.vectors * I::LANES;
    for m in (first..first + split.left).step_by(I::VECTORS) {
        let tokens = (first + split.left - m).min(I::VECTORS);
        for group in groups.clone() {
            let rows = Rows::<PARTS>::new(job, group);
            if split.vectors == 0 {
                rows.ahead(job, groups.len(), 0..1, 1).request(job.isa);
            }
            for (part, sums) in sums.iter_mut().enumerate() {
                let block = rows.block(job, part, m, tokens);
                // SAFETY: as above; `inputs` is a multiple of 64.
                unsafe { job.isa.along(&block, tokens, sums) };
            }
            // SAFETY: the caller's.
            unsafe { tokens_left(job, &rows, m..m + tokens, &sums, finish) };
        }
    }
}

/// The weight rows of a group of [`CHANNELS`] output channels, from `n0` on.
struct Rows<'a, const PARTS: usize> {
    n0: usize,
    data: &'a [i8],
}

impl<'a, const PARTS: usize> Rows<'a, PARTS> {
    #[inline(always)]
    fn new<I>(job: &Job<'a, I>, group: usize) -> Self {
        let len = CHANNELS * PARTS * job.weights.inputs;
        Self {
            n0: group * CHANNELS,
            data: &job.weights.data[group * len..(group + 1) * len],
        }
    }

    /// A part of the weights of this thread's next task, of `groups` groups as this one.
    #[inline(always)]
    fn ahead<I>(&self, job: &Job<'_, I>, groups: usize, part: Range<usize>, parts: usize) -> Ahead {
        // The other threads take the tasks in between.
        let next = job.threads * groups * self.data.len();
        let [start, end] = [part.start, part.end].map(|part| part * self.data.len() / parts);
        Ahead::new(self.data.as_ptr().wrapping_add(next + start), end - start)
    }

    /// What the sums of all channels start from.
    #[inline(always)]
    fn start<I>(&self, job: &Job<'_, I>, part: usize) -> [i32; CHANNELS] {
        let row = |c| (self.n0 + c) * PARTS + part;
        std::array::from_fn(|c| job.flip.correction * job.weights.sums[row(c)])
    }

    /// `part` of the rows against `tokens` tokens of the panel, from token `m` on, where a vector of them begins.
    #[inline(always)]
    fn block<I: Isa>(&self, job: &Job<'_, I>, part: usize, m: usize, tokens: usize) -> Block {
        let inputs = job.weights.inputs;
        let vectors = m / I::LANES < job.split.vectors;
        Block {
            panel: job.panel[m * inputs / 4..(m + tokens) * inputs / 4]
                .as_ptr()
                .cast(),
            vector_stride: if vectors { I::LANES * inputs } else { inputs },
            weights: self.data[part * inputs..].as_ptr(),
            weight_stride: PARTS * inputs,
            rows: CHANNELS,
            inner: inputs,
            ahead: Ahead::NONE,
            sign: Sign::Signed,
        }
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

/// Finishes `count` vectors of tokens, from number `first_vector` on.
///
/// # Safety
/// No other thread works on these channels.
#[inline(always)]
unsafe fn squares<I: Isa, F: Finish<PARTS>, const PARTS: usize>(
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
        let scaling = Scaling::<I, PARTS>::new(isa, &job.weights, n0 + c);
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
                let mut totals = [isa.splat_i32(0); PARTS];
                for (total, square) in totals.iter_mut().zip(&squares) {
                    *total = square[lane];
                }
                // SAFETY: the caller's.
                unsafe { finish.row(isa, &ready, m, n0 + c, scaling.apply(isa, totals)) };
            }
        }
    }
}

/// Adds up what [`Isa::along`] has left of the sums of a few tokens, and finishes them.
///
/// # Safety
/// No other thread works on these channels.
#[inline(always)]
unsafe fn tokens_left<I: Isa, F: Finish<PARTS>, const PARTS: usize>(
    job: &Job<'_, I>,
    rows: &Rows<'_, PARTS>,
    tokens: Range<usize>,
    sums: &[Sums; PARTS],
    finish: &F,
) {
    let isa = job.isa;
    let ready = finish.ready(isa);
    for c in (0..CHANNELS).step_by(I::LANES) {
        let scaling = Scaling::<I, PARTS>::new(isa, &job.weights, rows.n0 + c);
        let mut start = [isa.splat_i32(0); PARTS];
        for (part, start) in start.iter_mut().enumerate() {
            *start = isa.load_i32(&rows.start(job, part)[c..]);
        }
        for (t, m) in tokens.clone().enumerate() {
            let mut totals = start;
            for (total, sums) in totals.iter_mut().zip(sums) {
                let mut channels = [isa.splat_i32(0); MAX_LANES];
                for (lane, channel) in channels[..I::LANES].iter_mut().enumerate() {
                    *channel = isa.load_i32(&sums.0[((c + lane) * I::VECTORS + t) * I::LANES..]);
                }
                *total = isa.add_i32(*total, isa.sum_lanes(&mut channels[..I::LANES]));
            }
            // SAFETY: the caller's.
            unsafe { finish.row(isa, &ready, m, rows.n0 + c, scaling.apply(isa, totals)) };
        }
    }
}
