//! What launches say they cost is what the emulator counts, at shapes of real models.

mod common;
#[path = "common/on_device.rs"]
mod on_device;

use common::Weights;
use half::f16;
use mergevit_kernels::Kernels;
use mergevit_kernels::cuda::Target;
use mergevit_kernels::cuda::gemm::{Tile, Tiling};
use mergevit_kernels::cuda::testing::{Emulated, Options};
use mergevit_kernels::math::Activation;
use mergevit_kernels::ops::{
    Attention, Embed, Epilogue, HEAD_WIDTH, HEAD_WIDTHS, LayerNorm, Merge, MergeInput, MergeOutput,
    NormKind, Patchify, Pool, Pooling, Positions, Rotary, Rotation, Steps,
};
use mergevit_kernels::testing::Random;
use on_device::OnDevice;

/// For operations other than linear layers.
const ANY: Tiling = Tiling::new(Tile::T128x128, 1);

/// Runs operations on an emulated device; then every kernel's instructions are within a fifth of what its
/// launches said, and its traffic through shared memory, where they said any, within a third. (The device checks the
/// exact number of multiplications at every launch.)
fn check(tiling: Tiling, run: impl FnOnce(&mut dyn Kernels)) {
    let device = Emulated::new(Target::ORIN_NANO, Options::default());
    let ledger = device.ledger();
    run(&mut OnDevice::new(Box::new(device), tiling));
    for (name, record) in ledger.records() {
        let shared = record.counts.shared;
        let moved = (shared.read.bytes + shared.write.bytes) as f64;
        let said = record.work.shared_bytes as f64;
        assert!(
            said == 0.0 || (0.67..1.5).contains(&(said / moved)),
            "{name}: said {said}, moved {moved} bytes"
        );
        let (said, done) = (
            record.work.instructions as f64,
            record.counts.instructions.total().warps as f64,
        );
        let ratio = said / done;
        assert!(
            (0.8..1.25).contains(&ratio),
            "{name}: said {said}, did {done}"
        );
    }
}

/// A linear layer of the shape that queries, keys and values of two heads have.
struct Layer<'a> {
    rows: usize,
    input: Vec<i8>,
    weights: &'a Weights,
}

impl Layer<'_> {
    fn run(&self, kernels: &mut dyn Kernels, epilogue: Epilogue<'_>) {
        kernels.linear(self.rows, &self.input, &self.weights.view(), epilogue);
    }

    fn quantized(&self, kernels: &mut dyn Kernels) {
        let (rows, outputs) = (self.rows, self.weights.outputs);
        let activation = &Activation::GELU;
        let mut output = vec![0; rows * outputs];
        let output = &mut output[..];
        self.run(kernels, Epilogue::Requantize { output });
        let rotation = Rotation {
            table: &vec![0.5; rows * 64],
            heads: 2,
            head_width: 64,
            shared: true,
        };
        self.run(kernels, Epilogue::Rotate { rotation, output });
        let activate = Epilogue::Activate {
            activation,
            steps: Steps {
                inverse: &vec![30.0; outputs],
                zero_point: &vec![-100.0; outputs],
            },
            output,
        };
        self.run(kernels, activate);
        let output = &mut output[..rows * outputs / 2];
        self.run(kernels, Epilogue::Gate { activation, output });
    }

    fn halves(&self, kernels: &mut dyn Kernels) {
        let activation = &Activation::GELU;
        let mut stream = vec![f16::ONE; self.rows * self.weights.outputs];
        let residual = &mut stream[..];
        self.run(kernels, Epilogue::ResidualAdd { residual });
        self.run(kernels, Epilogue::Half { output: residual });
        let output = &mut residual[..self.rows * self.weights.outputs / 2];
        self.run(kernels, Epilogue::GateHalf { activation, output });
    }

    fn embedded(&self, kernels: &mut dyn Kernels) {
        let len = (self.rows + 5) * self.weights.outputs;
        let embed = Embed {
            batch: 1,
            prefix: 5,
            position: &vec![1.0; len],
            residual: &mut vec![f16::ONE; len],
        };
        self.run(kernels, Epilogue::Embed(embed));
    }
}

#[test]
fn linear_layers() {
    let mut random = Random(1);
    let (outputs, inputs) = (384, 768);
    let weights = Weights::new(&mut random, outputs, inputs, 1e-3, 1.0);
    for tile in Tile::ALL {
        for (rows, splits, blocks) in [
            (197, 1, u32::MAX),
            (65, 1, u32::MAX),
            (65, 3, u32::MAX),
            (197, 1, 5),
            (65, 3, 2),
        ] {
            let tiling = Tiling::new(tile, splits).with_blocks(blocks);
            let layer = Layer {
                rows,
                input: random.i8s(rows * inputs, true),
                weights: &weights,
            };
            check(tiling, |kernels| layer.quantized(kernels));
            check(tiling, |kernels| layer.halves(kernels));
            check(tiling, |kernels| layer.embedded(kernels));
        }
    }
}

#[test]
fn norms_and_attention() {
    let mut random = Random(2);
    for (tokens, heads) in [(197, 12), (257, 6), (50, 3)] {
        let width = 64 * heads;
        let (gain, bias) = (vec![30.0; width], vec![0.0; width]);
        let norm = LayerNorm {
            kind: NormKind::Layer,
            count: width,
            gain: &gain,
            bias: &bias,
            epsilon: 1e-6,
        };
        let scales = vec![1e-3; heads];
        let shape = Attention {
            batch: 1,
            tokens,
            queries: tokens,
            heads,
            head_width: HEAD_WIDTH,
            score_scale: &scales,
            context_scale: &scales,
        };
        let residual = random.f16s(tokens * width, 1.0);
        let qkv = random.i8s(tokens * 3 * width, false);
        check(ANY, |kernels| {
            let mut output = vec![0; tokens * width];
            kernels.layer_norm(&norm, &residual, &mut output);
            kernels.attention(&shape, &qkv, None, &mut output);
        });
    }
}

#[test]
fn norms_of_every_kind() {
    let mut random = Random(5);
    for (rows, width, count) in [(64, 768, 768), (33, 1024, 1000), (16, 2752, 2730)] {
        let input = random.f16s(rows * width, 1.0);
        for kind in [NormKind::Layer, NormKind::Rms, NormKind::None] {
            let norm = LayerNorm {
                kind,
                count,
                gain: &vec![30.0; width],
                bias: &vec![0.0; width],
                epsilon: 1e-6,
            };
            check(ANY, |kernels| {
                kernels.layer_norm(&norm, &input, &mut vec![0; input.len()]);
                kernels.layer_norm_half(&norm, &input, &mut vec![f16::ZERO; input.len()]);
            });
            check(ANY, |kernels| {
                kernels.layer_norm_real(&norm, &input, &mut vec![0.0; input.len()]);
            });
            check(ANY, |kernels| {
                let (mut high, mut low) = (vec![0; input.len()], vec![0; input.len()]);
                kernels.layer_norm_wide(&norm, &input, &mut high, &mut low);
            });
        }
    }
}

#[test]
fn rotary_tables() {
    for (tokens, prefix, pairs) in [(197, 1, 32), (201, 5, 12 * 32)] {
        let shape = Rotary {
            batch: 1,
            tokens,
            prefix,
            head_width: 64,
            frequencies: &vec![0.25; 3 * pairs],
        };
        for positions in [
            Positions::Grid { side: 14 },
            Positions::At(&vec![3.5; 2 * tokens]),
        ] {
            check(ANY, |kernels| {
                kernels.rotary(&shape, positions, &mut vec![0.0; tokens * 2 * pairs]);
            });
        }
    }
}

#[test]
fn attention_of_every_head_width() {
    let mut random = Random(6);
    for head_width in HEAD_WIDTHS {
        for tokens in [17, 197, 577] {
            let scales = [1e-3; 2];
            let shape = Attention {
                batch: 1,
                tokens,
                queries: tokens,
                heads: 2,
                head_width,
                score_scale: &scales,
                context_scale: &scales,
            };
            let pooling = Attention {
                queries: 1,
                ..shape
            };
            let qkv = random.i8s(tokens * 3 * shape.width(), false);
            let (query, key_value) = (&qkv[..shape.width()], &qkv[..tokens * 2 * shape.width()]);
            for sizes in [None, Some(&vec![1; tokens][..])] {
                check(ANY, |kernels| {
                    let mut context = vec![0; tokens * shape.width()];
                    kernels.attention(&shape, &qkv, sizes, &mut context);
                });
            }
            check(ANY, |kernels| {
                let mut context = vec![0; shape.width()];
                kernels.pool_attention(&pooling, query, key_value, None, &mut context);
            });
        }
    }
}

#[test]
fn merging() {
    let mut random = Random(3);
    for (tokens, width, (heads, head_width), prefix, merged) in [
        (197, 768, (12, 64), 1, 13),
        (257, 384, (6, 64), 1, 16),
        (101, 768, (12, 64), 1, 8),
        (201, 1280, (16, 96), 5, 16),
        (577, 192, (3, 64), 1, 40),
        (1024, 384, (12, 32), 0, 64),
        (256, 4096, (32, 128), 0, 16),
    ] {
        let shape = Merge {
            batch: 1,
            tokens,
            width,
            heads,
            head_width,
            merged,
            prefix,
        };
        let qkv = random.i8s(tokens * 3 * heads * head_width, false);
        let residual = random.f16s(tokens * width, 1.0);
        let sizes = vec![1; tokens];
        let scale = vec![1e-4; heads];
        for score_scale in [None, Some(&scale[..])] {
            if prefix == 0 && score_scale.is_some() {
                continue;
            }
            check(ANY, |kernels| {
                let input = MergeInput {
                    qkv: &qkv,
                    residual: &residual,
                    sizes: &sizes,
                    score_scale,
                    positions: Positions::None,
                };
                let output = MergeOutput {
                    residual: &mut vec![f16::ZERO; (tokens - merged) * width],
                    sizes: &mut vec![0; tokens - merged],
                    positions: None,
                };
                kernels.merge(&shape, input, output);
            });
        }
    }
}

#[test]
fn ends() {
    let mut random = Random(4);
    for (image_size, patch_size, width, classes) in [(224, 16, 768, 1000), (112, 8, 128, 10)] {
        let patchify = Patchify {
            batch: 1,
            image_size,
            patch_size,
        };
        let pixels = vec![1; 3 * image_size * image_size];
        let weights = Weights::new(&mut random, classes, width, 1e-3, 1.0);
        let high = random.i8s(width, false);
        let residual = random.f16s(197 * width, 1.0);
        check(ANY, |kernels| {
            let mut patches = vec![0; patchify.patches() * patchify.row()];
            kernels.patchify(&patchify, &pixels, &mut patches);
            kernels.head(&high, &high, &weights.view(), &mut vec![0.0; classes]);
        });
        for pooling in [
            Pooling::First(1),
            Pooling::First(2),
            Pooling::Mean { first: 1 },
            Pooling::FirstAndMean { first: 5 },
        ] {
            let pool = Pool {
                batch: 1,
                tokens: 197,
                width,
                pooling,
            };
            check(ANY, |kernels| {
                let mut pooled = vec![f16::ZERO; pool.pooled_width()];
                kernels.pool(&pool, &residual, &[1; 197], &mut pooled);
            });
        }
    }
}
