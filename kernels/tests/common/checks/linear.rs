//! Linear layers with every epilogue.

use super::super::Weights;
use super::{Candidates, bits, capacity, compare};
use half::f16;
use mergevit_kernels::Kernels;
use mergevit_kernels::math::{ACTIVATION_TERMS, Activation};
use mergevit_kernels::ops::{Embed, Epilogue, Rotation, Steps};
use mergevit_kernels::testing::Random;

/// Operands of a linear layer of so many rows.
struct Layer {
    rows: usize,
    input: Vec<i8>,
    weights: Weights,
}

impl Layer {
    fn new(random: &mut Random, [rows, outputs, inputs]: [usize; 3], scale: f32) -> Self {
        Self {
            rows,
            input: random.i8s(rows * inputs, true),
            weights: Weights::new(random, outputs, inputs, scale, 2.0),
        }
    }

    fn run(&self, kernels: &mut dyn Kernels, epilogue: Epilogue<'_>) {
        kernels.linear(self.rows, &self.input, &self.weights.view(), epilogue);
    }

    fn check<S: Candidates, R: PartialEq>(&self, what: &str, run: impl Fn(&mut dyn Kernels) -> R) {
        let (outputs, inputs) = (self.weights.outputs, self.weights.inputs);
        let room = capacity(1, self.rows, outputs, inputs);
        compare::<S, R>(&room, (what, self.rows, outputs, inputs), run);
    }
}

/// An epilogue that needs no more than a layer.
#[derive(Clone, Copy, Debug)]
pub enum Product {
    Requantize,
    Activate,
    Gate,
    GateHalf,
    Half,
    Residual,
}

impl Product {
    const ALL: [Self; 6] = [
        Self::Requantize,
        Self::Activate,
        Self::Gate,
        Self::GateHalf,
        Self::Half,
        Self::Residual,
    ];

    const ACTIVATED: [Self; 3] = [Self::Activate, Self::Gate, Self::GateHalf];

    fn check<S: Candidates>(self, layer: &Layer, activation: &Activation) {
        let count = layer.rows * layer.weights.outputs;
        let count = match self {
            Self::Gate | Self::GateHalf => count / 2,
            Self::Requantize | Self::Activate | Self::Half | Self::Residual => count,
        };
        let stream = Random(2).f16s(count, 3.0);
        // Of every column its own.
        let columns = 0..layer.weights.outputs;
        let inverse: Vec<f32> = columns.clone().map(|n| 8.0 + (n % 29) as f32).collect();
        let zero_point: Vec<f32> = columns.map(|n| (n % 31) as f32 * 5.0 - 127.0).collect();
        let steps = Steps {
            inverse: &inverse,
            zero_point: &zero_point,
        };
        layer.check::<S, _>(&format!("{self:?}"), |kernels| {
            let (mut bytes, mut halves) = (vec![0; count], stream.clone());
            let epilogue = match self {
                Self::Requantize => Epilogue::Requantize { output: &mut bytes },
                Self::Activate => Epilogue::Activate {
                    activation,
                    steps,
                    output: &mut bytes,
                },
                Self::Gate => Epilogue::Gate {
                    activation,
                    output: &mut bytes,
                },
                Self::GateHalf => Epilogue::GateHalf {
                    activation,
                    output: &mut halves,
                },
                Self::Half => Epilogue::Half {
                    output: &mut halves,
                },
                Self::Residual => Epilogue::ResidualAdd {
                    residual: &mut halves,
                },
            };
            layer.run(kernels, epilogue);
            (bytes, bits(&halves))
        });
    }
}

/// One epilogue of one linear layer.
pub fn check_product<S: Candidates>(product: Product, shape: [usize; 3]) {
    let layer = Layer::new(&mut Random(1), shape, 1e-3);
    product.check::<S>(&layer, &Activation::GELU);
}

/// All epilogues of one linear layer but rotation.
pub fn check_linear<S: Candidates>(
    seed: u64,
    rows: usize,
    outputs: usize,
    inputs: usize,
    scale: f32,
) {
    let mut random = Random(seed);
    let layer = Layer::new(&mut random, [rows, outputs, inputs], scale);
    let presets = presets();
    for product in Product::ALL {
        product.check::<S>(&layer, &presets[seed as usize % presets.len()]);
    }
    embed::<S>(&mut random, &layer, (1, 1));
}

fn presets() -> [Activation; 4] {
    [
        Activation::GELU,
        Activation::GELU_TANH,
        Activation::QUICK_GELU,
        Activation::SILU,
    ]
}

/// The epilogues with an activation: every preset, and what no preset is.
pub fn check_activation<S: Candidates>(seed: u64, rows: usize, outputs: usize, inputs: usize) {
    let mut random = Random(seed);
    let layer = Layer::new(&mut random, [rows, outputs, inputs], 1e-3);
    let limit = 0.5 + random.unit().abs() * 20.0;
    let poly: Vec<f32> = random.f32s(ACTIVATION_TERMS, 3.0);
    let other = Activation {
        limit,
        map: 2.0 / limit,
        poly: poly.try_into().expect("as many terms"),
    };
    for activation in presets().into_iter().chain([other]) {
        for product in Product::ACTIVATED {
            product.check::<S>(&layer, &activation);
        }
    }
}

/// Queries and keys of `heads` heads, turned by a table that they share or by one each.
pub fn check_rotation<S: Candidates>(
    seed: u64,
    rows: usize,
    heads: usize,
    head_width: usize,
    inputs: usize,
) {
    let mut random = Random(seed);
    let outputs = 3 * heads * head_width;
    let layer = Layer::new(&mut random, [rows, outputs, inputs], 4e-4);
    for shared in [true, false] {
        let tables = if shared { 1 } else { heads };
        let table = random.f32s(rows * tables * head_width, 1.0);
        let rotation = Rotation {
            table: &table,
            heads,
            head_width,
            shared,
        };
        let what = format!("{heads} heads of {head_width}, shared: {shared}");
        layer.check::<S, _>(&what, |kernels| {
            let mut bytes = vec![0; rows * outputs];
            let output = &mut bytes;
            layer.run(kernels, Epilogue::Rotate { rotation, output });
            bytes
        });
    }
}

/// The patch embedding of a batch, after `prefix` other rows.
pub fn check_embedding<S: Candidates>(
    batch: usize,
    patches: usize,
    prefix: usize,
    width: usize,
    inputs: usize,
) {
    let mut random = Random(3);
    let layer = Layer::new(&mut random, [batch * patches, width, inputs], 1e-3);
    embed::<S>(&mut random, &layer, (batch, prefix));
}

fn embed<S: Candidates>(random: &mut Random, layer: &Layer, (batch, prefix): (usize, usize)) {
    let width = layer.weights.outputs;
    let tokens = layer.rows / batch + prefix;
    let position = random.f32s(tokens * width, 1.0);
    let room = capacity(batch, tokens, width, layer.weights.inputs);
    compare::<S, _>(&room, (batch, tokens, prefix, width), |kernels| {
        let mut stream = vec![f16::ZERO; batch * tokens * width];
        let embed = Embed {
            batch,
            prefix,
            position: &position,
            residual: &mut stream,
        };
        layer.run(kernels, Epilogue::Embed(embed));
        bits(&stream)
    });
}
