//! What the engine asks of a device: launches that keep to their memory, graphs recorded once, errors passed on.
//! `emulator.rs` tests the results on a device that computes.

mod common;

use common::recorder::{Counts, Recorder};
use mergevit_kernels::cuda::gemm::{GemmParams, Shape, Tile, Tiling};
use mergevit_kernels::cuda::{Device, DeviceErrorKind, Kernel, Launch, Target};
use mergevit_runtime::testing::{self, Random};
use mergevit_runtime::{Engine, EngineOptions, LoadError, ModelConfig, inspect};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::Duration;

fn options(max_batch: usize) -> EngineOptions {
    Engine::options().max_batch(max_batch).max_frame(3900, 64)
}

/// Models of both poolings, with and without class token.
fn models() -> impl Iterator<Item = ModelConfig> {
    testing::family().into_iter().map(|(_, config)| config)
}

fn recorded(config: &ModelConfig, merged: &[u16], max_batch: usize) -> (Engine, Arc<Counts>) {
    let (device, counts) = Recorder::new(usize::MAX);
    let pack = testing::pack(config, merged, 21);
    let engine = inspect::on_device(pack, Box::new(device), &options(max_batch)).unwrap();
    (engine, counts)
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
                let columns = match output.embedding(batch - 1) {
                    Some(embedding) => embedding.len(),
                    None => output.logits().len() / batch,
                };
                assert_eq!(columns, config.classes);
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
    let config = &testing::small();
    for (r, layer) in [(0, 7), (2, 8)] {
        // The last layer does not merge, because only the class token is pooled. Of several images it is taken out first.
        for batch in [1, 2] {
            let (mut engine, counts) = recorded(config, &[r], batch);
            let around = ["embed", "final norm", "head", "results"].len() + batch - 1;
            let layers = layer * (config.depth - 1) + 7;
            // Of the largest batch, which is recorded last.
            assert_eq!(take(&counts.recorded), around + layers);
            // Replaying launches nothing but what turns pixels into patches.
            let pixels = vec![0; batch * config.image_bytes()];
            take(&counts.launches);
            take(&counts.replays);
            engine.classify_pixels(&pixels).unwrap();
            assert_eq!((take(&counts.launches), take(&counts.replays)), (1, 1));
            let target = Target::ORIN_NANO;
            let listed = inspect::launches(engine.pack(), engine.plan(), target);
            assert_eq!(listed.iter().flatten().count(), 1 + around + layers);
        }
    }
}

#[test]
fn an_observer_sees_every_operation_and_a_timer_every_launch() {
    let config = &testing::small();
    let (mut engine, counts) = recorded(config, &[2], 1);
    let pixels = Random(2).bytes(config.image_bytes());
    let names: Vec<_> = engine.plan().ops().map(|op| op.name()).collect();
    let mut seen = Vec::new();
    let mut same_pixels = false;
    inspect::observe(&mut engine, &pixels, &mut |op, arena| {
        let (span, _) = op.spans()[0];
        same_pixels |= op.name() == "patchify" && arena.bytes(span) == pixels;
        seen.push(op.name());
    })
    .unwrap();
    assert!(same_pixels);
    assert_eq!(seen, names);
    let launches = take(&counts.recorded) + 1;
    let (mut timed, mut operations) = (0, Vec::new());
    let (mut alone_us, mut in_place_us) = (0.0, 0.0);
    let whole = inspect::time_launches(&mut engine, 3, &mut |planned, times| {
        timed += 1;
        operations.extend(planned.ops.iter().map(|op| op.name()));
        // Patches are made before the network.
        assert_eq!(times.in_place_us.is_none(), timed == 1);
        if let Some(time) = times.in_place_us {
            (alone_us, in_place_us) = (alone_us + times.alone_us, in_place_us + time);
            assert!((time - times.alone_us).abs() < 1e-6, "{times:?}");
        }
    });
    assert_eq!((timed, operations), (launches, names));
    // The recorder's time depends on nothing but the launch, so they add up to that of all.
    let whole = whole.unwrap().expect("launches");
    assert!((whole.network_us - in_place_us).abs() < 1e-6, "{whole:?}");
    assert!(whole.network_us > 0.0 && whole.launch_us > 0.0);
}

/// The tiles of a tuned ViT-B/16's linear layers on a device with this clock, each with its shape.
fn tuned(clock: fn(&Launch) -> Duration) -> Vec<(Tile, Shape)> {
    let config = ModelConfig {
        mlp_width: 3072,
        ..testing::model(224, 16, 12, 12, 1000)
    };
    let (mut device, _) = Recorder::new(usize::MAX);
    device.clock = clock;
    let options = options(1).tune(true);
    let pack = testing::pack(&config, &[13], 21);
    let mut engine = inspect::on_device(pack, Box::new(device), &options).unwrap();
    let mut found = Vec::new();
    let timed = inspect::time_launches(&mut engine, 1, &mut |planned, _| {
        let launch = &planned.launch;
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
    assert!(timed.unwrap().is_some());
    found
}

/// Keeps what is logged.
struct Log(Mutex<Vec<String>>);

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.0.lock().unwrap().push(record.args().to_string());
    }

    fn flush(&self) {}
}

/// `board/bench-peers/gpu/programs.py` reads these lines.
#[test]
fn every_tiling_that_was_timed_is_logged() {
    static LOG: Log = Log(Mutex::new(Vec::new()));
    log::set_logger(&LOG).unwrap();
    log::set_max_level(log::LevelFilter::Debug);
    tuned(|_| Duration::from_micros(12));
    let lines = LOG.0.lock().unwrap();
    for blocks in [24, 72] {
        let line = format!(
            "tiling of Qkv 197 x 2304 x 768: T64x128, K in 1, {blocks} blocks for 72: 12.00 us"
        );
        assert!(lines.contains(&line), "{line} is not among {lines:#?}");
    }
}

#[test]
fn tuning_takes_what_the_device_is_fastest_with() {
    let candidates = |shape| Tiling::candidates(&shape, &Target::ORIN_NANO);
    // Nothing is faster than the model's choice by enough.
    let unmoved = tuned(|launch| Duration::from_nanos(1000 - u64::from(launch.grid[0] % 8)));
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
    inspect::on_device(pack(), Box::new(device), &options(1)).unwrap();
    let enough = take(&counts.bytes);
    for limit in [0, enough / 2, enough - 1] {
        let device = Box::new(Recorder::new(limit).0);
        let error = inspect::on_device(pack(), device, &options(1)).expect_err("refused");
        let LoadError::Device(refused) = &error else {
            panic!("{error:?}");
        };
        assert_eq!(refused.kind, DeviceErrorKind::OutOfMemory);
        let text = error.to_string();
        assert!(text.contains("allocate"), "{text}");
        assert!(text.contains("out of memory"), "{text}");
    }
    let device: Box<dyn Device> = Box::new(Recorder::new(usize::MAX).0);
    let error = inspect::on_device(pack(), device, &options(33)).expect_err("refused");
    assert!(matches!(error, LoadError::MaxBatch { found: 33 }));
}
