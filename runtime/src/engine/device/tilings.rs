//! How linear layers are spread over a device: as a model of it says, or as it was measured.

use crate::pack::Linear;
use crate::plan::{EmbedOp, LinearOp, Op};
use mergevit_kernels::cuda::Target;
use mergevit_kernels::cuda::gemm::{Shape, Tiling};
use std::collections::HashMap;

/// A linear layer as far as its time depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Layer {
    pub(super) linear: Linear,
    pub(super) shape: Shape,
}

impl Layer {
    /// The patch embedding.
    pub(super) fn embed(op: &EmbedOp) -> Self {
        Self::new(Linear::Patch, op.rows, op.outputs, op.inputs)
    }

    /// Another one.
    pub(super) fn linear(op: &LinearOp) -> Self {
        Self::new(op.linear, op.rows, op.outputs, op.inputs)
    }

    /// Of an operation that is one, other than the classifier, which has a kernel of its own.
    pub(super) fn of(op: &Op) -> Option<Self> {
        match op {
            Op::Embed(op) => Some(Self::embed(op)),
            Op::Linear(op) => Some(Self::linear(op)),
            _ => None,
        }
    }

    fn new(linear: Linear, rows: usize, outputs: usize, inputs: usize) -> Self {
        Self {
            linear,
            shape: Shape {
                rows: rows as u32,
                outputs: outputs as u32,
                inputs: inputs as u32,
            },
        }
    }

    /// With its rows rounded up, by less than they matter: warps skip what 16 rows do not use.
    fn rounded(&self) -> Self {
        let rows = self.shape.rows;
        let grain = if rows <= 512 { 16 } else { 128 };
        let rows = rows.next_multiple_of(grain);
        Self {
            linear: self.linear,
            shape: Shape { rows, ..self.shape },
        }
    }
}

/// A tiling for every linear layer.
#[derive(Clone, Debug)]
pub(super) struct Tilings {
    target: Target,
    /// Whether measurements are to come.
    open: bool,
    measured: HashMap<Layer, Tiling>,
}

impl Tilings {
    /// As the model of a device says; if `open`, until something else is [`set`](Self::set).
    pub(super) fn new(target: Target, open: bool) -> Self {
        Self {
            target,
            open,
            measured: HashMap::new(),
        }
    }

    /// What the launches are for.
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    pub(super) fn of(&self, layer: &Layer) -> Tiling {
        let measured = self.measured.get(&layer.rounded());
        measured.copied().unwrap_or_else(|| self.modelled(layer))
    }

    /// The model's choice.
    fn modelled(&self, layer: &Layer) -> Tiling {
        Tiling::best(&self.shape(layer), &self.target)
    }

    /// What is measured is measured for several numbers of rows.
    fn shape(&self, layer: &Layer) -> Shape {
        match self.open {
            true => layer.rounded().shape,
            false => layer.shape,
        }
    }

    /// Every tiling that [`of`](Self::of) may ever be, the model's choice first.
    pub(super) fn possible(&self, layer: &Layer) -> Vec<Tiling> {
        match self.open {
            true => Tiling::candidates(&self.shape(layer), &self.target),
            false => vec![self.modelled(layer)],
        }
    }

    pub(super) fn is_known(&self, layer: &Layer) -> bool {
        self.measured.contains_key(&layer.rounded())
    }

    /// For this layer and those that differ from it by a few rows.
    pub(super) fn set(&mut self, layer: &Layer, tiling: Tiling) {
        self.measured.insert(layer.rounded(), tiling);
    }
}
