//! What an operation costs on any machine: the basis of profiles and roofline estimates.

use super::op::{Op, OpKind};
use mergevit_kernels::ops::HEAD_WIDTH;
use std::ops::AddAssign;

/// Work and traffic of one operation, or of several.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Multiply-accumulates of dot products, 8 bits by 8.
    pub macs: u64,
    /// Bytes of weights, scales and biases read from the pack.
    pub weight_bytes: u64,
    /// Bytes of the arena read.
    pub read_bytes: u64,
    /// Bytes of the arena written.
    pub written_bytes: u64,
}

impl Cost {
    /// Bytes of activations, read and written.
    pub const fn activation_bytes(&self) -> u64 {
        self.read_bytes + self.written_bytes
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Self) {
        self.macs += other.macs;
        self.weight_bytes += other.weight_bytes;
        self.read_bytes += other.read_bytes;
        self.written_bytes += other.written_bytes;
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        let mut total = Self::default();
        costs.for_each(|cost| total += cost);
        total
    }
}

/// A linear layer's weights with a scale and a bias for each output.
const fn linear_bytes(inputs: usize, outputs: usize) -> usize {
    outputs * (inputs + 2 * size_of::<f32>())
}

impl Op {
    /// Its cost. The patch embedding's positions count as weights.
    pub fn cost(&self) -> Cost {
        let (macs, weight_bytes) = match self.kind {
            OpKind::Linear {
                rows,
                inputs,
                outputs,
                output,
                linear,
                ..
            } => {
                let positions = match linear {
                    super::Linear::Patch => output.len / size_of::<half::f16>() * size_of::<f32>(),
                    _ => 0,
                };
                let weights = linear_bytes(inputs, outputs) + positions;
                (rows * inputs * outputs, weights)
            }
            OpKind::Attention {
                batch,
                tokens,
                heads,
                ..
            } => {
                // Scores, then the weighted sum of values.
                let macs = 2 * batch * heads * tokens * tokens * HEAD_WIDTH;
                (macs, 2 * heads * size_of::<f32>())
            }
            OpKind::Merge { shape, .. } => {
                let pairs = shape.tokens.div_ceil(2) * (shape.tokens / 2);
                (shape.batch * pairs * HEAD_WIDTH, 0)
            }
            OpKind::LayerNorm { width, .. } | OpKind::LayerNormWide { width, .. } => {
                (0, 2 * width * size_of::<f32>())
            }
            OpKind::Head {
                rows,
                inputs,
                outputs,
                ..
            } => (2 * rows * inputs * outputs, linear_bytes(inputs, outputs)),
            OpKind::Patchify { .. } | OpKind::ResetSizes { .. } | OpKind::Pool { .. } => (0, 0),
        };
        let mut cost = Cost {
            macs: macs as u64,
            weight_bytes: weight_bytes as u64,
            ..Cost::default()
        };
        for (span, access) in self.spans() {
            cost.read_bytes += if access.reads() { span.len as u64 } else { 0 };
            cost.written_bytes += if access.writes() { span.len as u64 } else { 0 };
        }
        cost
    }
}
