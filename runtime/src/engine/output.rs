//! What a run gives: views into the arena, valid until the next run.

use crate::plan::Span;
use half::f16;
use mergevit_kernels::cuda::Best;

/// A class of one image's result.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Top {
    /// Index of the class.
    pub class: usize,
    /// Its logit.
    pub logit: f32,
    /// Its softmax probability.
    pub probability: f32,
}

/// The result of one batch.
#[derive(Clone, Copy, Debug)]
pub struct Output<'a> {
    pub(super) batch: usize,
    pub(super) logits: &'a [f32],
    pub(super) sizes: &'a [u32],
    /// (B, K) best classes that a device has picked, best first; or nothing.
    pub(super) best: &'a [Best],
}

impl<'a> Output<'a> {
    /// Images, B.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// (B, classes)
    pub fn logits(&self) -> &'a [f32] {
        self.logits
    }

    /// (B, T) after the last layer: how many patches each remaining token stands for. A class token counts
    /// itself.
    pub fn sizes(&self) -> &'a [u32] {
        self.sizes
    }

    /// (classes) of one image.
    ///
    /// # Panics
    /// If there is no such image in the batch.
    pub fn image_logits(&self, image: usize) -> &'a [f32] {
        let classes = self.logits.len() / self.batch;
        &self.logits[image * classes..][..classes]
    }

    /// (T) of one image after the last layer.
    ///
    /// # Panics
    /// If there is no such image in the batch.
    pub fn image_sizes(&self, image: usize) -> &'a [u32] {
        let tokens = self.sizes.len() / self.batch;
        &self.sizes[image * tokens..][..tokens]
    }

    /// Fills `top` with one image's best classes, best first, ties to the lower index, and returns how many
    /// there are: `top.len()`, or all classes if they are fewer. Does not allocate.
    ///
    /// # Panics
    /// If there is no such image in the batch.
    pub fn top(&self, image: usize, top: &mut [Top]) -> usize {
        let logits = self.image_logits(image);
        let picked = self.best.len() / self.batch;
        let count = match top.len() <= picked {
            true => copy(&self.best[image * picked..][..picked], top),
            false => pick(logits, top),
        };
        // Shifted by the largest, so that no exponential overflows.
        let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = logits.iter().map(|logit| (logit - max).exp()).sum();
        for entry in &mut top[..count] {
            entry.probability = (entry.logit - max).exp() / sum;
        }
        count
    }
}

/// The best classes by a device's choice.
fn copy(best: &[Best], top: &mut [Top]) -> usize {
    let found = best.iter().take_while(|best| best.class != u32::MAX);
    let mut count = 0;
    for (place, best) in top.iter_mut().zip(found) {
        *place = Top {
            class: best.class as usize,
            logit: best.logit,
            probability: 0.0,
        };
        count += 1;
    }
    count
}

/// The best classes by insertion.
fn pick(logits: &[f32], top: &mut [Top]) -> usize {
    let mut count = 0;
    for (class, &logit) in logits.iter().enumerate() {
        // Later classes go behind their equals.
        let place = top[..count].partition_point(|other| other.logit.total_cmp(&logit).is_ge());
        if place == top.len() {
            continue;
        }
        count = (count + 1).min(top.len());
        top[place..count].rotate_right(1);
        top[place] = Top {
            class,
            logit,
            probability: 0.0,
        };
    }
    count
}

/// The arena while a plan runs: read access to what the last operation touched. What an earlier operation
/// wrote may have been overwritten.
#[derive(Clone, Copy, Debug)]
pub struct ArenaView<'a> {
    pub(super) bytes: &'a [u8],
}

impl<'a> ArenaView<'a> {
    /// Bytes.
    pub fn bytes(&self, span: Span) -> &'a [u8] {
        &self.bytes[span.range()]
    }

    /// Quantized activations.
    pub fn i8(&self, span: Span) -> &'a [i8] {
        bytemuck::cast_slice(self.bytes(span))
    }

    /// The residual stream.
    pub fn f16(&self, span: Span) -> &'a [f16] {
        bytemuck::cast_slice(self.bytes(span))
    }

    /// Token sizes.
    pub fn u32(&self, span: Span) -> &'a [u32] {
        bytemuck::cast_slice(self.bytes(span))
    }

    /// Logits.
    pub fn f32(&self, span: Span) -> &'a [f32] {
        bytemuck::cast_slice(self.bytes(span))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn top_is_sorted_and_breaks_ties_by_index() {
        let output = Output {
            batch: 2,
            logits: &[0.0, 2.0, 1.0, 2.0, -1.0, 5.0, 5.0, 5.0, 5.0, 5.0],
            sizes: &[1, 1],
            best: &[],
        };
        let classes = |image, count| {
            let mut top = vec![Top::default(); count];
            let filled = output.top(image, &mut top);
            top[..filled].iter().map(|t| t.class).collect::<Vec<_>>()
        };
        assert_eq!(classes(0, 3), [1, 3, 2]);
        assert_eq!(classes(0, 9), [1, 3, 2, 0, 4]);
        assert_eq!(classes(1, 2), [0, 1]);
        assert_eq!(classes(0, 0), [0usize; 0]);
        let mut top = [Top::default(); 5];
        output.top(1, &mut top);
        assert!(top.iter().all(|t| (t.probability - 0.2).abs() < 1e-6));
    }

    #[test]
    fn probabilities_survive_large_logits() {
        let output = Output {
            batch: 1,
            logits: &[1e30, -1e30],
            sizes: &[1],
            best: &[],
        };
        let mut top = [Top::default(); 2];
        output.top(0, &mut top);
        assert_eq!((top[0].probability, top[1].probability), (1.0, 0.0));
    }
}
