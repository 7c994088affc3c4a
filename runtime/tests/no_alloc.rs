//! After an engine is made, nothing allocates: not in the caller's thread, not in the backend's.

#[path = "common/recorder.rs"]
mod recorder;

use mergevit_kernels::frame::{Frame, PixelFormat};
use mergevit_runtime::testing::{self, Random};
use mergevit_runtime::{
    Cascade, Engine, EngineOptions, ModelConfig, OutputKind, Pack, backends,
    inspect::{self, TokenMapper},
};
use recorder::Recorder;
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// Allocations, and growths, since the program started, of all threads.
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, SeqCst);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, SeqCst);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn options(backend: &str, max_batch: usize) -> EngineOptions {
    Engine::options()
        .backend(backend)
        .threads(2)
        .max_batch(max_batch)
        .max_frame(1280, 720)
}

/// Models that between them have every operation.
fn models() -> Vec<ModelConfig> {
    let few = [
        "plain",
        "class and mean",
        "gated, inner norm",
        "rotary, per layer",
        "headless, attention pooling",
        "zero-shot",
        "own classes",
    ];
    let mut family = testing::family();
    family.retain(|(name, _)| few.contains(name));
    let resized = family.into_iter().map(|(_, config)| ModelConfig {
        image_size: 32,
        patch_size: 8,
        ..config
    });
    resized.collect()
}

/// What engines are set to in turn.
const NAMES: [&str; 6] = ["r0", "none", "r2", "some", "r5", "all"];

/// A pack with three schedules. Of its cascades, if it classifies, one runs no image again, one some, one all.
fn pack(config: &ModelConfig) -> Pack {
    let cascades = [
        ("none", f32::MIN_POSITIVE),
        ("some", 0.5),
        ("all", f32::MAX),
    ];
    let cascades = cascades.map(|(name, threshold)| Cascade {
        name: name.into(),
        first: "r5".into(),
        then: "r0".into(),
        threshold,
        wanted_agreement: 0.99,
        dataset: "random".into(),
        images: 1,
        agreement: 1.0,
        second_runs: 0.5,
    });
    let mut writer = testing::writer(config, &[0, 2, 5], 1);
    if config.classifies() {
        writer = writer.with_cascades(cascades.into());
    }
    Pack::from_memory(writer.to_bytes().unwrap()).unwrap()
}

/// Engines for a model on everything that there is.
fn engines(config: &ModelConfig, pixels: &[u8]) -> Vec<Engine> {
    let available = backends().filter(|backend| backend.available);
    let mut engines: Vec<Engine> = available
        .map(|backend| options(backend.name, 4).build(pack(config)).unwrap())
        .collect();
    // Batches of 9 to 11 have no graph.
    for max_batch in [4, 12] {
        let device = Box::new(Recorder::new(usize::MAX).0);
        let mut engine =
            inspect::on_device(pack(config), device, &options("auto", max_batch)).unwrap();
        // What an observer sees is reserved for the first.
        inspect::observe(&mut engine, pixels, &mut |_, _| {}).unwrap();
        engines.push(engine);
    }
    engines
}

/// Frames that each engine takes: every schedule with every size of a batch.
const FRAMES: usize = 12;

/// Frames that the first model's engines take.
const MANY_FRAMES: usize = 100;

/// Without the test harness, whose own allocations would count.
fn main() {
    let mut random = Random(1);
    let sizes = [
        (640, 480),
        (33, 57),
        (32, 32),
        (1, 1),
        (1280, 720),
        (101, 16),
    ];
    let data = random.bytes(3 * 1280 * 720);
    let frames: Vec<Frame<'_>> = sizes
        .iter()
        .flat_map(|&(width, height)| {
            let packed = |format| Frame::packed(format, width, height, &data);
            PixelFormat::ALL.map(packed).into_iter().flatten()
        })
        .collect();
    for (index, config) in models().iter().enumerate() {
        let turns = if index == 0 { MANY_FRAMES } else { FRAMES };
        let pixels = random.bytes(2 * config.image_bytes());
        let classes = if config.classifies() {
            config.scores()
        } else {
            0
        };
        for mut engine in engines(config, &pixels) {
            let mut mapper = TokenMapper::new(&mut engine).unwrap();
            let mut map = vec![0; 2 * mapper.patches()];
            let before = ALLOCATIONS.load(SeqCst);
            let (mut operations, mut images, mut again) = (0, 0, 0);
            for turn in 0..turns {
                let name = NAMES[turn % NAMES.len()];
                // An error would allocate.
                let known = config.classifies() || name.starts_with('r');
                engine
                    .set_schedule(if known { name } else { "r0" })
                    .unwrap();
                let start = turn % (frames.len() - engine.max_batch());
                let batch = &frames[start..][..1 + turn / 3 % engine.max_batch()];
                let output = engine.classify(batch).unwrap();
                if name == "some" {
                    images += output.batch();
                    again += output.second_runs();
                }
                std::hint::black_box(output.is_unknown(batch.len() - 1));
                let top = output.top(batch.len() - 1).take(5).count();
                assert_eq!(top, classes.min(5));
                assert_eq!(
                    output.unit_embedding(0).is_some(),
                    config.output == OutputKind::Embedding
                );
                if turn % 10 == 0 {
                    engine.classify_pixels(&pixels).unwrap();
                    inspect::observe(&mut engine, &pixels, &mut |_, _| operations += 1).unwrap();
                    mapper
                        .classify_pixels(&mut engine, &pixels, &mut map)
                        .unwrap();
                }
            }
            let allocations = ALLOCATIONS.load(SeqCst) - before;
            assert_eq!(allocations, 0, "{engine:?}");
            assert!(operations > turns);
            // A recorder's logits are all zero.
            let computes = engine.device().is_none();
            if turns == MANY_FRAMES && computes {
                assert!((1..images).contains(&again), "{again} of {images}");
            }
            println!("{turns} frames without an allocation: {engine:?}");
        }
    }
}
