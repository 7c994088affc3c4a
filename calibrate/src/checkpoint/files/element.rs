//! Types of a tensor's elements.

use half::{bf16, f16};

/// The type of a tensor's elements, as little-endian bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::checkpoint) enum Element {
    /// IEEE 754 binary16.
    F16,
    /// The upper half of an f32.
    BF16,
    /// IEEE 754 binary32.
    F32,
    /// IEEE 754 binary64.
    F64,
    /// A type that no weight is stored in, by its name: integers, truth values, eight bits.
    Other(&'static str),
}

impl Element {
    /// Bytes of one element; none for types that are not read.
    pub(super) fn size(self) -> Option<usize> {
        match self {
            Self::F16 | Self::BF16 => Some(2),
            Self::F32 => Some(4),
            Self::F64 => Some(8),
            Self::Other(_) => None,
        }
    }

    /// Whether weights are stored in it.
    pub(super) fn is_read(self) -> bool {
        self.size().is_some()
    }

    /// What errors call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::F32 => "F32",
            Self::F64 => "F64",
            Self::Other(name) => name,
        }
    }

    /// Elements one after the other, f64 rounded to f32. Nothing for types that are not read.
    pub(super) fn decode(self, data: &[u8]) -> Vec<f32> {
        let (pairs, _) = data.as_chunks::<2>();
        let (words, _) = data.as_chunks::<4>();
        let (doubles, _) = data.as_chunks::<8>();
        match self {
            Self::F16 => pairs
                .iter()
                .map(|&b| f16::from_le_bytes(b).to_f32())
                .collect(),
            Self::BF16 => pairs
                .iter()
                .map(|&b| bf16::from_le_bytes(b).to_f32())
                .collect(),
            Self::F32 => words.iter().map(|&b| f32::from_le_bytes(b)).collect(),
            Self::F64 => doubles
                .iter()
                .map(|&b| f64::from_le_bytes(b) as f32)
                .collect(),
            Self::Other(_) => Vec::new(),
        }
    }
}
