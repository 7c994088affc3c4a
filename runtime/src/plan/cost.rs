//! What an operation costs on any machine: the basis of profiles and roofline estimates.

use super::op::Op;
use crate::config::Ranking;
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

/// A gain and a bias for each channel.
const fn norm_bytes(width: usize) -> usize {
    2 * width * size_of::<f32>()
}

impl Op {
    /// Its cost. The patch embedding's positions count as weights.
    pub fn cost(&self) -> Cost {
        let (macs, weight_bytes) = match self {
            Self::Embed(op) => {
                let positions = op.residual.len / size_of::<half::f16>() * size_of::<f32>();
                let weights = linear_bytes(op.inputs, op.outputs) + positions;
                (op.rows * op.inputs * op.outputs, weights)
            }
            Self::Linear(op) => (
                op.rows * op.inputs * op.outputs,
                linear_bytes(op.inputs, op.outputs),
            ),
            Self::Attention(op) => {
                // Scores, then the weighted sum of values.
                let macs = 2 * op.batch * op.heads * op.queries * op.tokens * op.head_width;
                (macs, 2 * op.heads * size_of::<f32>())
            }
            Self::PoolAttention(op) => {
                let width = op.heads * op.head_width;
                let scales = 2 * op.heads * size_of::<f32>();
                (2 * op.batch * op.tokens * width, width + scales)
            }
            Self::Merge(op) => {
                let shape = &op.shape;
                let pairs = shape.batch * shape.sources() * shape.targets();
                let (class, scales) = match op.ranking {
                    Ranking::Similarity => (0, 0),
                    // One query a head over the tokens behind the prefix.
                    Ranking::ClassAttention => (
                        shape.batch * (shape.tokens - shape.prefix) * shape.heads,
                        shape.heads * size_of::<f32>(),
                    ),
                };
                ((pairs + class) * shape.head_width, scales)
            }
            // Three frequencies for each pair of channels.
            Self::Rotary(op) => (0, op.tables * op.head_width / 2 * 3 * size_of::<f32>()),
            Self::LayerNorm(op) => (0, norm_bytes(op.width)),
            Self::FinalNorm(op) => (0, norm_bytes(op.width)),
            Self::Head(op) => (
                2 * op.rows * op.inputs * op.outputs,
                linear_bytes(op.inputs, op.outputs),
            ),
            Self::Patchify(_) | Self::ResetSizes(_) | Self::Pool(_) => (0, 0),
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
