//! Which sections a pack has: fully determined by its configuration.

use crate::config::ModelConfig;
use std::fmt;

/// What a tensor of a pack is. `C` channels, `K` patch row bytes, `T` tokens, `H` heads, `F` MLP channels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum TensorKind {
    /// (C, K) i8: patch embedding, columns in (y, x, colour) order, zero beyond `3 p^2`.
    PatchWeight = 1,
    /// (1, C) f32
    PatchScale = 2,
    /// (1, C) f32
    PatchBias = 3,
    /// (T, C) f32: position embedding; row 0 is class token plus its position where there is one.
    Position = 4,
    /// (1, C) f32
    Norm1Gain = 16,
    /// (1, C) f32
    Norm1Bias = 17,
    /// (3C, C) i8: query, key and value rows.
    QkvWeight = 18,
    /// (1, 3C) f32
    QkvScale = 19,
    /// (1, 3C) f32
    QkvBias = 20,
    /// (1, H) f32: from an integer score to log2 units.
    ScoreScale = 21,
    /// (1, H) f32: from value units to the context's step.
    ContextScale = 22,
    /// (C, C) i8: projection after attention.
    ProjWeight = 23,
    /// (1, C) f32
    ProjScale = 24,
    /// (1, C) f32
    ProjBias = 25,
    /// (1, C) f32
    Norm2Gain = 26,
    /// (1, C) f32
    Norm2Bias = 27,
    /// (F, C) i8: first linear layer of the MLP.
    Fc1Weight = 28,
    /// (1, F) f32
    Fc1Scale = 29,
    /// (1, F) f32
    Fc1Bias = 30,
    /// (1, 2) f32: one over the GELU output's step, and its zero point, an integer from -127 to 127.
    GeluQuantization = 31,
    /// (C, F) i8: second linear layer of the MLP.
    Fc2Weight = 32,
    /// (1, C) f32
    Fc2Scale = 33,
    /// (1, C) f32
    Fc2Bias = 34,
    /// (1, C) f32: last layer norm, in steps of the 16-bit head input.
    FinalNormGain = 48,
    /// (1, C) f32
    FinalNormBias = 49,
    /// (classes, C) i8
    HeadWeight = 50,
    /// (1, classes) f32
    HeadScale = 51,
    /// (1, classes) f32
    HeadBias = 52,
}

use TensorKind as Kind;

/// Sections before the layers, in file order, after the metadata.
const EMBEDDING: [Kind; 4] = [
    Kind::PatchWeight,
    Kind::PatchScale,
    Kind::PatchBias,
    Kind::Position,
];

/// Sections of one layer, in file order.
const LAYER: [Kind; 19] = [
    Kind::Norm1Gain,
    Kind::Norm1Bias,
    Kind::QkvWeight,
    Kind::QkvScale,
    Kind::QkvBias,
    Kind::ScoreScale,
    Kind::ContextScale,
    Kind::ProjWeight,
    Kind::ProjScale,
    Kind::ProjBias,
    Kind::Norm2Gain,
    Kind::Norm2Bias,
    Kind::Fc1Weight,
    Kind::Fc1Scale,
    Kind::Fc1Bias,
    Kind::GeluQuantization,
    Kind::Fc2Weight,
    Kind::Fc2Scale,
    Kind::Fc2Bias,
];

/// Sections after the layers, in file order.
const CLASSIFIER: [Kind; 5] = [
    Kind::FinalNormGain,
    Kind::FinalNormBias,
    Kind::HeadWeight,
    Kind::HeadScale,
    Kind::HeadBias,
];

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

impl TensorKind {
    /// Every kind, in file order.
    pub fn all() -> impl Iterator<Item = Self> {
        EMBEDDING.into_iter().chain(LAYER).chain(CLASSIFIER)
    }

    pub(super) fn from_code(code: u32) -> Option<Self> {
        Self::all().find(|&kind| kind as u32 == code)
    }

    /// Whether each layer has one of its own.
    pub fn is_layer(self) -> bool {
        LAYER.contains(&self)
    }

    /// Element type.
    pub const fn dtype(self) -> DType {
        match self {
            Self::PatchWeight
            | Self::QkvWeight
            | Self::ProjWeight
            | Self::Fc1Weight
            | Self::Fc2Weight
            | Self::HeadWeight => DType::I8,
            _ => DType::F32,
        }
    }

    /// (rows, columns) in a model of this configuration.
    pub const fn shape(self, config: &ModelConfig) -> (usize, usize) {
        let (c, f) = (config.width, config.mlp_width);
        match self {
            Self::PatchWeight => (c, config.patch_row()),
            Self::Position => (config.tokens(), c),
            Self::QkvWeight => (3 * c, c),
            Self::QkvScale | Self::QkvBias => (1, 3 * c),
            Self::ScoreScale | Self::ContextScale => (1, config.heads),
            Self::ProjWeight => (c, c),
            Self::Fc1Weight => (f, c),
            Self::Fc1Scale | Self::Fc1Bias => (1, f),
            Self::GeluQuantization => (1, 2),
            Self::Fc2Weight => (c, f),
            Self::HeadWeight => (config.classes, c),
            Self::HeadScale | Self::HeadBias => (1, config.classes),
            Self::PatchScale
            | Self::PatchBias
            | Self::Norm1Gain
            | Self::Norm1Bias
            | Self::ProjScale
            | Self::ProjBias
            | Self::Norm2Gain
            | Self::Norm2Bias
            | Self::Fc2Scale
            | Self::Fc2Bias
            | Self::FinalNormGain
            | Self::FinalNormBias => (1, c),
        }
    }

    /// Index of its section in the table; `layer` counts only for kinds that every layer has.
    pub(crate) fn index(self, layer: usize, depth: usize) -> usize {
        let position = |kinds: &[Self]| kinds.iter().position(|&kind| kind == self);
        let layers = 1 + EMBEDDING.len();
        if let Some(index) = position(&LAYER) {
            layers + layer * LAYER.len() + index
        } else if let Some(index) = position(&CLASSIFIER) {
            layers + depth * LAYER.len() + index
        } else {
            1 + self as usize - Self::PatchWeight as usize
        }
    }
}

impl fmt::Display for TensorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What a section is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SectionKind {
    /// The JSON metadata, always the first section.
    Metadata,
    /// A tensor.
    Tensor(TensorKind),
}

impl SectionKind {
    pub(super) fn code(self) -> u32 {
        match self {
            Self::Metadata => 0,
            Self::Tensor(kind) => kind as u32,
        }
    }

    pub(super) fn from_code(code: u32) -> Option<Self> {
        if code == 0 {
            Some(Self::Metadata)
        } else {
            TensorKind::from_code(code).map(Self::Tensor)
        }
    }

    /// Element type.
    pub const fn dtype(self) -> DType {
        match self {
            Self::Metadata => DType::Text,
            Self::Tensor(kind) => kind.dtype(),
        }
    }
}

impl fmt::Display for SectionKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Metadata => f.write_str("Metadata"),
            Self::Tensor(kind) => kind.fmt(f),
        }
    }
}

/// Kind and layer of every tensor of a model of `depth` layers, in file order.
pub(super) fn tensors(depth: usize) -> impl Iterator<Item = (TensorKind, Option<usize>)> {
    let layers = (0..depth).flat_map(|layer| LAYER.map(|kind| (kind, Some(layer))));
    EMBEDDING
        .map(|kind| (kind, None))
        .into_iter()
        .chain(layers)
        .chain(CLASSIFIER.map(|kind| (kind, None)))
}

/// Sections of a pack of `depth` layers.
pub(super) const fn section_count(depth: usize) -> usize {
    1 + EMBEDDING.len() + depth * LAYER.len() + CLASSIFIER.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_is_the_position_in_file_order() {
        for depth in [1, 2, 48] {
            for (position, (kind, layer)) in tensors(depth).enumerate() {
                assert_eq!(kind.index(layer.unwrap_or(0), depth), 1 + position);
                assert_eq!(kind.is_layer(), layer.is_some());
            }
            assert_eq!(tensors(depth).count() + 1, section_count(depth));
        }
    }

    #[test]
    fn codes_round_trip() {
        for kind in TensorKind::all() {
            let section = SectionKind::Tensor(kind);
            assert_eq!(SectionKind::from_code(section.code()), Some(section));
        }
        assert_eq!(SectionKind::from_code(5), None);
        assert_eq!(SectionKind::from_code(u32::MAX), None);
    }
}
