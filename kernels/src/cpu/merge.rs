//! Token merging: similarities spread over the threads, matching and ranking on one, rows spread again.

use super::class_share::ShareScratch;
use super::isa::Isa;
use super::scratch::SCRATCH;
use super::shared::SharedMut;
use super::threads::Team;
use crate::memory::{OutOfMemory, zeroed};
use crate::ops::{Capacity, HEAD_WIDTHS, Merge, MergeInput, MergeOutput};
use half::f16;

/// Sources of a task, for similarities and for merged rows alike.
const TASK_TOKENS: usize = 16;

/// Marks a source that stays.
const STAYS: u16 = u16::MAX;

/// Space for all images of a batch.
#[derive(Debug)]
pub(super) struct MergeScratch {
    /// (B, T, D): the sum of each token's keys over heads; 32 heads of +-127 fit 16 bits.
    metric: Box<[i16]>,
    inverse_norm: Box<[f32]>,
    /// Of each source's best target; then what ranks it, the largest first.
    similarity: Box<[f32]>,
    partner: Box<[u16]>,
    /// Per output row: the token it starts from.
    origin: Box<[u16]>,
    share: ShareScratch,
}

impl MergeScratch {
    pub(super) fn new(capacity: &Capacity) -> Result<Self, OutOfMemory> {
        let all = capacity.batch * capacity.tokens;
        Ok(Self {
            metric: zeroed(all * capacity.head_width, SCRATCH)?,
            inverse_norm: zeroed(all, SCRATCH)?,
            similarity: zeroed(all, SCRATCH)?,
            partner: zeroed(all, SCRATCH)?,
            origin: zeroed(all, SCRATCH)?,
            share: ShareScratch::new(capacity)?,
        })
    }
}

/// See [`crate::reference::merge`].
pub(super) fn merge<I: Isa>(
    isa: I,
    team: &mut Team,
    scratch: &mut MergeScratch,
    shape: &Merge,
    input: MergeInput<'_>,
    mut output: MergeOutput<'_>,
) {
    let (tokens, width) = (shape.tokens, shape.width);
    let kept = tokens - shape.merged;
    let all = shape.batch * tokens;
    assert!(shape.merged >= 1 && shape.merged <= Merge::limit(tokens, shape.prefix));
    assert_eq!(input.qkv.len(), all * 3 * shape.heads * shape.head_width);
    assert_eq!(input.residual.len(), all * width);
    assert_eq!(input.sizes.len(), all);
    assert_eq!(output.residual.len(), shape.batch * kept * width);
    assert_eq!(output.sizes.len(), shape.batch * kept);

    let find = match shape.head_width {
        32 => priorities::<I, 32>,
        64 => priorities::<I, 64>,
        96 => priorities::<I, 96>,
        128 => priorities::<I, 128>,
        other => panic!("heads are of {HEAD_WIDTHS:?} channels, not {other}"),
    };
    find(isa, team, scratch, &input, shape);
    for image in 0..shape.batch {
        select(
            shape,
            &mut scratch.partner[image * tokens..][..tokens],
            &scratch.similarity[image * tokens..][..tokens],
            &mut scratch.origin[image * kept..][..kept],
        );
    }
    rows(isa, team, scratch, shape, input, &mut output);
}

/// Best partner of every A token of every image, and what ranks it, for heads of `D` channels.
fn priorities<I: Isa, const D: usize>(
    isa: I,
    team: &mut Team,
    scratch: &mut MergeScratch,
    input: &MergeInput<'_>,
    shape: &Merge,
) {
    metrics::<I, D>(isa, team, scratch, input.qkv, shape);
    similarities::<I, D>(isa, team, scratch, shape);
    if let Some(score_scale) = input.score_scale {
        weigh::<I, D>(isa, team, scratch, (input, score_scale), shape);
    }
}

/// Metric and inverse norm of every token, for heads of `D` channels.
fn metrics<I: Isa, const D: usize>(
    isa: I,
    team: &mut Team,
    scratch: &mut MergeScratch,
    qkv: &[i8],
    shape: &Merge,
) {
    let width = shape.heads * D;
    let all = shape.batch * shape.tokens;
    let metric = SharedMut::new(scratch.metric.as_chunks_mut::<D>().0);
    let norm = SharedMut::new(&mut scratch.inverse_norm[..all]);
    team.run(all.div_ceil(TASK_TOKENS), &|_, task| {
        let range = task * TASK_TOKENS..((task + 1) * TASK_TOKENS).min(all);
        // SAFETY: one task a range of tokens.
        let (metric, norm) = unsafe { (metric.part(range.clone()), norm.part(range.clone())) };
        isa.vectorize(
            #[inline(always)]
            || {
                for ((token, metric), norm) in range.zip(metric).zip(norm) {
                    *metric = [0; D];
                    let keys = &qkv[token * 3 * width + width..][..width];
                    for head in keys.as_chunks::<D>().0 {
                        for (sum, &k) in metric.iter_mut().zip(head) {
                            *sum += i16::from(k);
                        }
                    }
                    let square = dot(metric, metric);
                    *norm = if square == 0 {
                        0.0
                    } else {
                        1.0 / (square as f32).sqrt()
                    };
                }
            },
        );
    });
}

#[inline(always)]
fn dot<const D: usize>(a: &[i16; D], b: &[i16; D]) -> i32 {
    a.iter()
        .zip(b)
        .map(|(&a, &b)| i32::from(a) * i32::from(b))
        .sum()
}

/// Best partner and its similarity for every A token of every image; those of image i start at `i * T`.
fn similarities<I: Isa, const D: usize>(
    isa: I,
    team: &mut Team,
    scratch: &mut MergeScratch,
    shape: &Merge,
) {
    let tokens = shape.tokens;
    let (sources, targets) = (shape.sources(), shape.targets());
    let tasks = sources.div_ceil(TASK_TOKENS);
    let metric = scratch.metric.as_chunks::<D>().0;
    let norm = &scratch.inverse_norm[..];
    let similarity = SharedMut::new(&mut scratch.similarity);
    let partner = SharedMut::new(&mut scratch.partner);
    team.run(shape.batch * tasks, &|_, task| {
        let (image, task) = (task / tasks, task % tasks);
        let first = image * tokens;
        let (metric, norm) = (&metric[first..first + tokens], &norm[first..first + tokens]);
        let range = task * TASK_TOKENS..((task + 1) * TASK_TOKENS).min(sources);
        let at = first + range.start..first + range.end;
        // SAFETY: one task a range of sources of an image.
        let (similarity, partner) = unsafe { (similarity.part(at.clone()), partner.part(at)) };
        isa.vectorize(
            #[inline(always)]
            || {
                for ((a, best), partner) in range.zip(similarity).zip(partner) {
                    (*best, *partner) = (f32::NEG_INFINITY, 0);
                    if a < shape.protected_sources() {
                        continue;
                    }
                    for b in shape.protected_targets()..targets {
                        let product = dot(&metric[2 * a], &metric[2 * b + 1]) as f32;
                        let s = product * norm[2 * a] * norm[2 * b + 1];
                        if s > *best {
                            (*best, *partner) = (s, b as u16);
                        }
                    }
                }
            },
        );
    });
}

/// Makes priorities of similarities, by the class token's attention.
fn weigh<I: Isa, const D: usize>(
    isa: I,
    team: &mut Team,
    scratch: &mut MergeScratch,
    (input, score_scale): (&MergeInput<'_>, &[f32]),
    shape: &Merge,
) {
    let (tokens, prefix) = (shape.tokens, shape.prefix);
    assert!(prefix >= 1, "the first token is the class token");
    assert_eq!(score_scale.len(), shape.heads);
    let row = 3 * shape.heads * D;
    let partner = &scratch.partner[..];
    let priority = SharedMut::new(&mut scratch.similarity);
    let share = scratch.share.split();
    team.run(shape.batch, &|_, image| {
        let all = image * tokens..(image + 1) * tokens;
        // SAFETY: one task an image.
        let (priority, share) = unsafe { (priority.part(all.clone()), share.image(image)) };
        let partner = &partner[all.clone()];
        let of_image = (
            &input.qkv[all.start * row..all.end * row],
            &input.sizes[all],
        );
        isa.vectorize(
            #[inline(always)]
            || {
                let share = share.compute::<I, D>(isa, shape, of_image, score_scale);
                for a in shape.protected_sources()..shape.sources() {
                    let target = 2 * usize::from(partner[a]) + 1;
                    let pair = share[2 * a - prefix].max(share[target - prefix]);
                    priority[a] = (priority[a] - 1.0).min(0.0) * pair.sqrt();
                }
            },
        );
    });
}

/// Ranks the sources of one image. Sources that stay get [`STAYS`] for a partner; `origin` (T - r) gets
/// the token that each output row starts from.
fn select(shape: &Merge, partner: &mut [u16], similarity: &[f32], origin: &mut [u16]) {
    let similarity = &similarity[..shape.sources()];
    let (prefix, rest) = origin.split_at_mut(shape.prefix);
    for (token, origin) in prefix.iter_mut().enumerate() {
        *origin = token as u16;
    }
    let mut out = 0;
    for (a, &own) in similarity.iter().enumerate() {
        let before = similarity[..a].iter().filter(|&&s| s >= own).count();
        let after = similarity[a..].iter().filter(|&&s| s > own).count();
        if before + after < shape.merged {
            continue;
        }
        partner[a] = STAYS;
        if a >= shape.protected_sources() {
            rest[out] = 2 * a as u16;
            out += 1;
        }
    }
    let targets = shape.protected_targets()..shape.targets();
    for (origin, b) in rest[out..].iter_mut().zip(targets) {
        *origin = 2 * b as u16 + 1;
    }
}

fn rows<I: Isa>(
    isa: I,
    team: &mut Team,
    scratch: &MergeScratch,
    shape: &Merge,
    input: MergeInput<'_>,
    output: &mut MergeOutput<'_>,
) {
    let (tokens, width) = (shape.tokens, shape.width);
    let kept = tokens - shape.merged;
    let sources = tokens.div_ceil(2);
    let tasks = kept.div_ceil(TASK_TOKENS);
    let residual = SharedMut::new(output.residual);
    let sizes = SharedMut::new(output.sizes);
    let positions = output.positions.as_deref_mut().map(SharedMut::new);
    team.run(shape.batch * tasks, &|_, task| {
        let (image, task) = (task / tasks, task % tasks);
        let partner = &scratch.partner[image * tokens..][..sources];
        let from = &input.residual[image * tokens * width..][..tokens * width];
        let from_sizes = &input.sizes[image * tokens..][..tokens];
        for row in task * TASK_TOKENS..((task + 1) * TASK_TOKENS).min(kept) {
            let at = image * kept + row;
            // SAFETY: one task a range of output rows.
            let (to, size) = unsafe {
                (
                    residual.part(at * width..(at + 1) * width),
                    &mut sizes.part(at..at + 1)[0],
                )
            };
            let origin = usize::from(scratch.origin[at]);
            *size = from_sizes[origin];
            let merges = |a: &usize| origin % 2 == 1 && usize::from(partner[*a]) == origin / 2;
            let alone = !(0..sources).any(|a| merges(&a));
            let parts = || (0..sources).filter(merges).map(|a| 2 * a);
            let own = *size;
            if !alone {
                *size += parts().map(|token| from_sizes[token]).sum::<u32>();
            }
            if let Some(positions) = &positions {
                let of = |token| input.positions.of(image, token, tokens, shape.prefix);
                // SAFETY: one task a range of output rows.
                let to = unsafe { positions.part(2 * at..2 * at + 2) };
                to.copy_from_slice(&of(origin));
                if !alone {
                    for (axis, to) in to.iter_mut().enumerate() {
                        let weighted =
                            |sum: f32, a: usize| (from_sizes[a] as f32).mul_add(of(a)[axis], sum);
                        *to = parts().fold(own as f32 * *to, weighted) / *size as f32;
                    }
                }
            }
            if alone {
                // The mean of one token is the token: `s x / s` is exact in f32 for 11-bit s and x.
                to.copy_from_slice(&from[origin * width..][..width]);
                continue;
            }
            isa.vectorize(
                #[inline(always)]
                || mean(isa, from, from_sizes, (origin, parts), *size, to),
            );
        }
    });
}

/// The size-weighted mean of token `origin` and the tokens that `parts` lists.
#[inline(always)]
fn mean<I: Isa, P: Iterator<Item = usize>>(
    isa: I,
    from: &[f16],
    sizes: &[u32],
    (origin, parts): (usize, impl Fn() -> P),
    size: u32,
    to: &mut [f16],
) {
    let width = to.len();
    let total = isa.splat_f32(size as f32);
    for (c, to) in to.chunks_exact_mut(I::LANES).enumerate() {
        let at = c * I::LANES;
        let mut sum = isa.mul(
            isa.splat_f32(sizes[origin] as f32),
            isa.load_f16(&from[origin * width + at..]),
        );
        for token in parts() {
            sum = isa.fma(
                isa.splat_f32(sizes[token] as f32),
                isa.load_f16(&from[token * width + at..]),
                sum,
            );
        }
        isa.store_f16(isa.div(sum, total), to);
    }
}
