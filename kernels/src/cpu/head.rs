//! The classifier: few rows of 16-bit activations against up to thousands of classes.

use super::isa::Isa;
use super::shared::SharedMut;
use super::threads::Team;
use crate::ops::LinearWeights;

/// Classes of a task.
const CLASSES: usize = 64;

/// See [`crate::reference::head`]. The integer sums are exact in any order, so the compiler may vectorize.
pub(super) fn head<I: Isa>(
    isa: I,
    team: &mut Team,
    high: &[i8],
    low: &[i8],
    weights: &LinearWeights<'_>,
    logits: &mut [f32],
) {
    let (inputs, outputs) = (weights.inputs, weights.outputs);
    let rows = high.len() / inputs;
    assert_eq!(low.len(), high.len());
    assert_eq!(logits.len(), rows * outputs);
    let logits = SharedMut::new(logits);
    team.run(outputs.div_ceil(CLASSES), &|_, task| {
        isa.vectorize(
            #[inline(always)]
            || {
                for n in task * CLASSES..((task + 1) * CLASSES).min(outputs) {
                    let w = &weights.data[n * inputs..][..inputs];
                    let scale = weights.scale[n];
                    for m in 0..rows {
                        let fine = dot(&low[m * inputs..][..inputs], w) as f32;
                        let coarse = dot(&high[m * inputs..][..inputs], w) as f32;
                        let y = fine.mul_add(scale, weights.bias[n]);
                        // SAFETY: one task a range of classes.
                        let logit = unsafe { logits.part(m * outputs + n..m * outputs + n + 1) };
                        logit[0] = coarse.mul_add(256.0 * scale, y);
                    }
                }
            },
        );
    });
}

#[inline(always)]
fn dot(a: &[i8], w: &[i8]) -> i32 {
    a.iter()
        .zip(w)
        .map(|(&a, &w)| i32::from(i16::from(a) * i16::from(w)))
        .sum()
}
