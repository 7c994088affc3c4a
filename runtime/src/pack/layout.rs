//! Which sections a pack has: fully determined by its configuration.
//!
//! [`TENSORS`] says it all, one row a tensor, in file order: when a model has it, and its shape. Checks, the section
//! table, indices and reports follow from it.

use crate::config::{AttentionPooling, Mlp, ModelConfig, RotaryKind};
use mergevit_kernels::math::ACTIVATION_TERMS;
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
    /// (1, 2) f32: one over the activation's step, and its zero point, an integer from -127 to 127.
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
    /// (1, 2) f32: as [`Self::HiddenQuantization`].
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
    /// (names, outputs) f32: what embeddings are compared with, one row of length 1 a class.
    TextEmbedding = 73,
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

/// When a model has a tensor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    PreNorm,
    SharedRotary,
    LayerRotary,
    PlainMlp,
    InnerNorm,
    TokenNorm,
    AttentionPooling,
    Head,
    ZeroShot,
}

impl When {
    fn holds(self, model: &ModelConfig) -> bool {
        match self {
            Self::Always => true,
            Self::PreNorm => model.pre_norm,
            Self::SharedRotary => model.rotary == RotaryKind::Shared,
            Self::LayerRotary => model.rotary == RotaryKind::PerLayer,
            Self::PlainMlp => model.mlp == Mlp::Plain,
            Self::InnerNorm => model.mlp == Mlp::GatedNorm,
            Self::TokenNorm => model.token_norm,
            Self::AttentionPooling => model.attention_pooling.is_some(),
            Self::Head => model.head,
            Self::ZeroShot => model.zero_shot.is_some(),
        }
    }
}

/// Rows or columns of a tensor in a model that has it.
type Dimension = fn(&ModelConfig) -> usize;

/// One row of [`TENSORS`].
struct Tensor {
    kind: TensorKind,
    dtype: DType,
    when: When,
    rows: Dimension,
    columns: Dimension,
}

const fn matrix(kind: TensorKind, when: When, rows: Dimension, columns: Dimension) -> Tensor {
    Tensor {
        kind,
        dtype: DType::I8,
        when,
        rows,
        columns,
    }
}

const fn floats(kind: TensorKind, when: When, rows: Dimension, columns: Dimension) -> Tensor {
    Tensor {
        kind,
        dtype: DType::F32,
        when,
        rows,
        columns,
    }
}

const fn vector(kind: TensorKind, when: When, columns: Dimension) -> Tensor {
    floats(kind, when, |_| 1, columns)
}

/// A dimension of the attention pooling.
fn pooling(model: &ModelConfig, dimension: fn(&AttentionPooling) -> usize) -> usize {
    model.attention_pooling.as_ref().map_or(0, dimension)
}

use TensorKind as Kind;
use When::{
    Always, AttentionPooling as Attentive, Head, InnerNorm, LayerRotary, PlainMlp, PreNorm,
    SharedRotary, TokenNorm, ZeroShot,
};

const WIDTH: Dimension = |m| m.width;
const QKV: Dimension = |m| 3 * m.attention_width();
const HEADS: Dimension = |m| m.heads;
const FC1: Dimension = ModelConfig::fc1_outputs;
const MLP: Dimension = ModelConfig::mlp_row;
const POOL_WIDTH: Dimension = |m| pooling(m, AttentionPooling::width);
const POOL_KEY_VALUE: Dimension = |m| 2 * pooling(m, AttentionPooling::width);
const POOL_HEADS: Dimension = |m| pooling(m, |p| p.heads);
const POOL_MLP: Dimension = |m| pooling(m, AttentionPooling::mlp_row);
const OUTPUTS: Dimension = |m| m.classes;

/// Tensors before the layers.
const EMBEDDING: &[Tensor] = &[
    matrix(Kind::PatchWeight, Always, WIDTH, ModelConfig::patch_row),
    vector(Kind::PatchScale, Always, WIDTH),
    vector(Kind::PatchBias, Always, WIDTH),
    floats(Kind::Position, Always, ModelConfig::tokens, WIDTH),
    vector(Kind::Activation, Always, |_| 2 + ACTIVATION_TERMS),
    vector(Kind::PreNormGain, PreNorm, WIDTH),
    vector(Kind::PreNormBias, PreNorm, WIDTH),
    floats(
        Kind::RotaryFrequency,
        SharedRotary,
        |m| m.head_width / 2,
        |_| 3,
    ),
];

/// Tensors of one layer.
const LAYER: &[Tensor] = &[
    vector(Kind::Norm1Gain, Always, WIDTH),
    vector(Kind::Norm1Bias, Always, WIDTH),
    matrix(Kind::QkvWeight, Always, QKV, WIDTH),
    vector(Kind::QkvScale, Always, QKV),
    vector(Kind::QkvBias, Always, QKV),
    floats(
        Kind::LayerRotaryFrequency,
        LayerRotary,
        |m| m.attention_width() / 2,
        |_| 3,
    ),
    vector(Kind::ScoreScale, Always, HEADS),
    vector(Kind::ContextScale, Always, HEADS),
    matrix(
        Kind::ProjWeight,
        Always,
        WIDTH,
        ModelConfig::attention_width,
    ),
    vector(Kind::ProjScale, Always, WIDTH),
    vector(Kind::ProjBias, Always, WIDTH),
    vector(Kind::Norm2Gain, Always, WIDTH),
    vector(Kind::Norm2Bias, Always, WIDTH),
    matrix(Kind::Fc1Weight, Always, FC1, WIDTH),
    vector(Kind::Fc1Scale, Always, FC1),
    vector(Kind::Fc1Bias, Always, FC1),
    vector(Kind::HiddenQuantization, PlainMlp, |_| 2),
    vector(Kind::InnerNormGain, InnerNorm, MLP),
    vector(Kind::InnerNormBias, InnerNorm, MLP),
    matrix(Kind::Fc2Weight, Always, WIDTH, MLP),
    vector(Kind::Fc2Scale, Always, WIDTH),
    vector(Kind::Fc2Bias, Always, WIDTH),
];

/// Tensors after the layers.
const TAIL: &[Tensor] = &[
    vector(Kind::TokenNormGain, TokenNorm, WIDTH),
    vector(Kind::TokenNormBias, TokenNorm, WIDTH),
    matrix(Kind::PoolQuery, Attentive, |_| 1, POOL_WIDTH),
    matrix(Kind::PoolKeyValueWeight, Attentive, POOL_KEY_VALUE, WIDTH),
    vector(Kind::PoolKeyValueScale, Attentive, POOL_KEY_VALUE),
    vector(Kind::PoolKeyValueBias, Attentive, POOL_KEY_VALUE),
    vector(Kind::PoolScoreScale, Attentive, POOL_HEADS),
    vector(Kind::PoolContextScale, Attentive, POOL_HEADS),
    matrix(Kind::PoolProjWeight, Attentive, WIDTH, POOL_WIDTH),
    vector(Kind::PoolProjScale, Attentive, WIDTH),
    vector(Kind::PoolProjBias, Attentive, WIDTH),
    vector(Kind::PoolNormGain, Attentive, WIDTH),
    vector(Kind::PoolNormBias, Attentive, WIDTH),
    matrix(Kind::PoolFc1Weight, Attentive, POOL_MLP, WIDTH),
    vector(Kind::PoolFc1Scale, Attentive, POOL_MLP),
    vector(Kind::PoolFc1Bias, Attentive, POOL_MLP),
    vector(Kind::PoolHiddenQuantization, Attentive, |_| 2),
    matrix(Kind::PoolFc2Weight, Attentive, WIDTH, POOL_MLP),
    vector(Kind::PoolFc2Scale, Attentive, WIDTH),
    vector(Kind::PoolFc2Bias, Attentive, WIDTH),
    vector(Kind::FinalNormGain, Always, ModelConfig::final_norm_width),
    vector(Kind::FinalNormBias, Always, ModelConfig::final_norm_width),
    matrix(Kind::HeadWeight, Head, OUTPUTS, ModelConfig::pooled_width),
    vector(Kind::HeadScale, Head, OUTPUTS),
    vector(Kind::HeadBias, Head, OUTPUTS),
    floats(Kind::TextEmbedding, ZeroShot, |m| m.labels.len(), OUTPUTS),
];

fn rows() -> impl Iterator<Item = &'static Tensor> {
    EMBEDDING.iter().chain(LAYER).chain(TAIL)
}

/// How many of `tensors` every model has, if `optional` is false, or at most has.
const fn count(tensors: &[Tensor], optional: bool) -> usize {
    let (mut count, mut at) = (0, 0);
    while at < tensors.len() {
        if optional || matches!(tensors[at].when, Always) {
            count += 1;
        }
        at += 1;
    }
    count
}

/// Bounds on the sections of a pack of `depth` layers: of the plainest model, or, if `optional`, of one that has all
/// there is.
pub(super) const fn section_bound(depth: usize, optional: bool) -> usize {
    1 + count(EMBEDDING, optional) + depth * count(LAYER, optional) + count(TAIL, optional)
}

impl TensorKind {
    /// Every kind, in file order.
    pub fn all() -> impl Iterator<Item = Self> {
        rows().map(|row| row.kind)
    }

    /// The kinds that a model of this configuration has, in file order.
    pub fn of(config: &ModelConfig) -> impl Iterator<Item = Self> {
        rows()
            .filter(|row| row.when.holds(config))
            .map(|row| row.kind)
    }

    fn row(self) -> &'static Tensor {
        rows()
            .find(|row| row.kind == self)
            .expect("the table has every kind")
    }

    pub(super) fn from_code(code: u32) -> Option<Self> {
        Self::all().find(|&kind| kind as u32 == code)
    }

    /// Whether each layer has one of its own.
    pub fn is_layer(self) -> bool {
        LAYER.iter().any(|row| row.kind == self)
    }

    /// Element type.
    pub fn dtype(self) -> DType {
        self.row().dtype
    }

    /// Whether a model of this configuration has it.
    pub fn is_in(self, config: &ModelConfig) -> bool {
        self.row().when.holds(config)
    }

    /// (rows, columns) in a model of this configuration; (0, 0) if it has none.
    pub fn shape(self, config: &ModelConfig) -> (usize, usize) {
        let row = self.row();
        match row.when.holds(config) {
            true => ((row.rows)(config), (row.columns)(config)),
            false => (0, 0),
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
    pub fn dtype(self) -> DType {
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

/// Beyond the largest code of a kind.
const CODES: usize = 1 + TensorKind::TextEmbedding as usize;

/// The tensors of one model, and where each stands in the section table. Looking one up is a few instructions: it
/// happens in every frame.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    /// By code: the place among the tensors before the layers, of a layer, or after them.
    places: [Option<u8>; CODES],
    /// How many there are of each.
    counts: [usize; 3],
    depth: usize,
}

impl Layout {
    pub(crate) fn new(config: &ModelConfig) -> Self {
        let mut places = [None; CODES];
        let counts = [EMBEDDING, LAYER, TAIL].map(|tensors| {
            let present = tensors.iter().filter(|row| row.when.holds(config));
            let mut count = 0;
            for (place, row) in present.enumerate() {
                places[row.kind as usize] = Some(place as u8);
                count = place + 1;
            }
            count
        });
        Self {
            places,
            counts,
            depth: config.depth,
        }
    }

    /// Sections, the metadata's included.
    pub(crate) fn sections(&self) -> usize {
        let [embedding, layer, tail] = self.counts;
        1 + embedding + self.depth * layer + tail
    }

    /// Index of a tensor's section in the table; `None` if the model has no such tensor.
    pub(crate) fn index(&self, kind: TensorKind, layer: Option<usize>) -> Option<usize> {
        let [embedding, of_layer, _] = self.counts;
        let place = usize::from(self.places[kind as usize]?);
        let is_layer = (Kind::Norm1Gain as u32..=Kind::Fc2Bias as u32).contains(&(kind as u32));
        match layer {
            Some(layer) if is_layer && layer < self.depth => {
                Some(1 + embedding + layer * of_layer + place)
            }
            None if !is_layer && (kind as u32) < Kind::Norm1Gain as u32 => Some(1 + place),
            None if !is_layer => Some(1 + embedding + self.depth * of_layer + place),
            _ => None,
        }
    }

    /// Kind and layer of every tensor, in file order.
    pub(crate) fn tensors(&self) -> impl Iterator<Item = (TensorKind, Option<usize>)> {
        let has = |row: &&Tensor| self.places[row.kind as usize].is_some();
        let outside = move |tensors: &'static [Tensor]| {
            tensors.iter().filter(has).map(|row| (row.kind, None))
        };
        let layers = (0..self.depth).flat_map(move |layer| {
            LAYER
                .iter()
                .filter(has)
                .map(move |row| (row.kind, Some(layer)))
        });
        outside(EMBEDDING).chain(layers).chain(outside(TAIL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::MAX_LAYERS;
    use crate::testing;

    #[test]
    fn index_is_the_position_in_file_order() {
        for (name, mut config) in testing::family() {
            for depth in [1, 2, MAX_LAYERS] {
                config.depth = depth;
                let layout = Layout::new(&config);
                for (position, (kind, layer)) in layout.tensors().enumerate() {
                    assert_eq!(layout.index(kind, layer), Some(1 + position), "{name}");
                    assert_eq!(kind.is_layer(), layer.is_some());
                    assert!(kind.is_in(&config));
                    assert_eq!(layout.index(kind, Some(depth)), None);
                }
                assert_eq!(layout.tensors().count() + 1, layout.sections());
                assert!(layout.sections() >= section_bound(depth, false));
                assert!(layout.sections() <= section_bound(depth, true));
                let absent = TensorKind::all().filter(|kind| !kind.is_in(&config));
                for kind in absent {
                    assert_eq!(kind.shape(&config), (0, 0));
                    assert_eq!(layout.index(kind, kind.is_layer().then_some(0)), None);
                }
            }
        }
    }

    /// What [`Layout::index`] takes for granted.
    #[test]
    fn codes_ascend_in_file_order() {
        let codes: Vec<u32> = TensorKind::all().map(|kind| kind as u32).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        let layer = (Kind::Norm1Gain as u32, Kind::Fc2Bias as u32);
        for kind in TensorKind::all() {
            let between = (layer.0..=layer.1).contains(&(kind as u32));
            assert_eq!(kind.is_layer(), between, "{kind}");
        }
    }

    #[test]
    fn every_tensor_is_in_some_model() {
        for kind in TensorKind::all() {
            let mut models = testing::family().into_iter();
            assert!(models.any(|(_, config)| kind.is_in(&config)), "{kind}");
        }
    }

    /// Code and name of each section that a row of FORMAT.md's table stands for: `52, 53 | PoolKeyValueScale, -Bias`.
    fn documented(row: &str) -> Vec<(u32, String)> {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let codes = cells[1]
            .split(", ")
            .map(|code| code.parse().expect("a code"));
        let mut names: Vec<String> = Vec::new();
        for name in cells[2].split(", ") {
            names.push(match name.strip_prefix('-') {
                None => name.into(),
                Some(end) => {
                    let before = names.last().expect("a name before");
                    let word = before.rfind(char::is_uppercase).expect("words");
                    format!("{}{end}", &before[..word])
                }
            });
        }
        codes.zip(names).collect()
    }

    #[test]
    fn the_format_lists_every_section() {
        let format = include_str!("../../FORMAT.md");
        let (_, table) = format.split_once("| code | name |").expect("the table");
        let (table, _) = table.split_once("\n\n").expect("its end");
        let rows = table.lines().filter(|row| {
            let code = row.trim_start_matches("| ");
            code.starts_with(|c: char| c.is_ascii_digit())
        });
        let documented: Vec<_> = rows.flat_map(documented).collect();
        let tensors = TensorKind::all().map(SectionKind::Tensor);
        let kinds = std::iter::once(SectionKind::Metadata).chain(tensors);
        let expected: Vec<_> = kinds.map(|kind| (kind.code(), kind.to_string())).collect();
        assert_eq!(documented, expected);
    }

    #[test]
    fn codes_round_trip() {
        for kind in TensorKind::all() {
            let section = SectionKind::Tensor(kind);
            assert_eq!(SectionKind::from_code(section.code()), Some(section));
        }
        assert_eq!(SectionKind::from_code(9), None);
        assert_eq!(SectionKind::from_code(u32::MAX), None);
    }
}
