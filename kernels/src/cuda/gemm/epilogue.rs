//! What a linear layer makes of its sums.

use super::super::address::Address;
use crate::math::Activation;

/// What happens to the sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Epilogue {
    /// To i8.
    Requantize,
    /// Queries and keys are turned by their token's position, then everything goes to i8.
    Rotate {
        /// (M, R, D) f32: cosine and sine of each pair of channels.
        table: Address,
        /// H
        heads: u32,
        /// D
        head_width: u32,
        /// Whether all heads share one table: R is 1, else H.
        shared: bool,
    },
    /// An activation, then to i8.
    Activate {
        /// The function.
        activation: Activation,
        /// (2, N) f32: one over each column's quantization step, then the integers that stand for zero.
        steps: Address,
    },
    /// The activation of each even column times the odd one after it, to i8.
    Gate {
        /// The function.
        activation: Activation,
    },
    /// The same to f16.
    GateHalf {
        /// The function.
        activation: Activation,
    },
    /// To f16.
    Half,
    /// Added to the residual stream.
    Residual,
    /// The residual stream's first content, and token sizes of 1.
    Embed {
        /// (T, N) f32
        position: Address,
        /// (B, T) u32
        sizes: Address,
        /// B
        batch: u32,
        /// P: rows of an image before its patches.
        prefix: u32,
    },
}

/// A module of linear layers: an [`Epilogue`] without its operands, where one module runs several with those of the
/// most general one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EpilogueKind {
    /// [`Epilogue::Requantize`]
    Requantize,
    /// [`Epilogue::Rotate`]
    Rotate,
    /// [`Epilogue::Activate`]
    Activate,
    /// [`Epilogue::Gate`], [`Epilogue::GateHalf`]
    Gate,
    /// [`Epilogue::Residual`]
    Residual,
    /// [`Epilogue::Embed`], [`Epilogue::Half`]
    Embed,
}

impl EpilogueKind {
    /// How many there are.
    pub(crate) const COUNT: usize = 6;

    /// All of them.
    pub const ALL: [Self; Self::COUNT] = [
        Self::Requantize,
        Self::Rotate,
        Self::Activate,
        Self::Gate,
        Self::Residual,
        Self::Embed,
    ];
}

impl Epilogue {
    /// Which module runs it.
    pub const fn kind(&self) -> EpilogueKind {
        match self {
            Self::Requantize => EpilogueKind::Requantize,
            Self::Rotate { .. } => EpilogueKind::Rotate,
            Self::Activate { .. } => EpilogueKind::Activate,
            Self::Gate { .. } | Self::GateHalf { .. } => EpilogueKind::Gate,
            Self::Residual => EpilogueKind::Residual,
            Self::Embed { .. } | Self::Half => EpilogueKind::Embed,
        }
    }
}
