//! What sections there may be, and what they are called.

use std::fmt;

/// What a tensor of a pack is. `C` channels, `K` patch row bytes, `T` tokens of which `P` are the prefix, `H` heads of
/// `D` channels, `A = H D`, `F` MLP channels rounded up to a multiple of 64, `V` channels of the pooled vector; `Hp`,
/// `Ap` and `Fp` are the attention pooling's. Codes ascend in file order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum TensorKind {
    /// (C, K) i8: patch embedding, columns in (y, x, colour) order, zero beyond `3 p^2`.
    PatchWeight = 1,
    /// (1, C) f32
    PatchScale = 2,
    /// (1, C) f32
    PatchBias = 3,
    /// (T, C) f32: position embedding; the first P rows are the prefix's tokens plus their positions.
    Position = 4,
    /// (1, 12) f32: the activation's limit, map and polynomial.
    Activation = 5,
    /// (1, C) f32: norm before the layers, in real units.
    PreNormGain = 6,
    /// (1, C) f32
    PreNormBias = 7,
    /// (D / 2, 3) f32: turns a row of patches, turns a column, turns at (0, 0), where all layers and heads share them.
    RotaryFrequency = 8,
    /// (1, C) f32
    Norm1Gain = 16,
    /// (1, C) f32
    Norm1Bias = 17,
    /// (3A, C) i8: query, key and value rows.
    QkvWeight = 18,
    /// (1, 3A) f32
    QkvScale = 19,
    /// (1, 3A) f32
    QkvBias = 20,
    /// (H D / 2, 3) f32: as [`Self::RotaryFrequency`], of each head of this layer.
    LayerRotaryFrequency = 21,
    /// (1, H) f32: from an integer score to log2 units.
    ScoreScale = 22,
    /// (1, H) f32: from value units to the context's step.
    ContextScale = 23,
    /// (C, A) i8: projection after attention.
    ProjWeight = 24,
    /// (1, C) f32
    ProjScale = 25,
    /// (1, C) f32
    ProjBias = 26,
    /// (1, C) f32
    Norm2Gain = 27,
    /// (1, C) f32
    Norm2Bias = 28,
    /// (F, C) i8: first linear layer of the MLP; with a gate (2F, C), gate and value rows alternating.
    Fc1Weight = 29,
    /// (1, F) or (1, 2F) f32
    Fc1Scale = 30,
    /// (1, F) or (1, 2F) f32
    Fc1Bias = 31,
    /// (2, F) f32: one over the step of each channel of the activation's output, then their zero points, integers from
    /// -127 to 127.
    HiddenQuantization = 32,
    /// (1, F) f32: norm inside a gated MLP.
    InnerNormGain = 33,
    /// (1, F) f32
    InnerNormBias = 34,
    /// (C, F) i8: second linear layer of the MLP.
    Fc2Weight = 35,
    /// (1, C) f32
    Fc2Scale = 36,
    /// (1, C) f32
    Fc2Bias = 37,
    /// (1, C) f32: norm of all tokens before pooling, in real units, or in steps of the attention pooling's input.
    TokenNormGain = 48,
    /// (1, C) f32
    TokenNormBias = 49,
    /// (1, Ap) i8: the query that pools.
    PoolQuery = 50,
    /// (2Ap, C) i8: key and value rows.
    PoolKeyValueWeight = 51,
    /// (1, 2Ap) f32
    PoolKeyValueScale = 52,
    /// (1, 2Ap) f32
    PoolKeyValueBias = 53,
    /// (1, Hp) f32
    PoolScoreScale = 54,
    /// (1, Hp) f32
    PoolContextScale = 55,
    /// (C, Ap) i8
    PoolProjWeight = 56,
    /// (1, C) f32
    PoolProjScale = 57,
    /// (1, C) f32
    PoolProjBias = 58,
    /// (1, C) f32: norm before the MLP that follows.
    PoolNormGain = 59,
    /// (1, C) f32
    PoolNormBias = 60,
    /// (Fp, C) i8
    PoolFc1Weight = 61,
    /// (1, Fp) f32
    PoolFc1Scale = 62,
    /// (1, Fp) f32
    PoolFc1Bias = 63,
    /// (2, Fp) f32: as [`Self::HiddenQuantization`].
    PoolHiddenQuantization = 64,
    /// (C, Fp) i8
    PoolFc2Weight = 65,
    /// (1, C) f32
    PoolFc2Scale = 66,
    /// (1, C) f32
    PoolFc2Bias = 67,
    /// (1, C) f32, or (1, V) where it only scales: last norm, in steps of the 16-bit head input, or in real units
    /// where there is no head.
    FinalNormGain = 68,
    /// (1, C) or (1, V) f32
    FinalNormBias = 69,
    /// (outputs, V) i8
    HeadWeight = 70,
    /// (1, outputs) f32
    HeadScale = 71,
    /// (1, outputs) f32
    HeadBias = 72,
    /// (classes, outputs) f32: what embeddings are scored by. Rows of length 1 where cosines are, weights of the
    /// embedding as the network gives it where that is linear.
    ClassVector = 73,
    /// (1, classes) f32: added to the scores of a linear classifier.
    ClassBias = 74,
    /// (classes, outputs) f32: what embeddings of a class are near to, one row of length 1 a class.
    ClassCenter = 75,
    /// (1, classes) f32: smallest cosine with the center at which an embedding is of the class.
    ClassThreshold = 76,
}

impl TensorKind {
    /// Whether it belongs to the classifier of embeddings, which the host computes.
    pub(crate) const fn is_classifier(self) -> bool {
        self as u32 >= Self::ClassVector as u32
    }
}

/// Element type of a section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum DType {
    /// UTF-8 text.
    Text = 0,
    /// Signed bytes from -127 to 127.
    I8 = 1,
    /// IEEE 754 binary32, finite.
    F32 = 2,
}

impl DType {
    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            Self::Text | Self::I8 => 1,
            Self::F32 => 4,
        }
    }
}

impl fmt::Display for TensorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
