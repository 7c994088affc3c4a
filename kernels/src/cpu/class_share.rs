//! What the class token's attention gives other tokens: one query a head against the keys of its image.
//!
//! A layer's attention has as many queries as keys, so this is a T-th part of it, and one thread an image is enough.

use super::isa::{Isa, MAX_LANES};
use super::scratch::SCRATCH;
use super::shared::SharedMut;
use super::simd_math::exp2_255;
use crate::memory::{OutOfMemory, zeroed};
use crate::ops::{Capacity, Merge};

/// Space for all images of a batch. Rows are whole vectors; their first T - P values count.
#[derive(Debug)]
pub(super) struct ShareScratch {
    row: usize,
    /// (B, row): scores, then softmax numerators, of one head.
    scores: Box<[f32]>,
    /// (B, row): sizes, 0 beyond the last token.
    sizes: Box<[f32]>,
    /// (B, row)
    shares: Box<[f32]>,
}

impl ShareScratch {
    pub(super) fn new(capacity: &Capacity) -> Result<Self, OutOfMemory> {
        let row = capacity.tokens.next_multiple_of(MAX_LANES);
        let rows = || zeroed(capacity.batch * row, SCRATCH);
        Ok(Self {
            row,
            scores: rows()?,
            sizes: rows()?,
            shares: rows()?,
        })
    }

    /// The scratch space as tasks share it.
    pub(super) fn split(&mut self) -> SharedRows<'_> {
        SharedRows {
            row: self.row,
            scores: SharedMut::new(&mut self.scores),
            sizes: SharedMut::new(&mut self.sizes),
            shares: SharedMut::new(&mut self.shares),
        }
    }
}

/// [`ShareScratch`], of which each task takes an image's part.
pub(super) struct SharedRows<'a> {
    row: usize,
    scores: SharedMut<'a, f32>,
    sizes: SharedMut<'a, f32>,
    shares: SharedMut<'a, f32>,
}

impl<'a> SharedRows<'a> {
    /// # Safety
    /// While the part is in use nobody else uses that of the same image.
    pub(super) unsafe fn image(&self, image: usize) -> ImageRows<'a> {
        let range = image * self.row..(image + 1) * self.row;
        // SAFETY: the caller's.
        unsafe {
            ImageRows {
                scores: self.scores.part(range.clone()),
                sizes: self.sizes.part(range.clone()),
                shares: self.shares.part(range),
            }
        }
    }
}

/// Scratch rows of one image.
pub(super) struct ImageRows<'a> {
    scores: &'a mut [f32],
    sizes: &'a mut [f32],
    shares: &'a mut [f32],
}

impl<'a> ImageRows<'a> {
    /// See `reference::class_share`; (T - P) of the image with `qkv` (T, 3A) and `sizes` (T).
    #[inline(always)]
    pub(super) fn compute<I: Isa, const D: usize>(
        self,
        isa: I,
        shape: &Merge,
        (qkv, sizes): (&[i8], &[u32]),
        score_scale: &[f32],
    ) -> &'a [f32] {
        let (width, count) = (shape.heads * D, shape.tokens - shape.prefix);
        let row = count.next_multiple_of(I::LANES);
        let (scores, shares) = (&mut self.scores[..row], &mut self.shares[..row]);
        let of_tokens = &mut self.sizes[..row];
        of_tokens.fill(0.0);
        for (to, &size) in of_tokens.iter_mut().zip(&sizes[shape.prefix..]) {
            *to = size as f32;
        }
        shares.fill(0.0);
        let queries = qkv[..width].as_chunks::<D>().0;
        for (head, (query, &scale)) in queries.iter().zip(score_scale).enumerate() {
            let rows = qkv.chunks_exact(3 * width).skip(shape.prefix);
            for (token, score) in rows.zip(&mut *scores) {
                let key = &token[width + head * D..].as_chunks::<D>().0[0];
                *score = dot(query, key) as f32 * scale;
            }
            // What nobody has counts with size 0, and must not be the largest.
            scores[count..].fill(f32::NEG_INFINITY);
            let inverse = isa.splat_f32(1.0 / numerators(isa, scores, of_tokens));
            for (share, score) in shares
                .chunks_exact_mut(I::LANES)
                .zip(scores.chunks_exact(I::LANES))
            {
                let sum = isa.fma(isa.load_f32(score), inverse, isa.load_f32(share));
                isa.store_f32(sum, share);
            }
        }
        for (share, size) in shares.iter_mut().zip(of_tokens) {
            *share *= *size;
        }
        &shares[..count]
    }
}

#[inline(always)]
fn dot<const D: usize>(a: &[i8; D], b: &[i8; D]) -> i32 {
    let products = a.iter().zip(b).map(|(&a, &b)| i16::from(a) * i16::from(b));
    products.map(i32::from).sum()
}

/// Turns scores into softmax numerators; returns the sum of sizes times rounded numerators, an integer that is exact
/// in f32: sizes add up to at most [`MAX_TOKENS`](crate::ops::MAX_TOKENS).
#[inline(always)]
fn numerators<I: Isa>(isa: I, scores: &mut [f32], sizes: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; MAX_LANES];
    let mut max = isa.splat_f32(f32::NEG_INFINITY);
    for score in scores.chunks_exact(I::LANES) {
        max = isa.max(max, isa.load_f32(score));
    }
    isa.store_f32(max, &mut lanes);
    let max = isa.splat_f32(lanes.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    let mut total = isa.splat_f32(0.0);
    for (score, size) in scores
        .chunks_exact_mut(I::LANES)
        .zip(sizes.chunks_exact(I::LANES))
    {
        let numerator = exp2_255(isa, isa.sub(isa.load_f32(score), max));
        isa.store_f32(numerator, score);
        total = isa.fma(isa.load_f32(size), isa.round(numerator), total);
    }
    let mut lanes = [0.0; MAX_LANES];
    isa.store_f32(total, &mut lanes);
    lanes.iter().sum()
}
