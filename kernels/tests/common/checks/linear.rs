//! Linear layers with every epilogue.

use super::super::Weights;
use super::{Candidates, Feature, bits, capacity, compare};
use half::f16;
use mergevit_kernels::Kernels;
use mergevit_kernels::math::{ACTIVATION_TERMS, Activation};
use mergevit_kernels::ops::{Embed, Epilogue, Rotation};
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

/// All epilogues of one linear layer but rotation.
pub fn check_linear<S: Candidates>(
    seed: u64,
    rows: usize,
    outputs: usize,
    inputs: usize,
    scale: f32,
) {
    if inputs > 8192 && S::lack(Feature::LongProducts) {
        return;
    }
    let mut random = Random(seed);
    let layer = Layer::new(&mut random, [rows, outputs, inputs], scale);
    let residual = random.f16s(rows * outputs, 3.0);
    let position = random.f32s((rows + 1) * outputs, 1.0);
    let count = rows * outputs;
    layer.check::<S, _>("requantize", |kernels| {
        let mut bytes = vec![0; count];
        let output = &mut bytes;
        layer.run(kernels, Epilogue::Requantize { output });
        bytes
    });
    layer.check::<S, _>("residual", |kernels| {
        let mut stream = residual.clone();
        let residual = &mut stream;
        layer.run(kernels, Epilogue::ResidualAdd { residual });
        bits(&stream)
    });
    layer.check::<S, _>("embed", |kernels| {
        let mut stream = vec![f16::ZERO; position.len()];
        let embed = Embed {
            batch: 1,
            prefix: 1,
            position: &position,
            residual: &mut stream,
        };
        layer.run(kernels, Epilogue::Embed(embed));
        bits(&stream)
    });
    if !S::lack(Feature::HalfProduct) {
        layer.check::<S, _>("half", |kernels| {
            let mut halves = vec![f16::ZERO; count];
            let output = &mut halves;
            layer.run(kernels, Epilogue::Half { output });
            bits(&halves)
        });
    }
    let presets = presets();
    activate::<S>(&layer, &presets[seed as usize % presets.len()]);
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
    for activation in presets() {
        activate::<S>(&layer, &activation);
    }
    let limit = 0.5 + random.unit().abs() * 20.0;
    let poly: Vec<f32> = random.f32s(ACTIVATION_TERMS, 3.0);
    let activation = Activation {
        limit,
        map: 2.0 / limit,
        poly: poly.try_into().expect("as many terms"),
    };
    activate::<S>(&layer, &activation);
}

fn activate<S: Candidates>(layer: &Layer, activation: &Activation) {
    let count = layer.rows * layer.weights.outputs;
    if !S::lack(Feature::Activate) {
        layer.check::<S, _>("activate", |kernels| {
            let mut output = vec![0; count];
            let epilogue = Epilogue::Activate {
                activation,
                inverse_scale: 31.0,
                zero_point: -117.0,
                output: &mut output,
            };
            layer.run(kernels, epilogue);
            output
        });
    }
    if !S::lack(Feature::Gate) {
        layer.check::<S, _>("gate", |kernels| {
            let mut bytes = vec![0; count / 2];
            let output = &mut bytes;
            layer.run(kernels, Epilogue::Gate { activation, output });
            bytes
        });
        layer.check::<S, _>("gate to half", |kernels| {
            let mut halves = vec![f16::ZERO; count / 2];
            let output = &mut halves;
            layer.run(kernels, Epilogue::GateHalf { activation, output });
            bits(&halves)
        });
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
    if S::lack(Feature::Rotate) || head_width != 64 && S::lack(Feature::HeadWidths) {
        return;
    }
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
    if prefix > 1 && S::lack(Feature::Prefixes) {
        return;
    }
    let mut random = Random(3);
    let layer = Layer::new(&mut random, [batch * patches, width, inputs], 1e-3);
    let tokens = patches + prefix;
    let position = random.f32s(tokens * width, 1.0);
    let room = capacity(batch, tokens, width, inputs);
    compare::<S, _>(&room, (batch, patches, prefix, width), |kernels| {
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
