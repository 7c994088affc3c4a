//! Which patches became one token: what the map says is what the engine did.

use mergevit_kernels::cuda::testing::{Options, test_device};
use mergevit_runtime::inspect::{self, Op, TokenMapper, token_map};
use mergevit_runtime::testing::{self, Random};
use mergevit_runtime::{
    Cascade, Engine, EngineOptions, Frame, ModelConfig, Pack, PixelFormat, Ranking, RotaryKind,
    RunError, Schedule,
};

const BATCH: usize = 2;

fn options(backend: &str) -> EngineOptions {
    Engine::options()
        .backend(backend)
        .threads(1)
        .max_batch(BATCH)
        .max_frame(64, 64)
}

fn pixels(config: &ModelConfig) -> Vec<u8> {
    Random(8).bytes(BATCH * config.image_bytes())
}

/// A random pack with a schedule for each of `merged` and each ranking.
fn pack(config: &ModelConfig, merged: &[u16]) -> Pack {
    let mut schedules = testing::schedules(config.depth, merged);
    if Ranking::ClassAttention.suits(config.prefix) {
        let ranked = schedules.iter().map(|own| Schedule {
            name: format!("{}-ranked", own.name),
            ..own.clone().ranked_by(Ranking::ClassAttention)
        });
        schedules.extend(ranked.collect::<Vec<_>>());
    }
    let writer = testing::writer(config, merged, 21).with_schedules(schedules);
    Pack::from_memory(writer.to_bytes().unwrap()).unwrap()
}

fn names(engine: &Engine) -> Vec<String> {
    let schedules = engine.pack().schedules().iter();
    schedules.map(|schedule| schedule.name.clone()).collect()
}

/// How many patches of one image's map became each of `tokens` tokens.
fn counts(map: &[u16], tokens: usize) -> Vec<u32> {
    let mut counts = vec![0; tokens];
    map.iter()
        .for_each(|&token| counts[usize::from(token)] += 1);
    counts
}

#[test]
fn a_token_has_as_many_patches_as_its_size_says() {
    for (name, config) in testing::family() {
        let pixels = pixels(&config);
        let patches = config.tokens() - config.prefix;
        let pack = testing::ranked_pack(&config, &[0, 1, 5, 60], 21);
        // Other backends give the same bits.
        let mut engine = options("cpu").build(pack).unwrap();
        for schedule in names(&engine) {
            let what = format!("{name}, {schedule}");
            engine.set_schedule(&schedule).unwrap();
            let map = token_map(&mut engine, &pixels).unwrap();
            assert_eq!(map.len(), BATCH * patches, "{what}");
            let output = engine.classify_pixels(&pixels).unwrap();
            for (image, map) in map.chunks_exact(patches).enumerate() {
                let sizes = output.image_sizes(image);
                let counts = counts(map, sizes.len());
                let (prefix, own) = counts.split_at(config.prefix);
                assert_eq!(own, &sizes[config.prefix..], "{what}");
                assert!(prefix.iter().all(|&count| count == 0), "{what}");
            }
        }
    }
}

#[test]
fn a_token_is_where_its_patches_are() {
    let mut family = testing::family();
    family.retain(|(_, config)| config.rotary != RotaryKind::None);
    assert!(!family.is_empty());
    for (name, config) in family {
        let pixels = pixels(&config);
        let (side, patches) = (config.side(), config.tokens() - config.prefix);
        let mut engine = options("cpu").build(pack(&config, &[5])).unwrap();
        // The last schedule, which ranks by class attention where the model can.
        let last = names(&engine).pop().unwrap();
        engine.set_schedule(&last).unwrap();
        let mut positions = Vec::new();
        inspect::observe(&mut engine, &pixels, &mut |op, arena| {
            if let Op::Merge(op) = op {
                let merged = op.positions.expect("a model that rotates").merged;
                positions = arena.f32(merged).to_vec();
            }
        })
        .unwrap();
        let map = token_map(&mut engine, &pixels).unwrap();
        let rows = positions.len() / BATCH / 2;
        for image in 0..BATCH {
            let map = &map[image * patches..][..patches];
            let counts = counts(map, rows);
            let mut sums = vec![[0.0; 2]; rows];
            for (patch, &token) in map.iter().enumerate() {
                let sum = &mut sums[usize::from(token)];
                sum[0] += (patch / side) as f32;
                sum[1] += (patch % side) as f32;
            }
            for token in config.prefix..rows {
                for (axis, sum) in sums[token].iter().enumerate() {
                    let found = positions[2 * (image * rows + token) + axis];
                    let expected = sum / counts[token] as f32;
                    assert!((found - expected).abs() < 1e-4, "{name}: token {token}");
                }
            }
        }
    }
}

#[test]
fn a_device_gives_the_same_map() {
    // The last layer does not merge: only the class token is pooled.
    let config = testing::model(4, 2, 1, 2, 3);
    let pixels = pixels(&config);
    let pack = || testing::pack(&config, &[3], 21);
    let mut host = options("cpu").build(pack()).unwrap();
    let device = test_device(Options::default());
    let mut device = inspect::on_device(pack(), device, &options("cpu")).unwrap();
    let expected = token_map(&mut host, &pixels).unwrap();
    assert_eq!(token_map(&mut device, &pixels).unwrap(), expected);
    assert_ne!(
        expected[..expected.len() / BATCH],
        expected[expected.len() / BATCH..]
    );
}

#[test]
fn a_frame_becomes_the_pixels_that_the_engine_sees() {
    let config = testing::tiny();
    let (width, height) = (37, 50);
    let bytes = Random(4).bytes(3 * width * height);
    let frame = Frame::packed(PixelFormat::Rgb, width, height, &bytes).unwrap();
    let pack = testing::pack(&config, &[3], 21);
    let mut engine = options("cpu").build(pack).unwrap();
    let expected = engine.classify(&[frame]).unwrap().logits().to_vec();
    let pixels = inspect::pixels_of(&config, &frame);
    assert_eq!(engine.classify_pixels(&pixels).unwrap().logits(), expected);
}

#[test]
fn half_an_image_is_refused() {
    let config = testing::tiny();
    let mut engine = options("cpu")
        .build(testing::pack(&config, &[3], 21))
        .unwrap();
    let pixels = vec![0; config.image_bytes() / 2];
    let error = token_map(&mut engine, &pixels).unwrap_err();
    assert!(matches!(error, RunError::Pixels { .. }), "{error}");
}

/// Each image's map of the run that answers, held to the sizes that this run leaves.
fn check_sizes(engine: &mut Engine, mapper: &mut TokenMapper, pixels: &[u8]) -> (Vec<u16>, usize) {
    let (patches, prefix) = (mapper.patches(), engine.pack().config().prefix);
    // Whatever was there before does not matter.
    let mut map = vec![u16::MAX; BATCH * patches];
    let output = mapper.classify_pixels(engine, pixels, &mut map).unwrap();
    for (image, map) in map.chunks_exact(patches).enumerate() {
        let sizes = output.image_sizes(image);
        assert_eq!(counts(map, sizes.len())[prefix..], sizes[prefix..]);
    }
    let (logits, second_runs) = (output.logits().to_vec(), output.second_runs());
    assert_eq!(engine.classify_pixels(pixels).unwrap().logits(), logits);
    (map, second_runs)
}

#[test]
fn the_run_that_answers_tells_its_map() {
    for (name, config) in testing::family() {
        let pixels = pixels(&config);
        let pack = testing::ranked_pack(&config, &[0, 1, 5, 60], 21);
        let mut engine = options("cpu").build(pack).unwrap();
        let mut mapper = TokenMapper::new(&mut engine).unwrap();
        for schedule in names(&engine) {
            engine.set_schedule(&schedule).unwrap();
            let (map, _) = check_sizes(&mut engine, &mut mapper, &pixels);
            assert_eq!(map, token_map(&mut engine, &pixels).unwrap(), "{name}");
        }
    }
}

#[test]
fn under_a_cascade_the_map_is_of_the_schedule_that_counts() {
    let config = testing::model(4, 2, 1, 2, 3);
    let pixels = pixels(&config);
    let writer = testing::writer(&config, &[0, 3, 5], 21);
    let mut engine = options("cpu")
        .build(testing::pack(&config, &[5], 21))
        .unwrap();
    let margins = [0, 1].map(|image| engine.classify_pixels(&pixels).unwrap().margin(image));
    // Between the margins, so that one image of the two runs again.
    let some = (margins[0] + margins[1]) / 2.0;
    let cascades = [
        ("none", f32::MIN_POSITIVE),
        ("some", some),
        ("all", f32::MAX),
    ];
    let cascades = cascades.map(|(name, threshold)| Cascade {
        name: name.into(),
        first: "r5".into(),
        then: "r3".into(),
        threshold,
        wanted_agreement: 0.99,
        dataset: "noise".into(),
        images: 2,
        agreement: 1.0,
        second_runs: 0.5,
    });
    let writer = writer.with_cascades(cascades.to_vec());
    let pack = || Pack::from_memory(writer.to_bytes().unwrap()).unwrap();
    let device = test_device(Options::default());
    let mut engines = [
        options("cpu").build(pack()).unwrap(),
        inspect::on_device(pack(), device, &options("cpu")).unwrap(),
    ];
    for (name, expected) in [("none", 0), ("some", 1), ("all", 2)] {
        let maps = engines.each_mut().map(|engine| {
            engine.set_schedule(name).unwrap();
            let mut mapper = TokenMapper::new(engine).unwrap();
            let (map, second_runs) = check_sizes(engine, &mut mapper, &pixels);
            assert_eq!(second_runs, expected, "{name}");
            map
        });
        assert_eq!(maps[0], maps[1], "{name}");
    }
}
