//! Attention: one image and head a task, scores of a block of queries at a time.
//!
//! Queries are the lanes. Scores come out as one vector a key (the panel of queries against rows of
//! keys), so the softmax runs down the vectors without a horizontal step; its integers are packed four
//! keys a word, which is the panel that the product with the transposed values wants.

use super::isa::{Block, CHANNELS, Isa, MAX_LANES, MAX_VECTORS, Sign, Sums};
use super::linear::block_vectors;
use super::panel::interleave;
use super::scratch::{SCRATCH, Scratch};
use super::shared::SharedMut;
use super::simd_math::{exp2_255, sat8};
use super::threads::Team;
use crate::math::log2_table;
use crate::memory::{OutOfMemory, zeroed};
use crate::ops::{Attention, HEAD_WIDTH};
use crate::reference;

/// Words (4 bytes) of a row of keys.
const HEAD_WORDS: usize = HEAD_WIDTH / 4;

/// One thread's space for one head.
#[derive(Debug)]
struct HeadScratch {
    /// (T rounded up to 16, 64) i8 keys, and their row sums.
    keys: Box<[i8]>,
    key_sums: Box<[i32]>,
    /// (64, T rounded up to `INNER_STEP`) i8 values transposed, and their row sums.
    values: Box<[i8]>,
    value_sums: [i32; HEAD_WIDTH],
    /// (T) log2 of each key's size.
    bias: Box<[f32]>,
    /// A panel of up to `MAX_VECTORS` vectors of queries.
    queries: Scratch,
    /// `[key][vector][lane]` scores of a block of queries.
    scores: Box<[f32]>,
    /// A panel of softmax integers.
    weights: Scratch,
}

impl HeadScratch {
    fn new(tokens: usize) -> Result<Self, OutOfMemory> {
        let (keys, inner) = (
            tokens.next_multiple_of(CHANNELS),
            tokens.next_multiple_of(64),
        );
        let lanes = MAX_LANES * MAX_VECTORS;
        Ok(Self {
            keys: zeroed(keys * HEAD_WIDTH, SCRATCH)?,
            key_sums: zeroed(keys, SCRATCH)?,
            values: zeroed(HEAD_WIDTH * inner, SCRATCH)?,
            value_sums: [0; HEAD_WIDTH],
            bias: zeroed(tokens, SCRATCH)?,
            queries: Scratch::new(HEAD_WORDS * lanes)?,
            scores: zeroed(tokens * lanes, SCRATCH)?,
            weights: Scratch::new(inner / 4 * lanes)?,
        })
    }

    /// Copies keys and values of one head out of `qkv` (T, 3C), padded with zeros.
    fn load(&mut self, qkv: &[i8], width: usize, head: usize, tokens: usize, step: usize) {
        let (padded, inner) = (
            tokens.next_multiple_of(CHANNELS),
            tokens.next_multiple_of(step),
        );
        let column = width + head * HEAD_WIDTH;
        for (j, (row, sum)) in self
            .keys
            .chunks_exact_mut(HEAD_WIDTH)
            .zip(&mut self.key_sums)
            .take(padded)
            .enumerate()
        {
            if j < tokens {
                row.copy_from_slice(&qkv[j * 3 * width + column..][..HEAD_WIDTH]);
            } else {
                row.fill(0);
            }
            *sum = row.iter().map(|&k| i32::from(k)).sum();
        }
        let column = 2 * width + head * HEAD_WIDTH;
        self.value_sums = [0; HEAD_WIDTH];
        for j in (0..inner).step_by(4) {
            // Four tokens at a time: one word of each of the 64 rows.
            let mut rows = [[0i8; HEAD_WIDTH]; 4];
            for (i, row) in rows.iter_mut().enumerate().take(tokens.saturating_sub(j)) {
                row.copy_from_slice(&qkv[(j + i) * 3 * width + column..][..HEAD_WIDTH]);
                for (sum, &v) in self.value_sums.iter_mut().zip(&*row) {
                    *sum += i32::from(v);
                }
            }
            let columns = rows[0].iter().zip(&rows[1]).zip(&rows[2]).zip(&rows[3]);
            for (d, (((&v0, &v1), &v2), &v3)) in columns.enumerate() {
                self.values[d * inner + j..][..4].copy_from_slice(&[v0, v1, v2, v3]);
            }
        }
    }
}

/// Space for attention: one part a thread, and the logarithms of sizes.
#[derive(Debug)]
pub(super) struct AttentionScratch {
    heads: Vec<HeadScratch>,
    log2_size: Box<[f32]>,
}

impl AttentionScratch {
    pub(super) fn new(threads: usize, tokens: usize) -> Result<Self, OutOfMemory> {
        let tokens = tokens.next_multiple_of(CHANNELS);
        let heads = (0..threads).map(|_| HeadScratch::new(tokens));
        Ok(Self {
            heads: heads.collect::<Result<_, _>>()?,
            log2_size: log2_table(),
        })
    }
}

/// Attention over `qkv` (B, T, 3C) into `context` (B, T, C).
pub(super) fn attention<I: Isa>(
    isa: I,
    team: &mut Team,
    scratch: &mut AttentionScratch,
    shape: &Attention<'_>,
    qkv: &[i8],
    sizes: Option<&[u32]>,
    context: &mut [i8],
) {
    if shape.head_width != HEAD_WIDTH {
        let (scores, log2) = (&mut scratch.heads[0].scores, &scratch.log2_size);
        return reference::attention(shape, qkv, sizes, log2, scores, context);
    }
    let (tokens, width) = (shape.tokens, shape.width());
    assert_eq!(qkv.len(), shape.batch * tokens * 3 * width);
    assert_eq!(context.len(), shape.batch * tokens * width);
    assert!(sizes.is_none_or(|s| s.len() == shape.batch * tokens));
    let log2_size = &*scratch.log2_size;
    let scratch = SharedMut::new(&mut scratch.heads);
    let context = SharedMut::new(context);
    team.run(shape.batch * shape.heads, &|thread, task| {
        let (image, head) = (task / shape.heads, task % shape.heads);
        // SAFETY: every thread has its own number.
        let scratch = &mut unsafe { scratch.part(thread..thread + 1) }[0];
        let qkv = &qkv[image * tokens * 3 * width..][..tokens * 3 * width];
        let job = Job {
            isa,
            tokens,
            width,
            head,
            score_scale: shape.score_scale[head],
            context_scale: shape.context_scale[head],
            context: &context,
            first_row: image * tokens,
        };
        isa.vectorize(
            #[inline(always)]
            || {
                scratch.load(qkv, width, head, tokens, I::INNER_STEP);
                for (j, bias) in scratch.bias[..tokens].iter_mut().enumerate() {
                    *bias = sizes.map_or(0.0, |s| log2_size[s[image * tokens + j] as usize]);
                }
                let vectors = tokens.div_ceil(I::LANES);
                let mut v = 0;
                while v < vectors {
                    let count = block_vectors::<I>(vectors - v);
                    // SAFETY: one task an image and head.
                    unsafe { job.queries(scratch, qkv, v * I::LANES, count) };
                    v += count;
                }
            },
        );
    });
}

/// See [`crate::reference::pool_attention`].
pub(super) fn pool_attention(
    scratch: &mut AttentionScratch,
    shape: &Attention<'_>,
    query: &[i8],
    key_value: &[i8],
    sizes: Option<&[u32]>,
    context: &mut [i8],
) {
    let (scores, log2) = (&mut scratch.heads[0].scores, &scratch.log2_size);
    reference::pool_attention(shape, query, key_value, sizes, log2, scores, context);
}

struct Job<'a, I> {
    isa: I,
    tokens: usize,
    width: usize,
    head: usize,
    score_scale: f32,
    context_scale: f32,
    context: &'a SharedMut<'a, i8>,
    first_row: usize,
}

impl<I: Isa> Job<'_, I> {
    /// Attention of `count` vectors of queries from token `first` on.
    ///
    /// # Safety
    /// No other thread writes this image's and head's context.
    #[inline(always)]
    unsafe fn queries(&self, s: &mut HeadScratch, qkv: &[i8], first: usize, count: usize) {
        let stride = 3 * self.width;
        let words = HEAD_WORDS * I::LANES;
        for v in 0..count {
            let token = first + v * I::LANES;
            let rows = self.tokens.saturating_sub(token).min(I::LANES);
            let start = token * stride + self.head * HEAD_WIDTH;
            let from = &qkv[start..start + (rows - 1) * stride + HEAD_WIDTH];
            let to = &mut s.queries.words()[v * words..(v + 1) * words];
            interleave(self.isa, from, stride, HEAD_WIDTH, I::SIGNED.mask, to);
        }
        let max = self.scores(s, count);
        let sum = self.softmax(s, count, &max);
        // SAFETY: the caller's.
        unsafe { self.context(s, first, count, &sum) };
    }

    /// Scores against all keys, and their maximum per query.
    #[inline(always)]
    fn scores(&self, s: &mut HeadScratch, count: usize) -> [I::F32; MAX_VECTORS] {
        let isa = self.isa;
        let scale = isa.splat_f32(self.score_scale);
        let mut max = [isa.splat_f32(f32::NEG_INFINITY); MAX_VECTORS];
        let mut sums = Sums::ZERO;
        let queries = s.queries.words();
        for j0 in (0..self.tokens).step_by(CHANNELS) {
            let keys = &s.keys[j0 * HEAD_WIDTH..(j0 + CHANNELS) * HEAD_WIDTH];
            let start = std::array::from_fn(|c| I::SIGNED.correction * s.key_sums[j0 + c]);
            let block = Block {
                panel: queries.as_ptr().cast(),
                vector_stride: HEAD_WIDTH * I::LANES,
                weights: keys.as_ptr(),
                weight_stride: HEAD_WIDTH,
                inner: HEAD_WIDTH,
                sign: Sign::Signed,
            };
            // SAFETY: 16 rows of 64 keys, and `MAX_VECTORS` vectors of queries, are there.
            unsafe { isa.block(&block, count, &start, &mut sums) };
            for c in 0..CHANNELS.min(self.tokens - j0) {
                let bias = isa.splat_f32(s.bias[j0 + c]);
                for (v, max) in max[..count].iter_mut().enumerate() {
                    let acc = isa.load_i32(&sums.0[(c * I::VECTORS + v) * I::LANES..]);
                    let t = isa.fma(isa.to_f32(acc), scale, bias);
                    *max = isa.max(t, *max);
                    isa.store_f32(t, &mut s.scores[((j0 + c) * I::VECTORS + v) * I::LANES..]);
                }
            }
        }
        max
    }

    /// Softmax numerators as integers, packed four keys a word; their sum per query.
    #[inline(always)]
    fn softmax(
        &self,
        s: &mut HeadScratch,
        count: usize,
        max: &[I::F32; MAX_VECTORS],
    ) -> [I::I32; MAX_VECTORS] {
        let isa = self.isa;
        let steps = self.tokens.next_multiple_of(I::INNER_STEP) / 4;
        let weights = s.weights.words();
        let mask = isa.splat_i32(i32::from_ne_bytes([I::UNSIGNED.mask; 4]));
        let zero = isa.splat_i32(0);
        let mut sum = [zero; MAX_VECTORS];
        for (v, sum) in sum[..count].iter_mut().enumerate() {
            let to = &mut weights[v * steps * I::LANES..(v + 1) * steps * I::LANES];
            for (step, to) in to.chunks_exact_mut(I::LANES).enumerate() {
                // Loops, not closures: what is not inlined here is compiled without the set's features.
                let mut p = [zero; 4];
                for (i, p) in p.iter_mut().enumerate() {
                    let j = 4 * step + i;
                    if j < self.tokens {
                        let t = isa.load_f32(&s.scores[(j * I::VECTORS + v) * I::LANES..]);
                        *p = exp2_255(isa, isa.sub(t, max[v]));
                    }
                }
                let pair = isa.add_i32(p[0], p[1]);
                *sum = isa.add_i32(*sum, isa.add_i32(pair, isa.add_i32(p[2], p[3])));
                let low = isa.or_i32(p[0], isa.shift_left::<8>(p[1]));
                let high = isa.or_i32(isa.shift_left::<16>(p[2]), isa.shift_left::<24>(p[3]));
                isa.store_i32(isa.xor_i32(isa.or_i32(low, high), mask), to);
            }
        }
        sum
    }

    /// The average of the values, by the integers of `softmax`.
    ///
    /// # Safety
    /// No other thread writes this image's and head's context.
    #[inline(always)]
    unsafe fn context(
        &self,
        s: &mut HeadScratch,
        first: usize,
        count: usize,
        sum: &[I::I32; MAX_VECTORS],
    ) {
        let isa = self.isa;
        let inner = self.tokens.next_multiple_of(I::INNER_STEP);
        let mut scale = [isa.splat_f32(self.context_scale); MAX_VECTORS];
        for (scale, &sum) in scale.iter_mut().zip(sum) {
            *scale = isa.div(*scale, isa.to_f32(sum));
        }
        let mut sums = Sums::ZERO;
        let weights = s.weights.words();
        for d0 in (0..HEAD_WIDTH).step_by(CHANNELS) {
            let values = &s.values[d0 * inner..(d0 + CHANNELS) * inner];
            let start = std::array::from_fn(|c| I::UNSIGNED.correction * s.value_sums[d0 + c]);
            let block = Block {
                panel: weights.as_ptr().cast(),
                vector_stride: inner * I::LANES,
                weights: values.as_ptr(),
                weight_stride: inner,
                inner,
                sign: Sign::Unsigned,
            };
            // SAFETY: 16 rows of `inner` values, and `count` vectors of softmax integers, are there.
            unsafe { isa.block(&block, count, &start, &mut sums) };
            for (v, &scale) in scale[..count].iter().enumerate() {
                for c in (0..CHANNELS).step_by(I::LANES) {
                    let mut square = [isa.splat_i32(0); MAX_LANES];
                    for (lane, x) in square[..I::LANES].iter_mut().enumerate() {
                        let acc = isa.load_i32(&sums.0[((c + lane) * I::VECTORS + v) * I::LANES..]);
                        *x = sat8(isa, isa.mul(isa.to_f32(acc), scale));
                    }
                    isa.transpose(&mut square[..I::LANES]);
                    let token = first + v * I::LANES;
                    for (m, &row) in (token..self.tokens).zip(&square[..I::LANES]) {
                        let at =
                            (self.first_row + m) * self.width + self.head * HEAD_WIDTH + d0 + c;
                        // SAFETY: the caller's.
                        isa.store_i8(row, unsafe { self.context.part(at..at + I::LANES) });
                    }
                }
            }
        }
    }
}
