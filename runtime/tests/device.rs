//! The engine on a device gives what it gives on the processor, bit for bit. What it asks of a device is
//! checked with a recorder, what that means with an interpreter; with `MERGEVIT_TEST_DEVICE=cuda` the first
//! CUDA device takes the interpreter's place.

mod common;

use common::interpreter::Interpreter;
use common::recorder::{Counts, Recorder};
use mergevit_kernels::cuda::gemm::{GemmParams, Shape, Tile, Tiling};
use mergevit_kernels::cuda::{Device, DeviceErrorKind, Kernel, Launch, Target, driver};
use mergevit_kernels::frame::{Frame, PixelFormat};
use mergevit_runtime::testing::{self, Random};
use mergevit_runtime::{
    Engine, EngineOptions, LoadError, ModelConfig, Output, Pack, Pooling, Schedule, include_pack,
    launches,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

fn options(max_batch: usize) -> EngineOptions {
    EngineOptions {
        backend: "cpu".into(),
        threads: Some(1),
        max_batch,
        max_frame: (3900, 64),
        ..EngineOptions::default()
    }
}

/// Models of both poolings, with and without class token.
fn models() -> Vec<ModelConfig> {
    let variants = [
        (true, Pooling::ClassToken),
        (true, Pooling::Mean),
        (false, Pooling::Mean),
    ];
    let model = |(class_token, pooling)| ModelConfig {
        mlp_width: 320,
        class_token,
        pooling,
        ..testing::model(35, 5, 2, 3, 13)
    };
    variants.map(model).into()
}

fn recorded(config: &ModelConfig, merged: &[u16], max_batch: usize) -> (Engine, Arc<Counts>) {
    let (device, counts) = Recorder::new(usize::MAX);
    let pack = testing::pack(config, merged, 21);
    let engine = Engine::on_device(pack, Box::new(device), &options(max_batch)).unwrap();
    (engine, counts)
}

/// The device that computes. The interpreter is as it is told to be.
fn device(integrated: bool) -> Box<dyn Device> {
    match std::env::var("MERGEVIT_TEST_DEVICE").as_deref() {
        Ok("cuda") => Box::new(driver::open(0).expect("a CUDA device")),
        Ok(other) => panic!("MERGEVIT_TEST_DEVICE={other}: expected cuda"),
        Err(_) => Box::new(Interpreter::new(integrated)),
    }
}

/// Engines for the same pack: on the processor, on the device.
fn engines(pack: impl Fn() -> Pack, max_batch: usize) -> [Engine; 2] {
    engines_on(device(true), pack, max_batch)
}

fn engines_on(device: Box<dyn Device>, pack: impl Fn() -> Pack, max_batch: usize) -> [Engine; 2] {
    [
        Engine::new(pack(), &options(max_batch)).unwrap(),
        Engine::on_device(pack(), device, &options(max_batch)).unwrap(),
    ]
}

/// Bits of the logits, sizes.
fn bits(output: &Output<'_>) -> (Vec<u32>, Vec<u32>) {
    let logits = output.logits().iter().map(|x| x.to_bits());
    (logits.collect(), output.sizes().to_vec())
}

#[test]
fn results_are_those_of_the_processor() {
    for config in models() {
        let merged = [0, 3, 9, 60];
        let [mut host, mut device] = engines(|| testing::pack(&config, &merged, 21), 10);
        let pixels = Random(3).bytes(10 * config.image_bytes());
        let mut random = Random(4);
        // Schedules and batches in no order: nothing is left over from those before. A batch of 9 has no graph.
        for batch in [1, 3, 10, 9, 2, 1, 8, 4] {
            let schedule = format!("r{}", merged[random.below(4)]);
            let input = &pixels[(10 - batch) * config.image_bytes()..];
            let [expected, found] = [&mut host, &mut device].map(|engine| {
                engine.set_schedule(&schedule).unwrap();
                bits(&engine.classify_pixels(input).unwrap())
            });
            assert_eq!(found, expected, "{schedule}, batch {batch}");
        }
    }
}

/// The pack with schedules that stop merging before the last layer, whose last sizes are read again.
fn uneven(config: &ModelConfig) -> Pack {
    let schedule = |name: &str, merge: [u16; 3]| Schedule {
        name: name.into(),
        merge: merge.into(),
        accuracy: None,
    };
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

#[test]
fn every_operation_leaves_what_it_leaves_on_the_processor() {
    for config in models() {
        let mut engines = engines(|| uneven(&config), 2);
        let pixels = Random(5).bytes(2 * config.image_bytes());
        for schedule in ["early", "late", "none", "twice"] {
            let [expected, found] = engines.each_mut().map(|engine| {
                engine.set_schedule(schedule).unwrap();
                let mut left = Vec::new();
                let output = engine.observe(&pixels, &mut |op, arena| {
                    let spans = op.spans();
                    let written = spans.iter().filter(|(_, access)| access.writes());
                    for &(span, _) in written {
                        left.push((op.name(), op.layer, arena.bytes(span).to_vec()));
                    }
                });
                let output = bits(&output.unwrap());
                assert_eq!(bits(&engine.classify_pixels(&pixels).unwrap()), output);
                (left, output)
            });
            for (found, expected) in found.0.iter().zip(&expected.0) {
                assert!(found == expected, "{schedule}: {} {:?}", found.0, found.1);
            }
            assert_eq!(found.0.len(), expected.0.len());
            assert_eq!(found.1, expected.1, "{schedule}");
        }
    }
}

#[test]
fn frames_of_every_format_give_what_they_give_on_the_processor() {
    let config = &models()[0];
    let mut random = Random(6);
    for integrated in [true, false] {
        let pack = || testing::pack(config, &[4], 23);
        let mut engines = engines_on(device(integrated), pack, 3);
        for format in PixelFormat::ALL {
            // The last is wider than what has room on a device.
            let sizes = [(61, 47), (35, 64), (64, 64), (3841, 40)];
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
        // Pixels after frames, on a device that copies them on.
        let pixels = random.bytes(config.image_bytes());
        let [expected, found] = engines
            .each_mut()
            .map(|engine| bits(&engine.classify_pixels(&pixels).unwrap()));
        assert_eq!(found, expected);
    }
}

#[test]
fn garments_are_classified_as_on_the_processor() {
    // Embedded, as this program also runs where the repository is not.
    static GARMENTS: &[u8] = include_pack!("../../board/assets/garments.mvit");
    let mut engines = engines(|| Pack::from_static(GARMENTS).unwrap(), 2);
    let config = engines[0].pack().config();
    let pixels = Random(7).bytes(2 * config.image_bytes());
    let schedules = engines[0].pack().schedules();
    let names: Vec<String> = schedules.iter().map(|s| s.name.clone()).collect();
    for name in names {
        let [expected, found] = engines.each_mut().map(|engine| {
            engine.set_schedule(&name).unwrap();
            bits(&engine.classify_pixels(&pixels).unwrap())
        });
        assert_eq!(found, expected, "{name}");
    }
}

fn take(count: &AtomicUsize) -> usize {
    count.swap(0, Relaxed)
}

/// The recorder refuses a launch that touches memory outside its arrays, or writes what it also reads.
#[test]
fn launches_keep_to_their_memory() {
    for config in models() {
        let (mut engine, counts) = recorded(&config, &[0, 3, 9, 60], 12);
        assert_eq!(take(&counts.records), 4 * 9, "batches of 1 to 8, and 12");
        let pixels = Random(1).bytes(12 * config.image_bytes());
        for schedule in ["r60", "r0", "r9", "r3"] {
            engine.set_schedule(schedule).unwrap();
            for batch in 1..=12 {
                let pixels = &pixels[..batch * config.image_bytes()];
                let output = engine.classify_pixels(pixels).unwrap();
                assert_eq!(output.logits().len(), batch * config.classes);
            }
        }
        assert_eq!(take(&counts.records), 0, "all is recorded at load");
        assert_eq!(take(&counts.replays), 4 * 9);
    }
    let large = ModelConfig {
        mlp_width: 3072,
        ..testing::model(224, 16, 12, 12, 1000)
    };
    recorded(&large, &[0, 8, 13], 2);
}

#[test]
fn a_layer_is_seven_launches_and_eight_where_tokens_merge() {
    let config = &models()[0];
    for (r, layer) in [(0, 7), (2, 8)] {
        let (mut engine, counts) = recorded(config, &[r], 1);
        let around = ["embed", "pool and final norm", "head", "results"].len();
        assert_eq!(take(&counts.recorded), around + layer * config.depth);
        let target = Target::ORIN_NANO;
        let listed =
            launches(engine.pack(), engine.plan(), target).map(|(_, launches)| launches.len());
        assert_eq!(listed.sum::<usize>(), 1 + around + layer * config.depth);
        // Replaying launches nothing but what turns pixels into patches.
        let pixels = vec![0; config.image_bytes()];
        take(&counts.launches);
        engine.classify_pixels(&pixels).unwrap();
        assert_eq!((take(&counts.launches), take(&counts.replays)), (1, 1));
    }
}

#[test]
fn an_observer_sees_every_operation_and_a_timer_every_launch() {
    let config = &models()[0];
    let (mut engine, counts) = recorded(config, &[2], 1);
    let pixels = Random(2).bytes(config.image_bytes());
    let names: Vec<_> = engine.plan().ops().iter().map(|op| op.name()).collect();
    let mut seen = Vec::new();
    let mut same_pixels = false;
    engine
        .observe(&pixels, &mut |op, arena| {
            let (span, _) = op.spans()[0];
            same_pixels |= op.name() == "patchify" && arena.bytes(span) == pixels;
            seen.push(op.name());
        })
        .unwrap();
    assert!(same_pixels);
    assert_eq!(seen, names);
    let launches = take(&counts.recorded) + 1;
    let (mut timed, mut operations) = (0, Vec::new());
    let any = engine.time_launches(3, &mut |ops, _, _| {
        timed += 1;
        operations.extend(ops.iter().map(|op| op.name()));
    });
    assert!(any.unwrap());
    assert_eq!((timed, operations), (launches, names));
}

/// The tiles of a tuned ViT-B/16's linear layers on a device with this clock, each with its shape.
fn tuned(clock: fn(&Launch) -> Duration) -> Vec<(Tile, Shape)> {
    let config = ModelConfig {
        mlp_width: 3072,
        ..testing::model(224, 16, 12, 12, 1000)
    };
    let (mut device, _) = Recorder::new(usize::MAX);
    device.clock = clock;
    let options = EngineOptions {
        tune: true,
        ..options(1)
    };
    let pack = testing::pack(&config, &[13], 21);
    let mut engine = Engine::on_device(pack, Box::new(device), &options).unwrap();
    let mut found = Vec::new();
    let timed = engine.time_launches(1, &mut |_, launch, _| {
        if let Kernel::Gemm { tile, .. } = launch.kernel {
            let params: GemmParams = bytemuck::pod_read_unaligned(launch.params());
            let shape = Shape {
                rows: params.rows.next_multiple_of(16),
                outputs: params.outputs,
                inputs: params.inputs,
            };
            found.push((tile, shape));
        }
    });
    assert!(timed.unwrap());
    found
}

#[test]
fn tuning_takes_what_the_device_is_fastest_with() {
    let candidates = |shape| Tiling::candidates(&shape, &Target::ORIN_NANO);
    // Nothing is faster than the model's choice by enough.
    let unmoved = tuned(|launch| Duration::from_nanos(1000 - u64::from(launch.grid[2])));
    assert_eq!(unmoved.len(), 1 + 4 * 12);
    for &(tile, shape) in &unmoved {
        assert_eq!(tile, candidates(shape)[0].tile);
    }
    // Small tiles are, wherever they may be.
    let small = tuned(|launch| {
        let tile = Tile::T32x64;
        let small = matches!(launch.kernel, Kernel::Gemm { tile: t, .. } if t == tile);
        Duration::from_micros(if small { 5 } else { 6 })
    });
    for &(tile, shape) in &small {
        let possible = candidates(shape).iter().any(|t| t.tile == Tile::T32x64);
        assert_eq!(tile == Tile::T32x64, possible, "{shape:?}");
    }
    assert_ne!(small, unmoved);
}

#[test]
fn a_device_that_refuses_is_an_error() {
    let pack = || testing::pack(&testing::tiny(), &[0], 1);
    let (device, counts) = Recorder::new(usize::MAX);
    Engine::on_device(pack(), Box::new(device), &options(1)).unwrap();
    let enough = take(&counts.bytes);
    for limit in [0, enough / 2, enough - 1] {
        let device = Box::new(Recorder::new(limit).0);
        let error = Engine::on_device(pack(), device, &options(1)).expect_err("refused");
        let LoadError::Device(refused) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(refused.kind, DeviceErrorKind::OutOfMemory);
        let text = error.to_string();
        assert!(text.contains("allocate"), "{text}");
        assert!(text.contains("out of memory"), "{text}");
    }
    let device: Box<dyn Device> = Box::new(Recorder::new(usize::MAX).0);
    let error = Engine::on_device(pack(), device, &options(33)).expect_err("refused");
    assert!(matches!(error, LoadError::MaxBatch { found: 33 }));
}
