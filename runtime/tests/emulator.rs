//! The whole network as shipped: the engine on the emulator, which runs the kernels' PTX, gives what it gives
//! on the processor, bit for bit. With `MERGEVIT_TEST_DEVICE=cuda` the first CUDA device takes the emulator's
//! place.

use mergevit_kernels::cuda::testing::{BlockOrder, Emulated, Options, test_device};
use mergevit_kernels::cuda::{Device, Target};
use mergevit_runtime::testing::{self, Random};
use mergevit_runtime::{
    Engine, EngineOptions, Frame, ModelConfig, Output, Pack, PixelFormat, Ranking, Schedule,
    include_pack, inspect,
};

fn options(max_batch: usize) -> EngineOptions {
    Engine::options()
        .backend("cpu")
        .threads(1)
        .max_batch(max_batch)
        .max_frame(3900, 64)
}

fn device(order: BlockOrder) -> Box<dyn Device> {
    test_device(Options::default().with_order(order))
}

/// Engines for the same pack: on the processor, on the device.
fn engines(device: Box<dyn Device>, pack: impl Fn() -> Pack, max_batch: usize) -> [Engine; 2] {
    [
        options(max_batch).build(pack()).unwrap(),
        inspect::on_device(pack(), device, &options(max_batch)).unwrap(),
    ]
}

/// A few of the family.
fn some(names: &[&str], depth: usize) -> impl Iterator<Item = ModelConfig> {
    let mut family = testing::family();
    family.retain(|(name, _)| names.contains(name));
    assert_eq!(family.len(), names.len(), "{names:?}");
    let models = family.into_iter();
    models.map(move |(_, config)| ModelConfig { depth, ..config })
}

/// Those of the family that most tests of this file take.
fn models(depth: usize) -> impl Iterator<Item = ModelConfig> {
    some(&["plain", "no prefix, mean", "gated, inner norm"], depth)
}

/// Bits of the logits and embeddings, sizes, classes with their probabilities.
type Bits = (Vec<u32>, Vec<u32>, Vec<(usize, f32)>);

fn bits(output: &Output<'_>) -> Bits {
    let of_image = |image| [output.embedding(image), output.unit_embedding(image)];
    let embeddings = (0..output.batch()).flat_map(of_image).flatten().flatten();
    let logits = output.logits().iter().chain(embeddings);
    let logits = logits.map(|x| x.to_bits());
    // Eight are what the device has picked; the rest is picked on the processor.
    let classes = (0..output.batch()).flat_map(|image| output.top(image));
    let classes = classes.map(|p| (p.class, p.probability)).collect();
    (logits.collect(), output.sizes().to_vec(), classes)
}

fn check(engines: &mut [Engine; 2], schedules: &[&str], pixels: &[u8]) {
    for name in schedules {
        let [expected, found] = engines.each_mut().map(|engine| {
            engine.set_schedule(name).unwrap();
            bits(&engine.classify_pixels(pixels).unwrap())
        });
        assert_eq!(found, expected, "{name}");
    }
}

/// Every feature that a configuration can ask for.
#[test]
fn the_family() {
    for (name, config) in testing::family() {
        let config = ModelConfig { depth: 2, ..config };
        let pack = || testing::ranked_pack(&config, &[0, 9], 31);
        let mut engines = engines(device(BlockOrder::Shuffled(7)), pack, 2);
        let pixels = Random(1).bytes(2 * config.image_bytes());
        println!("{name}");
        check(&mut engines, &["r9", "r0"], &pixels);
        if Ranking::ClassAttention.suits(config.prefix) {
            check(&mut engines, &["r9-class", "r9"], &pixels);
        }
    }
}

/// 48 x 48 patches and a class token.
#[test]
fn many_tokens() {
    let config = testing::model(96, 2, 1, 1, 3);
    assert_eq!(config.tokens(), 2305);
    let pack = || testing::pack(&config, &[700], 34);
    let mut engines = engines(device(BlockOrder::default()), pack, 1);
    let pixels = Random(8).bytes(config.image_bytes());
    check(&mut engines, &["r700"], &pixels);
}

#[test]
fn small_models() {
    let orders = [
        BlockOrder::Ascending,
        BlockOrder::Descending,
        BlockOrder::Shuffled(5),
    ];
    for (config, order) in models(2).zip(orders) {
        let pack = || testing::pack(&config, &[0, 9], 31);
        let mut engines = engines(device(order), pack, 2);
        let pixels = Random(1).bytes(2 * config.image_bytes());
        check(&mut engines, &["r9", "r0", "r9"], &pixels);
        check(&mut engines, &["r9"], &pixels[..config.image_bytes()]);
    }
}

/// Nothing is left over from what ran before. A batch of 9 has no graph.
#[test]
fn schedules_and_batches_in_no_order() {
    for config in models(1) {
        let pack = || testing::pack(&config, &[0, 3, 9, 60], 21);
        let mut engines = engines(device(BlockOrder::default()), pack, 10);
        let pixels = Random(3).bytes(10 * config.image_bytes());
        let mut random = Random(4);
        for batch in [1, 3, 10, 9, 2, 1, 8, 4] {
            let name = ["r0", "r3", "r9", "r60"][random.below(4)];
            let pixels = &pixels[(10 - batch) * config.image_bytes()..];
            check(&mut engines, &[name], pixels);
        }
    }
}

/// A pack with schedules that stop merging before the last layer, whose last sizes are read again.
fn uneven(config: &ModelConfig) -> Pack {
    let schedule = |name: &str, merge: [u16; 3]| Schedule::new(name, merge.into());
    let schedules = vec![
        schedule("early", [5, 0, 0]),
        schedule("late", [0, 0, 7]),
        schedule("none", [0, 0, 0]),
        schedule("twice", [4, 0, 4]),
    ];
    let writer = testing::writer(config, &[0], 22).with_schedules(schedules);
    let bytes = writer.to_bytes().expect("a valid pack");
    Pack::from_static(Box::leak(Box::new(bytes))).expect("a valid pack")
}

/// The name and layer of an operation, and the bytes of a span that it wrote.
type Written = (&'static str, Option<usize>, Vec<u8>);

fn written(engine: &mut Engine, pixels: &[u8]) -> (Vec<Written>, Bits) {
    let mut written = Vec::new();
    let output = inspect::observe(engine, pixels, &mut |op, arena| {
        for (span, access) in op.spans() {
            if access.writes() {
                written.push((op.name(), op.layer(), arena.bytes(span).to_vec()));
            }
        }
    });
    let output = bits(&output.unwrap());
    assert_eq!(bits(&engine.classify_pixels(pixels).unwrap()), output);
    (written, output)
}

#[test]
fn every_operation_leaves_what_it_leaves_on_the_processor() {
    let names = [
        "plain",
        "class and mean",
        "gated, inner norm",
        "rotary, per layer",
        "headless, attention pooling",
    ];
    for config in some(&names, 3) {
        let order = BlockOrder::default();
        let mut engines = engines(device(order), || uneven(&config), 2);
        let pixels = Random(5).bytes(2 * config.image_bytes());
        for schedule in ["early", "late", "none", "twice"] {
            let [expected, found] = engines.each_mut().map(|engine| {
                engine.set_schedule(schedule).unwrap();
                written(engine, &pixels)
            });
            for (found, expected) in found.0.iter().zip(&expected.0) {
                assert!(found == expected, "{schedule}: {} {:?}", found.0, found.1);
            }
            assert_eq!(found.0.len(), expected.0.len());
            assert_eq!(found.1, expected.1, "{schedule}");
        }
    }
}

/// Whatever the clock says: tilings make no difference to the bits.
#[test]
fn a_tuned_model() {
    let config = testing::model(35, 5, 2, 2, 13);
    let pack = || testing::pack(&config, &[0, 9], 33);
    let tuned = options(2).tune(true);
    let mut engines = [
        options(2).build(pack()).unwrap(),
        inspect::on_device(pack(), device(BlockOrder::default()), &tuned).unwrap(),
    ];
    let pixels = Random(4).bytes(2 * config.image_bytes());
    check(&mut engines, &["r9", "r0"], &pixels);
}

/// A device with memory of its own, where frames and pixels are copied on. A GPU is what it is.
fn discrete() -> Box<dyn Device> {
    match std::env::var_os("MERGEVIT_TEST_DEVICE") {
        Some(_) => test_device(Options::default()),
        None => Box::new(Emulated::new(Target::ORIN_NANO, Options::default()).discrete()),
    }
}

#[test]
fn frames_of_every_format() {
    let config = testing::model(32, 8, 1, 1, 5);
    let mut random = Random(6);
    for device in [device(BlockOrder::default()), discrete()] {
        let mut engines = engines(device, || testing::pack(&config, &[2], 32), 3);
        for format in PixelFormat::ALL {
            // The last is wider than what has room on a device.
            let sizes = [(61, 47), (32, 64), (64, 64), (3841, 40)];
            let data = sizes.map(|(width, height)| random.bytes(format.frame_bytes(width, height)));
            let frame = |index: usize| {
                let (width, height) = sizes[index];
                Frame::packed(format, width, height, &data[index]).unwrap()
            };
            let batches = [vec![0], vec![2, 0, 1], vec![1, 3]];
            for batch in batches.map(|batch| batch.into_iter().map(frame).collect::<Vec<_>>()) {
                let [expected, found] = engines
                    .each_mut()
                    .map(|engine| bits(&engine.classify(&batch).unwrap()));
                assert_eq!(found, expected, "{format:?}, {} frames", batch.len());
            }
        }
        let pixels = random.bytes(config.image_bytes());
        check(&mut engines, &["r2"], &pixels);
    }
}

#[test]
fn garments() {
    // Embedded, as this program also runs where the repository is not.
    static GARMENTS: &[u8] = include_pack!("../../board/assets/garments.mvit");
    let pack = || Pack::from_static(GARMENTS).unwrap();
    let mut engines = engines(device(BlockOrder::Shuffled(6)), pack, 2);
    let config = engines[0].pack().config();
    let pixels = Random(2).bytes(2 * config.image_bytes());
    let schedules = engines[0].pack().schedules();
    let names: Vec<String> = schedules.iter().map(|s| s.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    check(&mut engines, &names, &pixels);
}
