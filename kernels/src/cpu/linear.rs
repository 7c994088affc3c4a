//! Linear layers: interleave the activations, then up to 64 output channels a task, then the epilogue.
//!
//! Weights are read once from memory, by whole rows, and stay in the second-level cache while all tokens
//! pass, 48 of them at a time in the first level. A block of 16 channels by up to 48 tokens is
//! transposed in registers so that the epilogue sees rows of tokens, as everything else does.

use super::isa::{Block, CHANNELS, Flip, Isa, MAX_LANES, Sign, Sums};
use super::panel::interleave;
use super::shared::SharedMut;
use super::simd_math::{activate, sat8};
use super::threads::Team;
use crate::math::Activation;
use crate::ops::{Embed, Epilogue, LinearWeights};
use crate::reference;
use half::f16;
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
        Epilogue::Activate {
            activation,
            inverse_scale,
            zero_point,
            output,
        } => {
            let finish = Activate {
                activation: *activation,
                inverse_scale,
                zero_point,
                requantize: Requantize::new(output, rows, outputs),
            };
            run(team, job, &finish);
        }
        Epilogue::ResidualAdd { residual } => {
            run(team, job, &ResidualAdd::new(residual, rows, outputs));
        }
        Epilogue::Embed(embed) => run(team, job, &Position::new(embed, rows, outputs)),
        other => reference::linear(rows, input, weights, other),
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

/// What happens to a vector of `LANES` channels, starting at `n`, of token row `m`.
trait Finish: Sync {
    /// # Safety
    /// No other thread writes these elements.
    unsafe fn row<I: Isa>(&self, isa: I, m: usize, n: usize, y: I::F32);
}

struct Requantize<'a> {
    output: SharedMut<'a, i8>,
    stride: usize,
}

impl<'a> Requantize<'a> {
    /// `output` is (`rows`, `outputs`).
    fn new(output: &'a mut [i8], rows: usize, outputs: usize) -> Self {
        assert_eq!(output.len(), rows * outputs);
        Self {
            output: SharedMut::new(output),
            stride: outputs,
        }
    }
}

impl Finish for Requantize<'_> {
    #[inline(always)]
    unsafe fn row<I: Isa>(&self, isa: I, m: usize, n: usize, y: I::F32) {
        let at = m * self.stride + n;
        // SAFETY: the caller's.
        let to = unsafe { self.output.part(at..at + I::LANES) };
        isa.store_i8(sat8(isa, y), to);
    }
}

struct Activate<'a> {
    activation: Activation,
    inverse_scale: f32,
    zero_point: f32,
    requantize: Requantize<'a>,
}

impl Finish for Activate<'_> {
    #[inline(always)]
    unsafe fn row<I: Isa>(&self, isa: I, m: usize, n: usize, y: I::F32) {
        let (scale, zero) = (
            isa.splat_f32(self.inverse_scale),
            isa.splat_f32(self.zero_point),
        );
        let y = isa.fma(activate(isa, &self.activation, y), scale, zero);
        // SAFETY: the caller's.
        unsafe { self.requantize.row(isa, m, n, y) };
    }
}

struct ResidualAdd<'a> {
    residual: SharedMut<'a, f16>,
    stride: usize,
}

impl<'a> ResidualAdd<'a> {
    /// `residual` is (`rows`, `outputs`).
    fn new(residual: &'a mut [f16], rows: usize, outputs: usize) -> Self {
        assert_eq!(residual.len(), rows * outputs);
        Self {
            residual: SharedMut::new(residual),
            stride: outputs,
        }
    }
}

impl Finish for ResidualAdd<'_> {
    #[inline(always)]
    unsafe fn row<I: Isa>(&self, isa: I, m: usize, n: usize, y: I::F32) {
        let at = m * self.stride + n;
        // SAFETY: the caller's.
        let x = unsafe { self.residual.part(at..at + I::LANES) };
        isa.store_f16(isa.add(isa.load_f16(x), y), x);
    }
}

struct Position<'a> {
    position: &'a [f32],
    residual: SharedMut<'a, f16>,
    first: usize,
    tokens: usize,
    stride: usize,
}

impl<'a> Position<'a> {
    /// Fills in the prefix's rows, which no product belongs to.
    fn new(embed: Embed<'a>, rows: usize, outputs: usize) -> Self {
        let Embed {
            batch,
            prefix: first,
            position,
            residual,
        } = embed;
        let tokens = position.len() / outputs;
        assert_eq!(residual.len(), batch * tokens * outputs);
        assert_eq!(rows, batch * (tokens - first));
        for image in residual.chunks_exact_mut(tokens * outputs) {
            for (x, &p) in image.iter_mut().zip(&position[..first * outputs]) {
                *x = f16::from_f32(p);
            }
        }
        Self {
            position,
            residual: SharedMut::new(residual),
            first,
            tokens,
            stride: outputs,
        }
    }
}

impl Finish for Position<'_> {
    #[inline(always)]
    unsafe fn row<I: Isa>(&self, isa: I, m: usize, n: usize, y: I::F32) {
        let patches = self.tokens - self.first;
        let (image, token) = (m / patches, m % patches + self.first);
        let position = isa.load_f32(&self.position[token * self.stride + n..]);
        let at = (image * self.tokens + token) * self.stride + n;
        // SAFETY: the caller's.
        let to = unsafe { self.residual.part(at..at + I::LANES) };
        isa.store_f16(isa.add(y, position), to);
    }
}

/// Most groups of channels of a task: 64 channels are one cache line of an i8 output row.
const GROUPS: usize = 4;

fn run<I: Isa, F: Finish>(team: &mut Team, job: Job<'_, I>, finish: &F) {
    let groups = job.weights.outputs / CHANNELS;
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
unsafe fn channels<I: Isa, F: Finish>(job: &Job<'_, I>, groups: Range<usize>, finish: &F) {
    let (isa, weights) = (job.isa, &job.weights);
    let inputs = weights.inputs;
    let vectors = job.rows.div_ceil(I::LANES);
    let words = inputs / 4 * I::LANES;
    let mut sums = Sums::ZERO;
    let mut v = 0;
    while v < vectors {
        let count = block_vectors::<I>(vectors - v);
        let panel = &job.panel[v * words..(v + count) * words];
        for group in groups.clone() {
            let n0 = group * CHANNELS;
            let rows = &weights.data[n0 * inputs..(n0 + CHANNELS) * inputs];
            let start: [i32; CHANNELS] =
                std::array::from_fn(|c| job.flip.correction * weights.sums[n0 + c]);
            // The next task's weights come from memory while these compute.
            let ahead = rows.as_ptr().wrapping_add(groups.len() * rows.len());
            let lines = v * rows.len() / vectors..(v + count) * rows.len() / vectors;
            for line in lines.step_by(64) {
                isa.prefetch(ahead.wrapping_add(line));
            }
            let block = Block {
                panel: panel.as_ptr().cast(),
                vector_stride: 4 * words,
                weights: rows.as_ptr(),
                weight_stride: inputs,
                inner: inputs,
                sign: Sign::Signed,
            };
            // SAFETY: `panel` and `rows` were sliced to exactly what the block describes.
            unsafe { isa.block(&block, count, &start, &mut sums) };
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
unsafe fn epilogue<I: Isa, F: Finish>(
    job: &Job<'_, I>,
    n0: usize,
    first_vector: usize,
    count: usize,
    sums: &Sums,
    finish: &F,
) {
    let isa = job.isa;
    for c in (0..CHANNELS).step_by(I::LANES) {
        let scale = isa.load_f32(&job.weights.scale[n0 + c..]);
        let bias = isa.load_f32(&job.weights.bias[n0 + c..]);
        for v in 0..count {
            let mut square = [isa.splat_i32(0); MAX_LANES];
            for (lane, x) in square[..I::LANES].iter_mut().enumerate() {
                *x = isa.load_i32(&sums.0[((c + lane) * I::VECTORS + v) * I::LANES..]);
            }
            isa.transpose(&mut square[..I::LANES]);
            let m0 = (first_vector + v) * I::LANES;
            for (m, &acc) in (m0..job.rows).zip(&square[..I::LANES]) {
                let y = isa.fma(isa.to_f32(acc), scale, bias);
                // SAFETY: the caller's.
                unsafe { finish.row(isa, m, n0 + c, y) };
            }
        }
    }
}
