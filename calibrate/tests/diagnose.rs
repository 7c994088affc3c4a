//! The emulated pass of a pack: with all roundings it is the engine's, with none it is full precision's, and what it says
//! of a rounding is true.

mod common;
#[path = "common/models.rs"]
mod models;

use common::{data, set, succeed};
use mergevit_calibrate::diagnose::{Emulation, Gain, LeftOut, Quantizer, diagnose, passes};
use mergevit_calibrate::{Checkpoint, Dataset, Forward};
use mergevit_runtime::{Engine, Pack};
use models::{engine, family, images};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

const TEST: usize = 4;

/// Full precision's outputs.
fn real(checkpoint: &Checkpoint, pixels: &[u8]) -> Vec<Vec<f32>> {
    let outputs = Forward::new(checkpoint).classify(pixels, &[]);
    outputs.into_iter().map(|output| output.logits).collect()
}

/// The engine's, without merging.
fn integer(engine: &mut Engine, pixels: &[u8]) -> Vec<Vec<f32>> {
    engine.set_schedule("r0").expect("the pack has it");
    let image = engine.pack().config().image_bytes();
    let mut output = |pixels: &[u8]| {
        let output = engine.classify_pixels(pixels).expect("one image");
        output.embedding(0).unwrap_or(output.logits()).to_vec()
    };
    pixels.chunks_exact(image).map(&mut output).collect()
}

/// The emulation's.
fn outputs(emulation: &mut Emulation, pixels: &[u8], left_out: LeftOut) -> Vec<Vec<f32>> {
    let seen = emulation.run(pixels, left_out, &|| {});
    seen.into_iter().map(|seen| seen.output).collect()
}

/// Signal to noise of `found`, in dB.
fn decibels(truth: &[Vec<f32>], found: &[Vec<f32>]) -> f64 {
    let pairs = truth.iter().flatten().zip(found.iter().flatten());
    let (signal, noise) = pairs.fold((0.0, 0.0), |sums, (&truth, &found)| {
        let (truth, found) = (f64::from(truth), f64::from(found));
        (sums.0 + truth * truth, sums.1 + (found - truth).powi(2))
    });
    10.0 * (signal / noise).log10()
}

/// In all families: the emulation is as far from full precision as the engine is, much nearer to the engine than either to
/// full precision, and without its roundings it is full precision.
#[test]
fn the_emulation_is_the_engine_and_without_rounding_full_precision() {
    let mut failures = Vec::new();
    for model in family() {
        let name = model.architecture.clone();
        let checkpoint = Checkpoint::random_of(model, 3).expect("a valid model");
        let mut engine = engine(&checkpoint);
        let pixels = images(&checkpoint.model, TEST, 99);
        let truth = real(&checkpoint, &pixels);
        let integer = integer(&mut engine, &pixels);
        let mut emulation = Emulation::new(&checkpoint, engine.pack(), &pixels);
        let mut outputs = |left_out| outputs(&mut emulation, &pixels, left_out);
        let rounded = outputs(LeftOut::Nothing);
        let exact = decibels(&truth, &outputs(LeftOut::Everything));
        let (own, engines) = (decibels(&truth, &rounded), decibels(&truth, &integer));
        let apart = decibels(&integer, &rounded);
        println!(
            "{name}: emulated {own:.1} dB, engine {engines:.1}, apart {apart:.1}, without rounding {exact:.1}"
        );
        if (own - engines).abs() > 1.0 || apart < engines + 3.0 || exact < engines + 15.0 {
            failures.push(name);
        }
        // What was left out is back.
        assert_eq!(outputs(LeftOut::Nothing), rounded);
    }
    assert!(failures.is_empty(), "{failures:?}");
}

/// The shipped model, its pack, and the pixels of some test images.
fn garments(count: usize) -> (Checkpoint, Pack, Vec<u8>) {
    let checkpoint = Checkpoint::load(data("garments")).unwrap();
    let pack = Pack::open(Path::new("../board/assets/garments.mvit")).unwrap();
    let model = &checkpoint.model;
    let images = Dataset::open(&set("test"), &model.labels, model.classes).unwrap();
    let (pixels, _) = images.pixels(0..count, model).unwrap();
    (checkpoint, pack, pixels)
}

#[test]
fn a_trained_network_is_emulated_to_a_decibel() {
    // Few images would leave the ratios themselves unsure by more than a decibel.
    let (checkpoint, pack, pixels) = garments(24);
    let truth = real(&checkpoint, &pixels);
    let mut emulation = Emulation::new(&checkpoint, &pack, &pixels);
    let rounded = outputs(&mut emulation, &pixels, LeftOut::Nothing);
    let exact = outputs(&mut emulation, &pixels, LeftOut::Everything);
    let mut engine = Engine::options().build(pack).unwrap();
    let integer = integer(&mut engine, &pixels);
    let (own, engines) = (decibels(&truth, &rounded), decibels(&truth, &integer));
    let (apart, exact) = (decibels(&integer, &rounded), decibels(&truth, &exact));
    println!(
        "emulated {own:.2} dB, engine {engines:.2}, apart {apart:.2}, without rounding {exact:.2}"
    );
    assert!((own - engines).abs() < 1.0, "{own} dB, engine {engines} dB");
    assert!(apart > engines + 4.0, "{apart} dB apart");
    assert!(exact > engines + 25.0, "{exact} dB without rounding");
}

#[test]
fn a_diagnosis_covers_every_rounding_and_layer_and_finds_the_planted_culprit() {
    let (mut checkpoint, ..) = garments(1);
    // One channel of the third layer's keys reaches far further than the others, which share its step. All keys move alike,
    // so full precision stays as it was.
    const CHANNEL: usize = 5;
    let width = checkpoint.model.width;
    checkpoint.weights.blocks[2].qkv_bias[width + CHANNEL] += 300.0;
    let engine = engine(&checkpoint);
    let pixels = images(&checkpoint.model, TEST, 99);
    let steps = AtomicUsize::new(0);
    let pack = engine.pack();
    let found = diagnose(&checkpoint, pack, &pixels, &|| {
        steps.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(steps.into_inner(), TEST * passes(pack));
    assert_eq!(found.images, TEST as u64);
    assert_eq!(found.layers.len(), checkpoint.model.depth);
    // A plain network has neither pooling nor a gate.
    assert_eq!(found.quantizers.len(), Quantizer::ALL.len() - 1);
    let weights = |gain: &&Gain| gain.quantizer == Some(Quantizer::ClassifierWeights);
    let weights = found.quantizers.iter().find(weights).unwrap();
    // Features come before the classifier.
    assert_eq!(weights.gain_db, 0.0);
    assert!(weights.outputs_gain_db.is_some_and(|gain| gain != 0.0));
    let gains: Vec<f64> = found.quantizers.iter().map(|gain| gain.gain_db).collect();
    assert!(gains.is_sorted_by(|a, b| a >= b), "{gains:?}");
    assert_eq!(found.quantizers[0].quantizer, Some(Quantizer::Key));
    let largest = found
        .layers
        .iter()
        .max_by(|a, b| a.gain_db.total_cmp(&b.gain_db));
    assert_eq!(largest.unwrap().layer, Some(2), "{:?}", found.layers);
    let outlier = &found.outliers[0];
    assert_eq!(
        (outlier.layer, outlier.channel),
        (2, CHANNEL),
        "{:?}",
        found.outliers
    );
}

#[test]
fn evaluate_tells_why_in_all_its_forms() {
    let folder = tempfile::tempdir().unwrap();
    let command = format!(
        "evaluate -m ../board/assets/garments.mvit -c {} -i {} --limit 4 --why --why-limit 2 --json %r.json --report %r.html",
        data("garments").display(),
        set("test")
    );
    let text = succeed(folder.path(), &command);
    let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
    let report: Value = serde_json::from_str(&read("r.json")).unwrap();
    let why = &report["why"];
    assert_eq!(why["images"], 2);
    let page = read("r.html");
    let name = Quantizer::AttentionWeights.name();
    assert!(text.contains(name) && page.contains(name), "{text}");
    let quantizers = why["quantizers"].as_array().unwrap();
    assert!(
        quantizers
            .iter()
            .any(|gain| gain["quantizer"] == "attention_weights")
    );
    let first = quantizers[0]["gain_db"].as_f64().unwrap();
    assert!(page.contains(&format!("{first:+.2}")) && text.contains(&format!("{first:+.2}")));
}
