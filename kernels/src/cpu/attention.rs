//! Attention: one image and head a task, scores of a block of queries at a time.
//!
//! Queries are the lanes. Scores come out as one vector a key (the panel of queries against rows of
//! keys), so the softmax runs down the vectors without a horizontal step; its integers are packed four
//! keys a word, which is the panel that the product with the transposed values wants. The lattice of offsets that it adds
//! repeats so soon that a small table has all of it.
//!
//! `D`, the channels of a head, is a constant everywhere, so that the loops over it unroll.

use super::head_memory::{HeadMemory, HeadSource, inner_width, value_stride};
use super::isa::{Ahead, Block, CHANNELS, Isa, MAX_LANES, MAX_VECTORS, Sign, Sums};
use super::linear::block_vectors;
use super::panel::interleave;
use super::scratch::{SCRATCH, Scratch};
use super::shared::SharedMut;
use super::simd_math::softmax_weight;
use super::threads::Team;
use crate::math::{DITHER_KEYS, DITHER_QUERIES, log2_table, softmax_offset};
use crate::memory::{OutOfMemory, zeroed};
use crate::ops::{Attention, HEAD_WIDTHS};

/// `[key][query]` offsets that make softmax integers, of a period of keys and the widest vector of queries.
static OFFSETS: [[f32; MAX_LANES]; DITHER_KEYS] = {
    let mut offsets = [[0.0; MAX_LANES]; DITHER_KEYS];
    let mut at = 0;
    while at < DITHER_KEYS * MAX_LANES {
        let (key, query) = (at / MAX_LANES, at % MAX_LANES);
        offsets[key][query] = softmax_offset(query, key);
        at += 1;
    }
    offsets
};

/// One thread's space for one head.
#[derive(Debug)]
struct HeadScratch {
    memory: HeadMemory,
    /// A panel of up to `MAX_VECTORS` vectors of queries.
    queries: Scratch,
    /// Scores of a block of queries, [`CHANNELS`] keys after another: sums of products, or, where sizes count too, f32.
    scores: Box<[Sums]>,
    /// A panel of softmax integers.
    weights: Scratch,
}

impl HeadScratch {
    fn new(tokens: usize, head_width: usize) -> Result<Self, OutOfMemory> {
        let lanes = MAX_LANES * MAX_VECTORS;
        Ok(Self {
            memory: HeadMemory::new(tokens, head_width)?,
            queries: Scratch::new(inner_width(head_width) / 4 * lanes)?,
            scores: zeroed(tokens / CHANNELS, SCRATCH)?,
            weights: Scratch::new(tokens.next_multiple_of(64) / 4 * lanes)?,
        })
    }
}

/// Space for attention: one part a thread, and the logarithms of sizes.
#[derive(Debug)]
pub(super) struct AttentionScratch {
    heads: Vec<HeadScratch>,
    log2_size: Box<[f32]>,
}

impl AttentionScratch {
    pub(super) fn new(
        threads: usize,
        tokens: usize,
        head_width: usize,
    ) -> Result<Self, OutOfMemory> {
        let tokens = tokens.next_multiple_of(CHANNELS);
        let heads = (0..threads).map(|_| HeadScratch::new(tokens, head_width));
        Ok(Self {
            heads: heads.collect::<Result<_, _>>()?,
            log2_size: log2_table(),
        })
    }
}

/// What an attention reads: rows of queries and rows of keys and values, of all images.
#[derive(Clone, Copy)]
struct Operands<'a> {
    queries: &'a [i8],
    /// Queries of an image.
    count: usize,
    /// Channels from a row of queries to the next, and from one image's first to the next one's.
    query_strides: [usize; 2],
    /// (B, T, `stride`) keys and values.
    memory: &'a [i8],
    stride: usize,
    /// Where in a row keys start.
    key: usize,
    sizes: Option<&'a [u32]>,
}

/// Attention of the first Q tokens over `qkv` (B, T, 3A) into `context` (B, Q, A).
pub(super) fn attention<I: Isa>(
    isa: I,
    team: &mut Team,
    scratch: &mut AttentionScratch,
    shape: &Attention<'_>,
    qkv: &[i8],
    sizes: Option<&[u32]>,
    context: &mut [i8],
) {
    let (tokens, width) = (shape.tokens, shape.width());
    assert_eq!(qkv.len(), shape.batch * tokens * 3 * width);
    assert!(shape.queries <= tokens);
    assert_eq!(context.len(), shape.batch * shape.queries * width);
    let operands = Operands {
        queries: qkv,
        count: shape.queries,
        query_strides: [3 * width, tokens * 3 * width],
        memory: qkv,
        stride: 3 * width,
        key: width,
        sizes,
    };
    attend(isa, team, scratch, shape, operands, context);
}

/// Attention of the constant `query` (A) over `key_value` (B, T, 2A) into `context` (B, A).
pub(super) fn pool_attention<I: Isa>(
    isa: I,
    team: &mut Team,
    scratch: &mut AttentionScratch,
    shape: &Attention<'_>,
    (query, key_value): (&[i8], &[i8]),
    sizes: Option<&[u32]>,
    context: &mut [i8],
) {
    let (tokens, width) = (shape.tokens, shape.width());
    assert_eq!((query.len(), shape.queries), (width, 1));
    assert_eq!(key_value.len(), shape.batch * tokens * 2 * width);
    assert_eq!(context.len(), shape.batch * width);
    let operands = Operands {
        queries: query,
        count: 1,
        query_strides: [width, 0],
        memory: key_value,
        stride: 2 * width,
        key: 0,
        sizes,
    };
    attend(isa, team, scratch, shape, operands, context);
}

/// Attention with heads of whatever width.
fn attend<I: Isa>(
    isa: I,
    team: &mut Team,
    scratch: &mut AttentionScratch,
    shape: &Attention<'_>,
    operands: Operands<'_>,
    context: &mut [i8],
) {
    let run = match shape.head_width {
        32 => heads::<I, 32>,
        64 => heads::<I, 64>,
        96 => heads::<I, 96>,
        128 => heads::<I, 128>,
        other => panic!("heads are of {HEAD_WIDTHS:?} channels, not {other}"),
    };
    run(isa, team, scratch, shape, operands, context);
}

/// Attention with heads of `D` channels.
fn heads<I: Isa, const D: usize>(
    isa: I,
    team: &mut Team,
    scratch: &mut AttentionScratch,
    shape: &Attention<'_>,
    operands: Operands<'_>,
    context: &mut [i8],
) {
    let (tokens, width, count) = (shape.tokens, shape.width(), operands.count);
    assert!(
        operands
            .sizes
            .is_none_or(|s| s.len() == shape.batch * tokens)
    );
    let log2_size = &*scratch.log2_size;
    let scratch = SharedMut::new(&mut scratch.heads);
    let context = SharedMut::new(context);
    team.run(shape.batch * shape.heads, &|thread, task| {
        let (image, head) = (task / shape.heads, task % shape.heads);
        // SAFETY: every thread has its own number.
        let scratch = &mut unsafe { scratch.part(thread..thread + 1) }[0];
        let source = HeadSource {
            rows: &operands.memory[image * tokens * operands.stride..][..tokens * operands.stride],
            stride: operands.stride,
            key: operands.key + head * D,
            value: operands.key + width + head * D,
        };
        let [query_stride, query_image] = operands.query_strides;
        let job = Job::<I, D> {
            isa,
            tokens,
            queries: &operands.queries[image * query_image + head * D..],
            count,
            query_stride,
            score_scale: shape.score_scale[head],
            biased: operands.sizes.is_some() || !is_monotonic(shape.score_scale[head]),
            context_scale: shape.context_scale[head],
            context: &context,
            first: image * count * width + head * D,
            stride: width,
        };
        isa.vectorize(
            #[inline(always)]
            || {
                scratch.memory.load::<I, D>(isa, &source, tokens);
                if job.biased {
                    for (j, bias) in scratch.memory.bias[..tokens].iter_mut().enumerate() {
                        let size = |s: &[u32]| log2_size[s[image * tokens + j] as usize];
                        *bias = operands.sizes.map_or(0.0, size);
                    }
                }
                let vectors = count.div_ceil(I::LANES);
                let mut v = 0;
                while v < vectors {
                    let count = block_vectors::<I>(vectors - v);
                    // SAFETY: one task an image and head.
                    unsafe { job.queries(scratch, v * I::LANES, count) };
                    v += count;
                }
            },
        );
    });
}

/// Whether a larger sum of products is no smaller a score by this scale: no pack of ours has another, but one may.
fn is_monotonic(score_scale: f32) -> bool {
    (0.0..f32::INFINITY).contains(&score_scale)
}

/// The work of one image and head.
struct Job<'a, I, const D: usize> {
    isa: I,
    tokens: usize,
    /// From the first query's first channel of this head.
    queries: &'a [i8],
    count: usize,
    query_stride: usize,
    score_scale: f32,
    /// Whether the largest sum of products need not make the largest score: tokens have sizes, whose logarithms are added,
    /// or the scale is not as usual.
    biased: bool,
    context_scale: f32,
    context: &'a SharedMut<'a, i8>,
    /// Where the first query's context goes, and how far it is to the next one's.
    first: usize,
    stride: usize,
}

impl<I: Isa, const D: usize> Job<'_, I, D> {
    /// A vector of queries begins where [`OFFSETS`] has all of its lanes.
    const VECTOR_FITS_OFFSETS: () =
        assert!(I::LANES.is_multiple_of(DITHER_QUERIES) || DITHER_QUERIES.is_multiple_of(I::LANES));

    /// Attention of `count` vectors of queries from number `first` on.
    ///
    /// # Safety
    /// No other thread writes this image's and head's context.
    #[inline(always)]
    unsafe fn queries(&self, s: &mut HeadScratch, first: usize, count: usize) {
        let words = inner_width(D) / 4 * I::LANES;
        for v in 0..count {
            let query = first + v * I::LANES;
            let rows = self.count.saturating_sub(query).min(I::LANES);
            let from = &self.queries[query * self.query_stride..];
            let from = &from[..(rows - 1) * self.query_stride + D];
            let to = &mut s.queries.words()[v * words..(v + 1) * words];
            interleave(self.isa, from, self.query_stride, D, I::SIGNED.mask, to);
        }
        let sum = match self.biased {
            true => self.numerators::<true>(s, first, count),
            false => self.numerators::<false>(s, first, count),
        };
        // SAFETY: the caller's.
        unsafe { self.context(s, first, count, &sum) };
    }

    /// Softmax numerators of `count` vectors of queries from number `first` on, packed four keys a word; their sum per
    /// query.
    #[inline(always)]
    fn numerators<const BIASED: bool>(
        &self,
        s: &mut HeadScratch,
        first: usize,
        count: usize,
    ) -> [I::I32; MAX_VECTORS] {
        let max = match count {
            3 => self.scores::<3, BIASED>(s),
            2 => self.scores::<2, BIASED>(s),
            _ => self.scores::<1, BIASED>(s),
        };
        self.softmax::<BIASED>(s, first, count, &max)
    }

    /// Scores of `COUNT` vectors of queries against all keys, and their maximum per query.
    ///
    /// Unless they are biased, the largest score is that of the largest sum. Sums stay as they are then: the products keep
    /// the multipliers busy, which scores would have to wait for.
    #[inline(always)]
    fn scores<const COUNT: usize, const BIASED: bool>(
        &self,
        s: &mut HeadScratch,
    ) -> [I::F32; MAX_VECTORS] {
        let isa = self.isa;
        let scale = isa.splat_f32(self.score_scale);
        let mut max = [isa.splat_f32(f32::NEG_INFINITY); MAX_VECTORS];
        let mut largest = [isa.splat_i32(i32::MIN); MAX_VECTORS];
        let queries = s.queries.words();
        let row = inner_width(D);
        for (j0, scores) in (0..self.tokens).step_by(CHANNELS).zip(&mut s.scores) {
            let count = CHANNELS.min(self.tokens - j0);
            let keys = &s.memory.keys[j0 * row..(j0 + CHANNELS) * row];
            let start = std::array::from_fn(|c| I::SIGNED.correction * s.memory.key_sums[j0 + c]);
            let block = Block {
                panel: queries.as_ptr().cast(),
                vector_stride: row * I::LANES,
                weights: keys.as_ptr(),
                weight_stride: row,
                rows: count,
                inner: D.next_multiple_of(I::INNER_STEP),
                ahead: Ahead::NONE,
                sign: Sign::Signed,
            };
            // SAFETY: 16 rows of keys, and `MAX_VECTORS` vectors of queries, are there.
            unsafe { isa.block(&block, COUNT, &start, scores) };
            let rows = scores.0.chunks_exact_mut(I::VECTORS * I::LANES);
            for (row, &bias) in rows.zip(&s.memory.bias[j0..j0 + count]) {
                let bias = isa.splat_f32(bias);
                for v in 0..COUNT {
                    let score = &mut row[v * I::LANES..][..I::LANES];
                    let acc = isa.load_i32(score);
                    if BIASED {
                        let t = isa.fma(isa.to_f32(acc), scale, bias);
                        max[v] = isa.max(t, max[v]);
                        isa.store_i32(isa.bits(t), score);
                    } else {
                        largest[v] = isa.max_i32(largest[v], acc);
                    }
                }
            }
        }
        if !BIASED {
            for v in 0..COUNT {
                max[v] = isa.mul(isa.to_f32(largest[v]), scale);
            }
        }
        max
    }

    /// Softmax numerators from scores.
    #[inline(always)]
    fn softmax<const BIASED: bool>(
        &self,
        s: &mut HeadScratch,
        first: usize,
        count: usize,
        max: &[I::F32; MAX_VECTORS],
    ) -> [I::I32; MAX_VECTORS] {
        const { Self::VECTOR_FITS_OFFSETS };
        let isa = self.isa;
        let steps = self.tokens.next_multiple_of(I::INNER_STEP) / 4;
        let weights = s.weights.words();
        let mask = isa.splat_i32(i32::from_ne_bytes([I::UNSIGNED.mask; 4]));
        let zero = isa.splat_i32(0);
        let mut sum = [zero; MAX_VECTORS];
        for (v, sum) in sum[..count].iter_mut().enumerate() {
            // Vectors begin at multiples of their lanes, so only those shorter than a period begin within one.
            let query = match I::LANES < DITHER_QUERIES {
                true => (first + v * I::LANES) % DITHER_QUERIES,
                false => 0,
            };
            let to = &mut weights[v * steps * I::LANES..(v + 1) * steps * I::LANES];
            let mut total = zero;
            for (step, to) in to.chunks_exact_mut(I::LANES).enumerate() {
                let j0 = 4 * step;
                // Loops, not closures: what is not inlined here is compiled without the set's features.
                let mut p = [zero; 4];
                if j0 + 4 <= self.tokens {
                    for (i, p) in p.iter_mut().enumerate() {
                        *p = self.weight::<BIASED>(&s.scores, j0 + i, (v, query), max[v]);
                    }
                } else {
                    for (j, p) in (j0..self.tokens).zip(&mut p) {
                        *p = self.weight::<BIASED>(&s.scores, j, (v, query), max[v]);
                    }
                }
                let bytes = isa.second_bytes(p);
                total = isa.add_bytes(total, bytes);
                isa.store_i32(isa.xor_i32(bytes, mask), to);
            }
            *sum = total;
        }
        sum
    }

    /// The softmax numerators of key `j` for the `v`-th vector of queries, whose lattice begins at `query`: in every lane's
    /// second byte.
    #[inline(always)]
    fn weight<const BIASED: bool>(
        &self,
        scores: &[Sums],
        j: usize,
        (v, query): (usize, usize),
        max: I::F32,
    ) -> I::I32 {
        let isa = self.isa;
        let at = (j % CHANNELS * I::VECTORS + v) * I::LANES;
        let score = isa.load_i32(&scores[j / CHANNELS].0[at..]);
        let t = match BIASED {
            true => isa.float_of_bits(score),
            false => isa.mul(isa.to_f32(score), isa.splat_f32(self.score_scale)),
        };
        let offset = isa.load_f32(&OFFSETS[j % DITHER_KEYS][query..]);
        softmax_weight(isa, isa.sub(t, max), offset)
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
        let stride = value_stride(self.tokens);
        let mut scale = [isa.splat_f32(self.context_scale); MAX_VECTORS];
        for (scale, &sum) in scale.iter_mut().zip(sum) {
            *scale = isa.div(*scale, isa.to_f32(sum));
        }
        let mut sums = Sums::ZERO;
        let weights = s.weights.words();
        let values = s.memory.values.words();
        for d0 in (0..D).step_by(CHANNELS) {
            let values = &values[d0 * stride / 4..(d0 + CHANNELS) * stride / 4];
            let start =
                std::array::from_fn(|c| I::UNSIGNED.correction * s.memory.value_sums[d0 + c]);
            let block = Block {
                panel: weights.as_ptr().cast(),
                vector_stride: inner * I::LANES,
                weights: values.as_ptr().cast(),
                weight_stride: stride,
                rows: CHANNELS,
                inner,
                ahead: Ahead::NONE,
                sign: Sign::Unsigned,
            };
            // SAFETY: 16 rows of `inner` values, and `count` vectors of softmax integers, are there.
            unsafe { isa.block(&block, count, &start, &mut sums) };
            for (v, &scale) in scale[..count].iter().enumerate() {
                for c in (0..CHANNELS).step_by(I::LANES) {
                    let mut square = [isa.splat_i32(0); MAX_LANES];
                    for (lane, x) in square[..I::LANES].iter_mut().enumerate() {
                        let acc = isa.load_i32(&sums.0[((c + lane) * I::VECTORS + v) * I::LANES..]);
                        *x = isa.sat8(isa.mul(isa.to_f32(acc), scale));
                    }
                    let rows = isa.byte_rows(&mut square[..I::LANES]);
                    let query = first + v * I::LANES;
                    for (m, row) in (query..self.count).zip(&rows[..I::LANES]) {
                        let at = self.first + m * self.stride + d0 + c;
                        // SAFETY: the caller's.
                        let to = unsafe { self.context.part(at..at + I::LANES) };
                        to.copy_from_slice(&row[..I::LANES]);
                    }
                }
            }
        }
    }
}
