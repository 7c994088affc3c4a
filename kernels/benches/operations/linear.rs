//! Products with weights: linear layers with each epilogue, and the classifier.

use super::operation::Operation;
use super::suite::{Measured, Work};
use super::{Random, Weights};
use bytemuck::cast_slice_mut;
use half::f16;
use mergevit_kernels::Kernels;
use mergevit_kernels::math::Activation;
use mergevit_kernels::ops::{Embed, Epilogue, HEAD_WIDTH, Rotation, Steps};

/// Typical size of a product of two operands from [`Random::i8s`].
const PRODUCT: f32 = 6000.0;

/// Weights whose sums, scaled, are of magnitude `unit`.
fn weights(random: &mut Random, outputs: usize, inputs: usize, unit: f32) -> Weights {
    let scale = unit / (PRODUCT * (inputs as f32).sqrt());
    Weights::new(random, outputs, inputs, scale, unit)
}

/// Bytes of weights with a scale and a bias for each output.
fn weight_bytes(outputs: usize, inputs: usize) -> usize {
    outputs * (inputs + 2 * size_of::<f32>())
}

/// The epilogue, with its operands and results.
enum Output {
    Requantize(Vec<i8>),
    Gelu(Vec<i8>),
    Rotate {
        table: Vec<f32>,
        output: Vec<i8>,
    },
    Gate(Vec<i8>),
    GateHalf(Vec<f16>),
    Residual {
        start: Vec<f16>,
        residual: Vec<f16>,
    },
    Embed {
        position: Vec<f32>,
        residual: Vec<f16>,
    },
}

/// A linear layer: (M, K) times (N, K) transposed.
pub(crate) struct Linear {
    rows: usize,
    input: Vec<i8>,
    weights: Weights,
    output: Output,
}

impl Linear {
    fn new(random: &mut Random, [m, n, k]: [usize; 3], unit: f32, output: Output) -> Self {
        Self {
            rows: m,
            input: random.i8s(m * k, true),
            weights: weights(random, n, k, unit),
            output,
        }
    }

    /// To i8. `shape` is (M, N, K), as in the functions below.
    pub(crate) fn requantize(random: &mut Random, shape: [usize; 3]) -> Self {
        let output = Output::Requantize(vec![0; shape[0] * shape[1]]);
        Self::new(random, shape, 40.0, output)
    }

    /// GELU, then to i8.
    pub(crate) fn gelu(random: &mut Random, shape: [usize; 3]) -> Self {
        let output = Output::Gelu(vec![0; shape[0] * shape[1]]);
        Self::new(random, shape, 2.0, output)
    }

    /// Queries and keys turned, then to i8; all heads share a table.
    pub(crate) fn rotate(random: &mut Random, shape: [usize; 3]) -> Self {
        let output = Output::Rotate {
            table: random.f32s(shape[0] * HEAD_WIDTH, 1.0),
            output: vec![0; shape[0] * shape[1]],
        };
        Self::new(random, shape, 40.0, output)
    }

    /// A gate through SiLU times a value, then to i8.
    pub(crate) fn gate(random: &mut Random, shape: [usize; 3]) -> Self {
        let output = Output::Gate(vec![0; shape[0] * shape[1] / 2]);
        Self::new(random, shape, 8.0, output)
    }

    /// A gate through SiLU times a value, to f16.
    pub(crate) fn gate_half(random: &mut Random, shape: [usize; 3]) -> Self {
        let output = Output::GateHalf(vec![f16::ZERO; shape[0] * shape[1] / 2]);
        Self::new(random, shape, 2.0, output)
    }

    /// Added to the residual stream. Run after run it grows, but stays finite: a sum that is 2048 times what is
    /// added no longer changes.
    pub(crate) fn residual(random: &mut Random, shape: [usize; 3]) -> Self {
        let start = random.f16s(shape[0] * shape[1], 1.0);
        let residual = start.clone();
        Self::new(random, shape, 1.0, Output::Residual { start, residual })
    }

    /// The patch embedding of one image of M patches, with a class token.
    pub(crate) fn embed(random: &mut Random, shape: [usize; 3]) -> Self {
        let elements = (shape[0] + 1) * shape[1];
        let output = Output::Embed {
            position: random.f32s(elements, 1.0),
            residual: vec![f16::ZERO; elements],
        };
        Self::new(random, shape, 1.0, output)
    }
}

impl Measured for Linear {
    fn work(&self) -> Work {
        let (outputs, inputs) = (self.weights.outputs, self.weights.inputs);
        let output = match &self.output {
            Output::Requantize(output) | Output::Gelu(output) | Output::Gate(output) => {
                output.len()
            }
            Output::Rotate { table, output } => size_of_val(&table[..]) + output.len(),
            Output::GateHalf(output) => size_of_val(&output[..]),
            Output::Residual { residual, .. } => 2 * size_of_val(&residual[..]),
            Output::Embed { position, residual } => {
                size_of_val(&position[..]) + size_of_val(&residual[..])
            }
        };
        Work {
            macs: (self.rows * outputs * inputs) as u64,
            bytes: (self.input.len() + weight_bytes(outputs, inputs) + output) as u64,
        }
    }

    fn results(&mut self) -> Vec<&mut [u8]> {
        vec![match &mut self.output {
            Output::Requantize(output)
            | Output::Gelu(output)
            | Output::Rotate { output, .. }
            | Output::Gate(output) => cast_slice_mut(output),
            Output::GateHalf(output) => cast_slice_mut(output),
            Output::Residual { residual, .. } | Output::Embed { residual, .. } => {
                cast_slice_mut(residual)
            }
        }]
    }

    fn restore(&mut self) {
        if let Output::Residual { start, residual } = &mut self.output {
            residual.copy_from_slice(start);
        }
    }
}

impl Operation for Linear {
    fn run(&mut self, kernels: &mut dyn Kernels) {
        let epilogue = match &mut self.output {
            Output::Requantize(output) => Epilogue::Requantize { output },
            Output::Gelu(output) => Epilogue::Activate {
                activation: &Activation::GELU,
                steps: Steps {
                    inverse: &vec![31.0; self.weights.outputs],
                    zero_point: &vec![-117.0; self.weights.outputs],
                },
                output,
            },
            Output::Rotate { table, output } => Epilogue::Rotate {
                rotation: Rotation {
                    table,
                    heads: self.weights.outputs / (3 * HEAD_WIDTH),
                    head_width: HEAD_WIDTH,
                    shared: true,
                },
                output,
            },
            Output::Gate(output) => Epilogue::Gate {
                activation: &Activation::SILU,
                output,
            },
            Output::GateHalf(output) => Epilogue::GateHalf {
                activation: &Activation::SILU,
                output,
            },
            Output::Residual { residual, .. } => Epilogue::ResidualAdd { residual },
            Output::Embed { position, residual } => Epilogue::Embed(Embed {
                batch: 1,
                prefix: 1,
                position,
                residual,
            }),
        };
        kernels.linear(self.rows, &self.input, &self.weights.view(), epilogue);
    }

    fn product(&self) -> Option<[usize; 3]> {
        Some([self.rows, self.weights.outputs, self.weights.inputs])
    }
}

/// The classifier on one image's 16-bit activations.
pub(crate) struct Head {
    high: Vec<i8>,
    low: Vec<i8>,
    weights: Weights,
    logits: Vec<f32>,
}

impl Head {
    pub(crate) fn new(random: &mut Random, classes: usize, width: usize) -> Self {
        Self {
            high: random.i8s(width, false),
            low: random.i8s(width, true),
            weights: weights(random, classes, width, 0.01),
            logits: vec![0.0; classes],
        }
    }
}

impl Measured for Head {
    fn work(&self) -> Work {
        let (classes, width) = (self.weights.outputs, self.weights.inputs);
        let bytes = 2 * width + weight_bytes(classes, width) + size_of_val(&self.logits[..]);
        Work {
            macs: (2 * classes * width) as u64,
            bytes: bytes as u64,
        }
    }

    fn results(&mut self) -> Vec<&mut [u8]> {
        vec![cast_slice_mut(&mut self.logits)]
    }
}

impl Operation for Head {
    fn run(&mut self, kernels: &mut dyn Kernels) {
        kernels.head(
            &self.high,
            &self.low,
            &self.weights.view(),
            &mut self.logits,
        );
    }
}
