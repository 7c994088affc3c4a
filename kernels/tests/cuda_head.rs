//! The ends of the network on CUDA, over batches, classes and shapes that blocks do not divide: the scalar
//! reference's bits, and the classes in the order of their logits.
//!
//! The kernels run on an emulator of the shipped PTX, or, with `MERGEVIT_TEST_DEVICE=cuda`, on a GPU.

mod common;
#[path = "common/on_device.rs"]
mod on_device;

use common::Weights;
use common::checks::{Candidates, check_norm, check_patchify, check_pool};
use mergevit_kernels::Kernels;
use mergevit_kernels::cuda::gemm::{Tile, Tiling};
use mergevit_kernels::cuda::testing::{BlockOrder, Options, test_device, unnoticed_mutants};
use mergevit_kernels::cuda::{Address, Best, Device, Module, TopClassesParams, top_classes};
use mergevit_kernels::ops::{Capacity, NormKind};
use mergevit_kernels::reference::Reference;
use mergevit_kernels::testing::Random;
use on_device::OnDevice;

fn device(order: BlockOrder) -> Box<dyn Device> {
    test_device(Options::default().with_order(order))
}

struct Cuda;

impl Candidates for Cuda {
    fn candidates(_: &Capacity) -> Vec<Box<dyn Kernels>> {
        vec![Box::new(OnDevice::new(
            device(BlockOrder::Shuffled(1)),
            Tiling::new(Tile::T32x64, 1),
        ))]
    }
}

#[test]
fn patches_of_odd_lines_and_images() {
    for (image_size, patch_size) in [
        (7, 7),
        (21, 7),
        (15, 5),
        (10, 2),
        (12, 4),
        (33, 11),
        (3, 1),
        (146, 73),
        // Pixels that no patch has.
        (20, 7),
        (11, 4),
        (35, 11),
    ] {
        check_patchify::<Cuda>(image_size, patch_size);
    }
}

/// Sums of `inputs` products at the limit of their range, and bytes whose place matters.
#[test]
fn head_over_batches_classes_and_inputs() {
    let mut random = Random(31);
    let shapes = (1..=9).map(|batch| (batch, 10, 192)).chain([
        (32, 7, 64),
        (1, 1, 64),
        (2, 1000, 64),
        (9, 8, 448),
        (3, 9, 2048),
        (2, 9, 8192),
        (1, 3, 16384),
    ]);
    for (batch, classes, inputs) in shapes {
        let (mut high, mut low) = (
            random.i8s(batch * inputs, false),
            random.i8s(batch * inputs, true),
        );
        let mut weights = Weights::new(&mut random, classes, inputs, 1e-4, 1.0);
        high[..inputs].fill(-127);
        low[..inputs].fill(-128);
        weights.data[..inputs].fill(-127);
        let run = |kernels: &mut dyn Kernels| {
            let mut logits = vec![0f32; batch * classes];
            kernels.head(&high, &low, &weights.view(), &mut logits);
            logits.into_iter().map(f32::to_bits).collect::<Vec<_>>()
        };
        let want = run(&mut Reference::new());
        let capacity = Capacity {
            batch,
            tokens: 1,
            width: inputs,
            head_width: 64,
            inner: inputs,
        };
        for mut kernels in Cuda::candidates(&capacity) {
            let same = run(&mut *kernels) == want;
            assert!(same, "{batch} images, {classes} classes of {inputs}");
        }
    }
}

#[test]
fn pooling_over_widths_and_tokens() {
    for (batch, tokens, width) in [
        (1, 197, 192),
        (2, 33, 2048),
        (5, 2, 320),
        (2, 7, 4096),
        (1, 4112, 64),
    ] {
        check_pool::<Cuda>(batch, tokens, width);
    }
}

/// The 16-bit activations reach the clamp, and infinities give NaN.
#[test]
fn wide_norms_of_large_values() {
    for kind in [NormKind::Layer, NormKind::Rms, NormKind::None] {
        for magnitude in [1e-7, 1.0, 65504.0, f32::INFINITY] {
            for count in [440, 448] {
                check_norm::<Cuda>(17, kind, (9, 448, count), magnitude);
            }
        }
    }
}

/// What `top_classes` writes for images of `classes` logits: best classes, and both copies.
fn results(logits: &[f32], classes: usize, count: usize, tokens: usize) -> Vec<Best> {
    let batch = logits.len() / classes;
    let sizes: Vec<u32> = (0..(batch * tokens) as u32).map(|i| i * i).collect();
    let mut device = device(BlockOrder::Descending);
    let mut upload = |bytes: &[u8]| -> Address {
        let address = device.allocate(bytes.len()).unwrap();
        device.write(address, bytes).unwrap();
        address
    };
    let mut best = vec![Best::default(); batch * count];
    let params = TopClassesParams {
        logits: upload(bytemuck::cast_slice(logits)),
        sizes: upload(bytemuck::cast_slice(&sizes)),
        top: upload(bytemuck::cast_slice(&best)),
        host_logits: upload(&vec![1; size_of_val(logits)]),
        host_sizes: upload(&vec![1; size_of_val(&sizes[..])]),
        classes: classes as u32,
        tokens: tokens as u32,
        count: count as u32,
        padding: 0,
    };
    device.launch(&top_classes(batch as u32, &params)).unwrap();
    let mut copies = (vec![0f32; logits.len()], vec![0u32; sizes.len()]);
    let mut download = |address, bytes: &mut [u8]| device.read(address, bytes).unwrap();
    download(params.top, bytemuck::cast_slice_mut(&mut best));
    download(params.host_logits, bytemuck::cast_slice_mut(&mut copies.0));
    download(params.host_sizes, bytemuck::cast_slice_mut(&mut copies.1));
    let bits = |logits: &[f32]| logits.iter().map(|l| l.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(&copies.0), bits(logits));
    assert_eq!(copies.1, sizes);
    best
}

/// Best first in the total order of floats, of equals the lower class; past the last class there is none.
fn check_top(logits: &[f32], classes: usize, count: usize) {
    let found = results(logits, classes, count, 5);
    for (logits, found) in logits.chunks_exact(classes).zip(found.chunks_exact(count)) {
        let mut order: Vec<usize> = (0..classes).collect();
        order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a])); // stable
        let none = (u32::MAX, 0);
        let known = order.iter().map(|&n| (n as u32, logits[n].to_bits()));
        let want: Vec<_> = known.chain([none; 8]).take(count).collect();
        let found: Vec<_> = found
            .iter()
            .map(|best| (best.class, best.logit.to_bits()))
            .collect();
        assert_eq!(found, want, "best {count} of {classes}");
    }
}

#[test]
fn best_classes_over_batches_and_counts() {
    let mut random = Random(5);
    for (batch, classes) in [(1, 1000), (3, 256), (9, 257), (32, 31), (2, 7), (4, 1)] {
        let logits = random.f32s(batch * classes, 20.0);
        for count in 1..=8 {
            check_top(&logits, classes, count);
        }
    }
}

#[test]
fn best_classes_among_equals_and_extremes() {
    let mut random = Random(6);
    let values = [
        0.0,
        -0.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN,
        1e-45,
        -1e-45,
    ];
    // Few values over many classes, the first ones more often than the last ones.
    for variety in 1..=values.len() {
        let logits: Vec<f32> = (0..2 * 300)
            .map(|_| values[random.below(variety)])
            .collect();
        check_top(&logits, 300, 8);
        check_top(&logits[..10], 5, 8);
    }
}

#[test]
fn best_classes_need_their_barriers() {
    if std::env::var_os("MERGEVIT_TEST_DEVICE").is_some() {
        return; // a GPU need not notice
    }
    let logits = Random(8).f32s(600, 20.0);
    let unnoticed = unnoticed_mutants(Module::TopClasses, |_| check_top(&logits, 600, 4));
    assert!(unnoticed.is_empty(), "{unnoticed:?}");
}
