//! The engine against the contract: the plan changes nothing, nor does the backend, the batch, the number
//! of threads, or what ran before.

#[path = "common/naive.rs"]
mod naive;

use mergevit_kernels::frame::{Frame, Geometry, Interpolation, PixelFormat, Resize, reference};
use mergevit_runtime::testing::{self, Random};
use mergevit_runtime::{
    Backend, Classes, EmbeddingClassifier, Engine, EngineOptions, LoadError, ModelConfig, Output,
    OutputKind, Pack, PackWriter, Pooling, RunError, TensorKind, Unknown, backends, inspect,
};
use naive::Naive;

fn options(backend: &str, threads: usize, max_batch: usize) -> EngineOptions {
    Engine::options()
        .backend(backend)
        .threads(threads)
        .max_batch(max_batch)
        .max_frame(320, 240)
}

fn engine(config: &ModelConfig, merged: &[u16], options: &EngineOptions) -> Engine {
    options
        .build(testing::pack(config, merged, 21))
        .expect("an engine")
}

fn available() -> impl Iterator<Item = &'static str> {
    backends().filter(|b| b.available).map(|b| b.name)
}

/// A few of the family, whose sizes are no round numbers.
fn models() -> Vec<ModelConfig> {
    let rotary = "gated, inner norm";
    let few = ["plain", "no prefix, mean", rotary, "attention pooling"];
    let mut family = testing::family();
    family.retain(|(name, _)| few.contains(name));
    family.into_iter().map(|(_, config)| config).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|x| x.to_bits()).collect()
}

/// What the network gives for one image: an embedding, or logits.
fn outputs<'a>(output: &Output<'a>, image: usize) -> &'a [f32] {
    let logits = || output.image_logits(image);
    output.embedding(image).unwrap_or_else(logits)
}

#[test]
fn every_backend_computes_the_network_written_out() {
    for (name, config) in testing::family() {
        let merged = [0, 3, 9, 60];
        let pack = testing::ranked_pack(&config, &merged, 21);
        let mut naive = Naive::new(&pack);
        let pixels = Random(3).bytes(config.image_bytes());
        for schedule in pack.schedules() {
            let (expected, sizes) = naive.forward(&pixels, schedule);
            assert!(
                expected.iter().any(|&x| x != expected[0]),
                "{name}: random outputs"
            );
            assert!(expected.iter().all(|x| x.is_finite()), "{name}");
            assert_eq!(sizes.iter().sum::<u32>() as usize, config.tokens());
            for backend in available() {
                let pack = testing::ranked_pack(&config, &merged, 21);
                let mut engine = options(backend, 2, 1).build(pack).unwrap();
                engine.set_schedule(&schedule.name).unwrap();
                let output = engine.classify_pixels(&pixels).unwrap();
                let what = format!("{name}: {backend} {}", schedule.name);
                assert_eq!(bits(outputs(&output, 0)), bits(&expected), "{what}");
                assert_eq!(output.sizes(), sizes, "{what}");
                assert_eq!(output.logits().is_empty(), !config.classifies(), "{what}");
            }
        }
    }
}

#[test]
fn embeddings_are_what_scores_are_made_of() {
    let mut family = testing::family();
    family.retain(|(_, config)| config.output == OutputKind::Embedding);
    for (name, config) in family {
        let pixels = Random(3).bytes(3 * config.image_bytes());
        let mut engine = engine(&config, &[2], &options("cpu", 1, 3));
        let output = engine.classify_pixels(&pixels).unwrap();
        for image in 0..3 {
            let raw = output.embedding(image).expect("an embedding");
            let unit = output.unit_embedding(image).expect("an embedding");
            let length = raw
                .iter()
                .map(|&x| f64::from(x).powi(2))
                .sum::<f64>()
                .sqrt();
            assert!(length > 0.1, "{name}: {length}");
            for (&raw, &unit) in raw.iter().zip(unit) {
                assert!(
                    (f64::from(raw) / length - f64::from(unit)).abs() < 1e-6,
                    "{name}"
                );
            }
            let Some(classifier) = config.classifier else {
                assert_eq!(output.top(image).len(), 0, "{name}");
                assert_eq!(output.is_unknown(image), None, "{name}");
                continue;
            };
            let pack = testing::pack(&config, &[2], 21);
            let tensor = |kind| pack.tensor_f32(kind, None).unwrap();
            let row =
                |kind, class: usize| &tensor(kind)[class * config.classes..][..config.classes];
            let product = |a: &[f32], b: &[f32]| -> f64 {
                let products = a.iter().zip(b);
                products.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
            };
            let expected = (0..config.labels.len()).map(|class| {
                let vector = row(TensorKind::ClassVector, class);
                match classifier {
                    EmbeddingClassifier::Cosine { scale, bias } => {
                        f64::from(scale) * product(unit, vector) + f64::from(bias)
                    }
                    EmbeddingClassifier::Linear => {
                        product(raw, vector) + f64::from(tensor(TensorKind::ClassBias)[class])
                    }
                }
            });
            let expected: Vec<f64> = expected.collect();
            let logits = output.image_logits(image);
            assert_eq!(logits.len(), config.labels.len());
            for (&logit, expected) in logits.iter().zip(&expected) {
                assert!((f64::from(logit) - expected).abs() < 1e-3, "{name}");
            }
            let largest = expected.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let best = output.best(image);
            assert!((expected[best.class] - largest).abs() < 1e-3);
            assert_eq!(best.label, Some(&*config.labels[best.class]));
            let is_unknown = config.unknown.then(|| {
                let center = row(TensorKind::ClassCenter, best.class);
                let threshold = tensor(TensorKind::ClassThreshold)[best.class];
                product(unit, center) < f64::from(threshold)
            });
            assert_eq!(output.is_unknown(image), is_unknown, "{name}");
        }
    }
    let config = testing::tiny();
    let pixels = vec![9; config.image_bytes()];
    let mut engine = engine(&config, &[0], &options("cpu", 1, 1));
    let output = engine.classify_pixels(&pixels).unwrap();
    assert_eq!(output.embedding(0), None);
    assert_eq!(output.unit_embedding(0), None);
}

#[test]
fn what_is_too_far_from_its_class_is_unknown() {
    let mut family = testing::family();
    family.retain(|(name, _)| *name == "own classes");
    let (_, config) = family.pop().expect("one of the family");
    let pack = testing::pack(&config, &[0], 21);
    let tensor = |kind| pack.tensor_f32(kind, None).unwrap().to_vec();
    let pixels = Random(3).bytes(2 * config.image_bytes());
    for (threshold, expected) in [(-1.0, false), (1.0, true)] {
        let classes = Classes {
            labels: config.labels.clone(),
            kind: config.classifier.unwrap(),
            scores: config.score_kind,
            vectors: tensor(TensorKind::ClassVector),
            bias: tensor(TensorKind::ClassBias),
            unknown: Some(Unknown {
                centers: tensor(TensorKind::ClassCenter),
                thresholds: vec![threshold; config.labels.len()],
            }),
        };
        let writer = PackWriter::from_pack(&pack).with_classes(classes).unwrap();
        let changed = Pack::from_memory(writer.to_bytes().unwrap()).unwrap();
        let mut engine = options("cpu", 1, 2).build(changed).unwrap();
        let output = engine.classify_pixels(&pixels).unwrap();
        for image in 0..2 {
            assert_eq!(output.is_unknown(image), Some(expected), "{threshold}");
        }
    }
}

/// 48 x 48 patches and a class token.
#[test]
fn images_of_many_tokens() {
    let config = ModelConfig {
        pooling: Pooling::Mean,
        ..testing::model(96, 2, 1, 1, 3)
    };
    assert_eq!(config.tokens(), 2305);
    let pixels = Random(12).bytes(config.image_bytes());
    let run = |backend| {
        let mut engine = engine(&config, &[700], &options(backend, 2, 1));
        let output = engine.classify_pixels(&pixels).unwrap();
        (bits(output.logits()), output.sizes().to_vec())
    };
    let expected = run("reference");
    assert_eq!(expected.1.len(), 1605);
    for backend in available() {
        assert!(run(backend) == expected, "{backend}");
    }
}

#[test]
fn a_batch_equals_its_images_one_by_one() {
    for config in models() {
        let image = config.image_bytes();
        let pixels = Random(4).bytes(8 * image);
        for backend in available() {
            let mut engine = engine(&config, &[5, 0], &options(backend, 1, 8));
            for schedule in ["r5", "r0"] {
                engine.set_schedule(schedule).unwrap();
                let mut single = Vec::new();
                let mut sizes = Vec::new();
                for pixels in pixels.chunks_exact(image) {
                    let output = engine.classify_pixels(pixels).unwrap();
                    single.extend(bits(output.logits()));
                    sizes.extend(output.sizes().to_vec());
                }
                for batch in [2, 3, 8] {
                    let output = engine.classify_pixels(&pixels[..batch * image]).unwrap();
                    assert_eq!(output.batch(), batch);
                    assert_eq!(bits(output.logits()), single[..batch * config.classes]);
                    assert_eq!(output.sizes(), &sizes[..output.sizes().len()]);
                    let last = bits(output.image_logits(batch - 1));
                    assert_eq!(
                        last,
                        single[(batch - 1) * config.classes..][..config.classes]
                    );
                }
            }
        }
    }
}

#[test]
fn nothing_is_left_over_from_earlier_runs() {
    let config = &models()[0];
    let image = config.image_bytes();
    let pixels = Random(6).bytes(3 * image);
    for backend in available() {
        let merged = [0, 2, 12];
        let mut used = engine(config, &merged, &options(backend, 1, 3));
        let mut random = Random(7);
        for _ in 0..12 {
            let schedule = format!("r{}", merged[random.below(3)]);
            let batch = 1 + random.below(3);
            let input = &pixels[(3 - batch) * image..];
            used.set_schedule(&schedule).unwrap();
            assert_eq!(used.schedule().name, schedule);
            let mut fresh = engine(config, &merged, &options(backend, 1, 3));
            fresh.set_schedule(&schedule).unwrap();
            let want = bits(fresh.classify_pixels(input).unwrap().logits());
            assert_eq!(bits(used.classify_pixels(input).unwrap().logits()), want);
        }
    }
}

#[test]
fn threads_change_nothing() {
    let config = &models()[1];
    let pixels = Random(8).bytes(2 * config.image_bytes());
    let run = |threads| {
        let mut engine = engine(config, &[4], &options("cpu", threads, 2));
        assert_eq!(engine.threads(), threads);
        bits(engine.classify_pixels(&pixels).unwrap().logits())
    };
    let one = run(1);
    for threads in [2, 3] {
        assert_eq!(run(threads), one, "{threads} threads");
    }
}

#[test]
fn frames_are_resized_and_cropped_as_the_pack_says() {
    let config = &testing::small();
    let mut engine = engine(config, &[0], &options("cpu", 1, 2));
    let geometry =
        Geometry::new(Resize::ShortestSide(39), (35, 35), Interpolation::Bicubic).unwrap();
    let mut random = Random(9);
    for format in PixelFormat::ALL {
        let data = random.bytes(format.frame_bytes(61, 47));
        let first = Frame::packed(format, 61, 47, &data).unwrap();
        let other = random.bytes(320 * 240);
        let second = Frame::packed(PixelFormat::Grey, 320, 240, &other).unwrap();
        let mut pixels = Vec::new();
        for frame in [&first, &second] {
            pixels.extend(reference::preprocess(&geometry, frame));
        }
        let from_frames = bits(engine.classify(&[first, second]).unwrap().logits());
        let from_pixels = bits(engine.classify_pixels(&pixels).unwrap().logits());
        assert_eq!(from_frames, from_pixels, "{format:?}");
    }
}

#[test]
fn an_observer_sees_every_operation() {
    let config = &models()[0];
    let pixels = Random(10).bytes(config.image_bytes());
    let mut engine = engine(config, &[3], &options("cpu", 1, 1));
    let plan = engine.plan().clone();
    let (mut seen, mut residual_is_finite) = (Vec::new(), true);
    let observed = inspect::observe(&mut engine, &pixels, &mut |op, arena| {
        seen.push(op.name());
        for (span, access) in op.spans() {
            assert_eq!(arena.bytes(span).len(), span.len);
            if op.name() == "fc2" && access.writes() {
                residual_is_finite &= arena.f16(span).iter().all(|x| x.is_finite());
            }
        }
    })
    .map(|output| bits(output.logits()))
    .unwrap();
    assert!(residual_is_finite);
    assert!(plan.ops().map(|op| op.name()).eq(seen));
    assert_eq!(
        bits(engine.classify_pixels(&pixels).unwrap().logits()),
        observed
    );
}

#[test]
fn wrong_calls_are_refused_and_leave_the_engine_usable() {
    let config = &models()[0];
    let image = config.image_bytes();
    let pixels = vec![7; 3 * image];
    let mut engine = engine(config, &[0, 1], &options("cpu", 1, 2));
    let error = |result: Result<Output<'_>, RunError>| result.map(drop).expect_err("refused");

    assert_eq!(error(engine.run()), RunError::NoPixels);
    assert_eq!(
        error(engine.classify(&[])),
        RunError::Batch { found: 0, max: 2 }
    );
    for found in [0, 1, image - 1, image + 1] {
        let result = engine.classify_pixels(&pixels[..found]);
        assert_eq!(error(result), RunError::Pixels { found, image });
    }
    let result = engine.classify_pixels(&pixels);
    assert_eq!(error(result), RunError::Batch { found: 3, max: 2 });

    let grey = vec![0; 321 * 240];
    let fits = Frame::packed(PixelFormat::Grey, 320, 240, &grey).unwrap();
    let large = Frame::packed(PixelFormat::Grey, 321, 240, &grey).unwrap();
    assert_eq!(
        error(engine.classify(&[fits, large])),
        RunError::Frame {
            index: 1,
            found: (321, 240),
            max: (320, 240)
        }
    );

    engine.preprocess(&[fits]).unwrap();
    engine.set_schedule("r1").unwrap();
    assert_eq!(error(engine.run()), RunError::NoPixels);
    let unknown = engine.set_schedule("r99").unwrap_err().to_string();
    assert_eq!(unknown, "schedule \"r99\": unknown, expected one of r0, r1");
    assert_eq!(engine.schedule().name, "r1");
    engine.preprocess(&[fits]).unwrap();
    engine.run().unwrap();
    assert_eq!(error(engine.run()), RunError::NoPixels);
}

#[test]
fn options_that_do_not_fit_are_refused() {
    let load = |options: EngineOptions| {
        let pack = testing::pack(&testing::tiny(), &[0], 1);
        options.build(pack).expect_err("refused")
    };
    let options = Engine::options;
    let error = load(options().backend("vulkan"));
    assert!(matches!(error, LoadError::UnknownBackend { .. }));
    assert!(
        error.to_string().contains("cpu/portable, reference"),
        "{error}"
    );
    assert!(matches!(
        load(options().threads(0)),
        LoadError::Threads { found: 0 }
    ));
    assert!(matches!(
        load(options().threads(257)),
        LoadError::Threads { found: 257 }
    ));
    assert!(matches!(
        load(options().max_batch(0)),
        LoadError::MaxBatch { found: 0 }
    ));
    assert!(matches!(
        load(options().max_batch(33)),
        LoadError::MaxBatch { found: 33 }
    ));
    assert!(matches!(
        load(options().max_frame(0, 1)),
        LoadError::MaxFrame { .. }
    ));
    assert!(matches!(
        load(options().max_frame(1, 8193)),
        LoadError::MaxFrame { .. }
    ));
    let error = load(options().schedule("r99"));
    assert!(matches!(error, LoadError::UnknownSchedule(_)));
    let text = "schedule \"r99\": unknown, expected one of r0";
    assert_eq!(error.to_string(), text);
    for unavailable in backends().filter(|b| !b.available) {
        let error = load(options().backend(unavailable.name)).to_string();
        let refusal = unavailable.refusal.expect("a reason");
        let reason = refusal.strip_prefix("needs ").unwrap_or(&refusal);
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn cuda_devices_come_first_with_what_refuses_them() {
    let first = backends().next().unwrap();
    assert_eq!(first.name, "cuda");
    assert_eq!(first.available, first.refusal.is_none());
    let load = |name: &str| {
        let pack = testing::pack(&testing::tiny(), &[0], 1);
        let engine = options(name, 1, 1).build(pack);
        engine.map(|engine| engine.backend())
    };
    for name in ["cuda", "cuda:0"] {
        match (load(name), &first.refusal) {
            (Ok(backend), None) => assert_eq!(backend, "cuda"),
            (Err(error), Some(refusal)) => {
                assert_eq!(error.to_string(), format!("backend cuda: {refusal}"));
            }
            (result, refusal) => panic!("{result:?}, {refusal:?}"),
        }
    }
    // No machine of ours has sixteen.
    assert!(matches!(load("cuda:15"), Err(LoadError::Cuda(_))));
    assert!(matches!(
        load("cuda:16"),
        Err(LoadError::UnknownBackend { .. })
    ));
}

#[test]
fn the_backend_is_named() {
    let best = |prefix| available().find(|name| name.starts_with(prefix)).unwrap();
    for (asked, got) in [
        ("auto", best("")),
        ("cpu", best("cpu")),
        ("reference", "reference"),
    ] {
        let engine = engine(&testing::tiny(), &[0], &options(asked, 1, 1));
        assert_eq!(engine.backend(), got);
        assert_eq!(engine.device().is_some(), got.starts_with("cuda"));
        assert_eq!(Backend::from(asked).to_string(), asked);
        // Whoever leaves the choice to the engine can ask why it took no GPU.
        let refused = asked == "auto" && engine.device().is_none();
        assert_eq!(engine.refusal().is_some(), refused, "{asked}");
    }
}
