//! The whole network as shipped: the engine on the emulator, which runs the kernels' PTX, gives what it gives
//! on the processor, bit for bit. With `MERGEVIT_TEST_DEVICE=cuda` the first CUDA device takes the emulator's
//! place.

use mergevit_emulator::{BlockOrder, Options, test_device};
use mergevit_kernels::frame::{Frame, PixelFormat};
use mergevit_runtime::testing::{self, Random};
use mergevit_runtime::{
    Engine, EngineOptions, ModelConfig, Output, Pack, Pooling, Top, include_pack,
};

fn options(max_batch: usize) -> EngineOptions {
    EngineOptions {
        backend: "cpu".into(),
        threads: Some(1),
        max_batch,
        max_frame: (64, 64),
        ..EngineOptions::default()
    }
}

/// Engines for the same pack: on the processor, on the device.
fn engines(order: BlockOrder, pack: impl Fn() -> Pack, max_batch: usize) -> [Engine; 2] {
    let device = test_device(Options::default().with_order(order));
    [
        Engine::new(pack(), &options(max_batch)).unwrap(),
        Engine::on_device(pack(), device, &options(max_batch)).unwrap(),
    ]
}

/// Bits of the logits, sizes, best classes.
fn bits(output: &Output<'_>) -> (Vec<u32>, Vec<u32>, Vec<Top>) {
    let logits = output.logits().iter().map(|x| x.to_bits());
    let mut best = Vec::new();
    // Five are what the device has picked; more than it picks are picked on the processor.
    for count in [5, 12] {
        for image in 0..output.batch() {
            let mut top = vec![Top::default(); count];
            let found = output.top(image, &mut top);
            best.extend_from_slice(&top[..found]);
        }
    }
    (logits.collect(), output.sizes().to_vec(), best)
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

#[test]
fn small_models() {
    let variants = [
        (true, Pooling::ClassToken, BlockOrder::Ascending),
        (true, Pooling::Mean, BlockOrder::Descending),
        (false, Pooling::Mean, BlockOrder::Shuffled(5)),
    ];
    for (class_token, pooling, order) in variants {
        let config = ModelConfig {
            mlp_width: 192,
            class_token,
            pooling,
            ..testing::model(35, 5, 2, 2, 13)
        };
        let mut engines = engines(order, || testing::pack(&config, &[0, 9], 31), 2);
        let pixels = Random(1).bytes(2 * config.image_bytes());
        check(&mut engines, &["r9", "r0", "r9"], &pixels);
        check(&mut engines, &["r9"], &pixels[..config.image_bytes()]);
    }
}

/// Whatever the clock says: tilings make no difference to the bits.
#[test]
fn a_tuned_model() {
    let config = testing::model(35, 5, 2, 2, 13);
    let pack = || testing::pack(&config, &[0, 9], 33);
    let tuned = EngineOptions {
        tune: true,
        ..options(2)
    };
    let mut engines = [
        Engine::new(pack(), &options(2)).unwrap(),
        Engine::on_device(pack(), test_device(Options::default()), &tuned).unwrap(),
    ];
    let pixels = Random(4).bytes(2 * config.image_bytes());
    check(&mut engines, &["r9", "r0"], &pixels);
}

#[test]
fn frames() {
    let config = testing::model(32, 8, 1, 1, 5);
    let mut engines = engines(
        BlockOrder::default(),
        || testing::pack(&config, &[2], 32),
        2,
    );
    let mut random = Random(3);
    for format in PixelFormat::ALL {
        let sizes = [(61, 47), (32, 64)];
        let data = sizes.map(|(width, height)| random.bytes(format.frame_bytes(width, height)));
        let frames = [0, 1].map(|index| {
            let (width, height) = sizes[index];
            Frame::packed(format, width, height, &data[index]).unwrap()
        });
        let [expected, found] = engines
            .each_mut()
            .map(|engine| bits(&engine.classify(&frames).unwrap()));
        assert_eq!(found, expected, "{format:?}");
    }
}

#[test]
fn garments() {
    static GARMENTS: &[u8] = include_pack!("../../board/assets/garments.mvit");
    let mut engines = engines(
        BlockOrder::Shuffled(6),
        || Pack::from_static(GARMENTS).unwrap(),
        2,
    );
    let config = engines[0].pack().config();
    let pixels = Random(2).bytes(2 * config.image_bytes());
    let schedules = engines[0].pack().schedules();
    let names: Vec<String> = schedules.iter().map(|s| s.name.clone()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    check(&mut engines, &names, &pixels);
}
