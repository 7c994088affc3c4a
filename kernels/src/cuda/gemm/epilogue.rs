//! What a linear layer makes of its sums.

use super::super::address::Address;

/// What happens to the sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Epilogue {
    /// To i8.
    Requantize,
    /// GELU, then to i8.
    Gelu {
        /// One over the output's quantization step.
        inverse_scale: f32,
        /// The integer that stands for zero.
        zero_point: f32,
    },
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
        /// Whether row 0 of an image is a class token.
        class_token: bool,
    },
}

/// An [`Epilogue`] without its operands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EpilogueKind {
    /// [`Epilogue::Requantize`]
    Requantize,
    /// [`Epilogue::Gelu`]
    Gelu,
    /// [`Epilogue::Residual`]
    Residual,
    /// [`Epilogue::Embed`]
    Embed,
}

impl EpilogueKind {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Requantize, Self::Gelu, Self::Residual, Self::Embed];
}

impl Epilogue {
    /// Which one.
    pub const fn kind(&self) -> EpilogueKind {
        match self {
            Self::Requantize => EpilogueKind::Requantize,
            Self::Gelu { .. } => EpilogueKind::Gelu,
            Self::Residual => EpilogueKind::Residual,
            Self::Embed { .. } => EpilogueKind::Embed,
        }
    }
}
