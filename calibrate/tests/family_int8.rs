//! INT8 follows full precision in every member of the model family: random weights in which every tensor matters and
//! some channels stand out, with and without merging.

#[path = "common/models.rs"]
mod models;

use mergevit_calibrate::evaluate::cosine;
use mergevit_calibrate::{Checkpoint, Forward};
use mergevit_runtime::Engine;
use models::{engine, family, images};

const TEST: usize = 16;

/// How near INT8 comes to full precision.
struct Nearness {
    /// Least cosine of the outputs, over the images.
    cosine: f64,
    /// Share of the tokens left that stand for as many patches.
    sizes: f64,
}

/// Compares under the schedule `r{r}`.
fn compare(checkpoint: &Checkpoint, engine: &mut Engine, pixels: &[u8], r: usize) -> Nearness {
    let merge = vec![r; checkpoint.model.depth];
    let real = Forward::new(checkpoint).classify(pixels, &merge);
    engine
        .set_schedule(&format!("r{r}"))
        .expect("the pack has it");
    let (mut cosines, mut same, mut tokens) = (Vec::new(), 0, 0);
    let images = pixels.chunks_exact(checkpoint.model.image_bytes());
    for (pixels, real) in images.zip(&real) {
        let output = engine.classify_pixels(pixels).expect("one image");
        let vector = output.embedding(0).unwrap_or(output.logits());
        cosines.push(cosine(vector, &real.logits));
        assert_eq!(output.sizes().len(), real.sizes.len());
        let pairs = output.sizes().iter().zip(&real.sizes);
        same += pairs.filter(|(a, b)| a == b).count();
        tokens += real.sizes.len();
    }
    Nearness {
        cosine: cosines.into_iter().fold(1.0, f64::min),
        sizes: same as f64 / tokens as f64,
    }
}

/// Of merging, the sizes that are left are compared: where two pairs of tokens are about as similar, rounding the keys
/// may let the other merge. In random networks such ties are common.
#[test]
fn int8_follows_full_precision_in_every_family() {
    let mut failures = Vec::new();
    for model in family() {
        let name = model.architecture.clone();
        let checkpoint = Checkpoint::random_of(model, 3).expect("a valid model");
        let mut engine = engine(&checkpoint);
        let pixels = images(&checkpoint.model, TEST, 99);
        let whole = compare(&checkpoint, &mut engine, &pixels, 0);
        let merged = compare(&checkpoint, &mut engine, &pixels, 6);
        println!(
            "{name}: cosine {:.4}, merged {:.4} with {:.1} % of sizes equal",
            whole.cosine,
            merged.cosine,
            100.0 * merged.sizes
        );
        if whole.cosine < 0.99 || merged.cosine < 0.97 || merged.sizes < 0.9 {
            failures.push(name);
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}
