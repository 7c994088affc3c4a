//! Networks with dead parts, and networks that overflow, through the library.

use mergevit_calibrate::checkpoint::Checkpoint;
use mergevit_calibrate::fp32::Forward;
use mergevit_calibrate::observe::{Observation, ObserveError, Observer};
use mergevit_calibrate::pack::build;
use mergevit_calibrate::quantize::Quantizer;
use mergevit_runtime::{Engine, Provenance, Schedule};

const IMAGES: usize = 8;

fn checkpoint() -> Checkpoint {
    Checkpoint::random("vit_tiny_patch16_64", 5).unwrap()
}

/// Frames with structure: gradients of different slope.
fn frames(checkpoint: &Checkpoint) -> Vec<u8> {
    let image = checkpoint.model.image_bytes();
    (0..IMAGES * image)
        .map(|i| ((i % image) * (i / image + 3) / 97) as u8)
        .collect()
}

/// Quantizes, packs, runs; the largest difference to full precision, relative to the largest logit.
fn distance(checkpoint: &Checkpoint, observer: Observer) -> f32 {
    let frames = frames(checkpoint);
    let mut observation = Observation::new(checkpoint, IMAGES);
    observation.see(&frames);
    let statistics = observation.finish().unwrap();
    let model = Quantizer::new()
        .with_observer(observer)
        .quantize(checkpoint, &statistics);
    let schedules = vec![Schedule::constant(0, checkpoint.model.depth)];
    let writer = build(checkpoint, &model, schedules, Provenance::default()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("m.mvit");
    writer.finish(&path).unwrap();
    let mut engine = Engine::load(&path).unwrap();
    let (mut largest, mut distance) = (0.0f32, 0.0f32);
    for pixels in frames.chunks_exact(checkpoint.model.image_bytes()) {
        let truth = Forward::new(checkpoint).run(pixels, &[], &mut ()).logits;
        let output = engine.classify_pixels(pixels).unwrap();
        for (a, b) in truth.iter().zip(output.logits()) {
            largest = largest.max(a.abs());
            distance = distance.max((a - b).abs());
        }
    }
    distance / largest
}

#[test]
fn every_observer_gives_a_pack_near_full_precision() {
    let checkpoint = checkpoint();
    for observer in [Observer::MinMax, Observer::Percentile(99.9), Observer::Mse] {
        let distance = distance(&checkpoint, observer);
        assert!(distance < 0.1, "{observer}: {distance}");
    }
}

#[test]
fn dead_channels_heads_and_layers_are_packed() {
    let mut checkpoint = checkpoint();
    let width = checkpoint.model.width;
    let blocks = &mut checkpoint.weights.blocks;
    // A channel in which the layer norms always give their bias.
    blocks[0].norm1.gain[5] = 0.0;
    blocks[0].norm2.gain[5] = 0.0;
    // A head without queries, keys or values.
    for part in 0..3 {
        blocks[1].qkv_weight[part * width * width..][..64 * width].fill(0.0);
        blocks[1].qkv_bias[part * width..][..64].fill(0.0);
    }
    // An MLP that is off, and an output channel without weights.
    blocks[2].fc1_weight.fill(0.0);
    blocks[2].fc1_bias.fill(0.0);
    blocks[3].proj_weight[..width].fill(0.0);
    // A layer norm that gives only zeros.
    blocks[4].norm1.gain.fill(0.0);
    blocks[4].norm1.bias.fill(0.0);
    let distance = distance(&checkpoint, Observer::Mse);
    assert!(distance < 0.1, "{distance}");
}

#[test]
fn one_outlier_channel_does_not_cost_the_others() {
    let mut checkpoint = checkpoint();
    for block in &mut checkpoint.weights.blocks {
        block.norm1.gain[7] *= 200.0;
        block.norm2.gain[7] *= 200.0;
        let width = block.norm1.gain.len();
        for row in block.qkv_weight.chunks_exact_mut(width) {
            row[7] *= 0.01;
        }
        for row in block.fc1_weight.chunks_exact_mut(width) {
            row[7] *= 0.01;
        }
    }
    let distance = distance(&checkpoint, Observer::Mse);
    assert!(distance < 0.1, "{distance}");
}

#[test]
fn activations_that_overflow_are_named() {
    let mut checkpoint = checkpoint();
    checkpoint.weights.blocks[3].qkv_weight.fill(1e38);
    let mut observation = Observation::new(&checkpoint, IMAGES);
    observation.see(&frames(&checkpoint));
    let error = observation.finish().unwrap_err();
    let ObserveError::NonFinite { activation, .. } = &error else {
        panic!("{error}");
    };
    assert_eq!(activation, "layer 3, query");
    let none = Observation::new(&checkpoint, 0).finish();
    assert_eq!(none.unwrap_err(), ObserveError::NoImages);
}

#[test]
fn huge_weights_are_refused_not_packed() {
    let mut checkpoint = checkpoint();
    checkpoint.weights.head_weight.fill(1e30);
    let mut observation = Observation::new(&checkpoint, IMAGES);
    observation.see(&frames(&checkpoint));
    let statistics = observation.finish().unwrap();
    let model = Quantizer::new().quantize(&checkpoint, &statistics);
    let schedules = vec![Schedule::constant(0, checkpoint.model.depth)];
    let writer = build(&checkpoint, &model, schedules, Provenance::default()).unwrap();
    let error = writer.to_bytes().map(drop).unwrap_err().to_string();
    assert!(error.contains("Head"), "{error}");
}

#[test]
fn statistics_do_not_depend_on_batches_or_threads() {
    let checkpoint = checkpoint();
    let frames = frames(&checkpoint);
    let observe = |threads, images: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let mut observation = Observation::new(&checkpoint, IMAGES);
            let batch = images * checkpoint.model.image_bytes();
            frames
                .chunks(batch)
                .for_each(|pixels| observation.see(pixels));
            observation.finish().unwrap()
        })
    };
    assert!(observe(1, IMAGES) == observe(3, 3));
}
