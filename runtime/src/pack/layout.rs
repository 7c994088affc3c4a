//! Which sections a pack has: fully determined by its configuration.
//!
//! [`TENSORS`] says it all, one row a tensor, in file order: when a model has it, and its shape. Checks, the section
//! table, indices and reports follow from it.

use super::kind::{DType, TensorKind};
use crate::config::{AttentionPooling, Mlp, ModelConfig, RotaryKind};
use mergevit_kernels::math::ACTIVATION_TERMS;
use std::fmt;

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
    Classifier,
    LinearClassifier,
    Unknown,
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
            Self::Classifier => model.classifier.is_some(),
            Self::LinearClassifier => model.classifier.is_some_and(|own| own.is_linear()),
            Self::Unknown => model.unknown,
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
    Always, AttentionPooling as Attentive, Classifier, Head, InnerNorm, LayerRotary,
    LinearClassifier, PlainMlp, PreNorm, SharedRotary, TokenNorm, Unknown,
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
const LABELS: Dimension = |m| m.labels.len();

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
    floats(Kind::HiddenQuantization, PlainMlp, |_| 2, MLP),
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
    floats(Kind::PoolHiddenQuantization, Attentive, |_| 2, POOL_MLP),
    matrix(Kind::PoolFc2Weight, Attentive, WIDTH, POOL_MLP),
    vector(Kind::PoolFc2Scale, Attentive, WIDTH),
    vector(Kind::PoolFc2Bias, Attentive, WIDTH),
    vector(Kind::FinalNormGain, Always, ModelConfig::final_norm_width),
    vector(Kind::FinalNormBias, Always, ModelConfig::final_norm_width),
    matrix(Kind::HeadWeight, Head, OUTPUTS, ModelConfig::pooled_width),
    vector(Kind::HeadScale, Head, OUTPUTS),
    vector(Kind::HeadBias, Head, OUTPUTS),
    floats(Kind::ClassVector, Classifier, LABELS, OUTPUTS),
    vector(Kind::ClassBias, LinearClassifier, LABELS),
    floats(Kind::ClassCenter, Unknown, LABELS, OUTPUTS),
    vector(Kind::ClassThreshold, Unknown, LABELS),
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
const CODES: usize = 1 + TensorKind::ClassThreshold as usize;

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
