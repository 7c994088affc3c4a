//! Every CUDA kernel gives the scalar reference's bits, over awkward shapes and values.
//!
//! The kernels run on an emulator of the shipped PTX, or, with `MERGEVIT_TEST_DEVICE=cuda`, on a GPU.

mod common;
#[path = "common/on_device.rs"]
mod on_device;
#[path = "common/suite.rs"]
mod suite;

use common::Weights;
use common::checks::{
    Candidates, Places, Product, check_attention, check_embedding, check_merge,
    check_pool_attention, check_product, check_rotation,
};
use mergevit_kernels::Kernels;
use mergevit_kernels::cuda::gemm::{Tile, Tiling};
use mergevit_kernels::cuda::testing::{BlockOrder, Options, test_device};
use mergevit_kernels::cuda::{Access, Device};
use mergevit_kernels::ops::{Capacity, Epilogue, Merge};
use mergevit_kernels::testing::Random;
use on_device::OnDevice;
use suite::{Shapes, suite};

/// A device whose blocks run in this order: no result may depend on it.
fn device(order: BlockOrder) -> Box<dyn Device> {
    test_device(Options::default().with_order(order))
}

/// For operations other than linear layers.
struct Cuda;

impl Candidates for Cuda {
    fn candidates(_: &Capacity) -> Vec<Box<dyn Kernels>> {
        let orders = [BlockOrder::Ascending, BlockOrder::Descending];
        let on_device = |order| -> Box<dyn Kernels> {
            Box::new(OnDevice::new(device(order), Tiling::new(Tile::T32x64, 1)))
        };
        orders.map(on_device).into()
    }
}

/// Every tile shape, with K in one part and in three.
struct Tilings;

impl Candidates for Tilings {
    fn candidates(_: &Capacity) -> Vec<Box<dyn Kernels>> {
        let all = Tile::ALL
            .into_iter()
            .flat_map(|tile| [1, 3].map(|splits| (tile, splits)));
        all.map(|(tile, splits)| -> Box<dyn Kernels> {
            Box::new(OnDevice::new(
                device(BlockOrder::Shuffled(tile as u64)),
                Tiling::new(tile, splits),
            ))
        })
        .collect()
    }
}

/// Every tile shape, with several parts of tiles for each of few blocks, whichever of them starts first.
struct FewBlocks;

impl FewBlocks {
    fn tilings() -> impl Iterator<Item = Tiling> {
        let parts = Tile::ALL
            .into_iter()
            .flat_map(|tile| [1, 3].map(|splits| Tiling::new(tile, splits)));
        parts.flat_map(|tiling| [1, 2, 3, 5].map(|blocks| tiling.with_blocks(blocks)))
    }
}

impl Candidates for FewBlocks {
    fn candidates(_: &Capacity) -> Vec<Box<dyn Kernels>> {
        let on_device = |(seed, tiling)| -> Box<dyn Kernels> {
            let order = BlockOrder::Shuffled(seed as u64);
            Box::new(OnDevice::new(device(order), tiling))
        };
        Self::tilings().enumerate().map(on_device).collect()
    }
}

const SHAPES: Shapes = Shapes {
    // Around every multiple of the groups of rows that a warp takes or skips, for all tiles.
    rows: &[
        1..=2,
        15..=17,
        31..=31,
        33..=33,
        48..=48,
        63..=65,
        81..=81,
        113..=113,
        127..=127,
        129..=129,
        197..=197,
    ],
    rows_of: (128, 128),
    linear: &[
        (5, 64, 64),
        (21, 192, 192),
        (33, 384, 320),
        (17, 128, 3072),
        (18, 64, 8192),
        (3, 64, 16384),
        (197, 256, 448),
    ],
    scales: &[0.0, 1e-30, 1e30, f32::MAX],
    scales_of: (128, 128),
    rotations: &[
        (65, 3, 64, 64),
        (33, 4, 32, 128),
        (17, 2, 96, 64),
        (129, 2, 128, 64),
    ],
    embeddings: &[
        (3, 9, 0, 64, 192),
        (3, 9, 1, 64, 192),
        (2, 49, 0, 128, 64),
        (2, 49, 1, 128, 64),
        (2, 36, 5, 128, 64),
        (3, 5, 16, 192, 64),
    ],
    tokens: &[1..=257],
    merges: &[
        (3, 197, 192, 13),
        (2, 41, 768, 20),
        (1, 257, 384, 16),
        (1, 1025, 2048, 512),
    ],
    ends: &[
        (1, 2, 64, 1),
        (3, 11, 192, 103),
        (8, 5, 768, 10),
        (9, 3, 2048, 7),
        (32, 2, 128, 1000),
    ],
};

suite!(SHAPES, linear: Tilings, others: Cuda);

/// Sums shorter than the ring of copies, as long, a little longer, and parts of which some are each.
#[test]
fn blocks_that_compute_several_tiles() {
    for inputs in [64, 192, 256, 320, 384, 640, 704, 1088] {
        let shape = [1 + inputs % 197, 384, inputs];
        check_product::<FewBlocks>(Product::Requantize, shape);
    }
    check_product::<FewBlocks>(Product::Residual, [197, 256, 448]);
    check_product::<FewBlocks>(Product::Activate, [70, 256, 448]);
    check_product::<FewBlocks>(Product::GateHalf, [70, 256, 448]);
    check_rotation::<FewBlocks>(4, 70, 2, 64, 448);
    check_embedding::<FewBlocks>(2, 49, 5, 256, 448);
}

/// A launch leaves counters as it found them, and so the next one computes the same.
#[test]
fn a_launch_can_be_repeated() {
    let mut random = Random(5);
    let (rows, outputs, inputs) = (130, 256, 448);
    let input = random.i8s(rows * inputs, true);
    let weights = Weights::new(&mut random, outputs, inputs, 1e-3, 1.0);
    for tiling in FewBlocks::tilings() {
        let mut kernels = OnDevice::new(device(BlockOrder::Descending), tiling);
        let mut first = vec![0; rows * outputs];
        let output = &mut first[..];
        kernels.linear(
            rows,
            &input,
            &weights.view(),
            Epilogue::Requantize { output },
        );
        let launch = kernels.launches[0];
        assert_eq!(
            launch.grid[0],
            tiling.blocks.min(launch.items),
            "{tiling:?}"
        );
        let written = |access: &&(Access, _, _)| access.0 == Access::Write;
        let &(_, at, _) = launch.accesses().iter().find(written).unwrap();
        kernels.device.write(at, &vec![1; first.len()]).unwrap();
        kernels.device.launch(&launch).unwrap();
        let mut second = vec![0; first.len()];
        kernels
            .device
            .read(at, bytemuck::cast_slice_mut(&mut second))
            .unwrap();
        assert!(first == second, "{tiling:?}");
    }
}

#[test]
fn merging_over_token_counts() {
    for tokens in 2..=257 {
        let prefix = tokens % 2;
        let shape = Merge {
            batch: 1,
            tokens,
            width: 64,
            heads: 1,
            head_width: 64,
            merged: Merge::limit(tokens, prefix).div_ceil(2),
            prefix,
        };
        check_merge::<Cuda>(tokens as u64, shape, 6, Places::Nowhere);
    }
}

/// Keys and values that lie in shared memory as one tile, or just do not, and tiles that are all full or not.
#[test]
fn attention_over_tiles() {
    for (head_width, tokens) in [
        (32, [704, 705]),
        (64, [352, 353]),
        (96, [224, 225]),
        (128, [160, 161]),
    ] {
        for tokens in tokens.into_iter().chain([384, 577, 1025]) {
            let seed = (head_width + tokens) as u64;
            check_attention::<Cuda>(seed, (1, tokens), (1, head_width), 3e-4);
            check_pool_attention::<Cuda>(seed, (2, tokens), (2, head_width), 3e-4);
        }
    }
    check_attention::<Cuda>(1, (2, 353), (2, 64), 3e-4);
    check_attention::<Cuda>(1, (1, 2305), (1, 128), 3e-4);
}

/// One block a group of sources, or several groups a block, and up to 16 tiles of targets.
#[test]
fn merging_over_tiles() {
    for (batch, tokens, head_width, prefix, merged) in [
        (1, 259, 64, 1, 129),
        (1, 260, 32, 2, 100),
        (1, 321, 64, 0, 7),
        (1, 322, 96, 5, 40),
        (1, 577, 64, 1, 200),
        (2, 513, 128, 1, 60),
        (8, 197, 64, 1, 8),
        (1, 2305, 32, 1, 600),
        (1, 4112, 128, 16, 2048),
    ] {
        let shape = Merge {
            batch,
            tokens,
            width: 64,
            heads: 2,
            head_width,
            merged,
            prefix,
        };
        check_merge::<Cuda>(tokens as u64, shape, 7, Places::of(merged as u64));
    }
}

/// Rows in pieces, and others that registers hold.
#[test]
fn merging_wide_rows() {
    for width in [1984, 2048, 2112, 4096] {
        for (tokens, merged) in [(50, 18), (51, 19), (52, 20)] {
            let shape = Merge {
                batch: 2,
                tokens,
                width,
                heads: 32,
                head_width: 32,
                merged,
                prefix: 1,
            };
            check_merge::<Cuda>(3, shape, 3, Places::Nowhere);
        }
    }
}
