//! What a model computes: a few facts, independent of each other, that cover the published Vision Transformers.
//!
//! `kernels/NUMERICS.md` says what each operation means bit for bit, `plan/build/` puts them in order.

use super::classifier::EmbeddingClassifier;
use super::preprocessing::Preprocessing;
use super::{ConfigError, check, check_label, check_text, in_range};
use crate::limits::{MAX_CLASSES, MAX_LAYERS, MAX_PATCH_SIZE};
use mergevit_kernels::frame::Geometry;
use mergevit_kernels::math::Activation;
use mergevit_kernels::ops::{
    HEAD_WIDTHS, MAX_HEADS, MAX_INNER, MAX_PATCHES, MAX_PREFIX, MAX_WIDTH, NormKind, ROW_ALIGN,
};
use serde::{Deserialize, Serialize};

/// How the tokens of an image become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The first token.
    ClassToken,
    /// The first two tokens, one behind the other.
    ClassAndDistillation,
    /// The mean of the patches, each token weighted by the patches it stands for.
    Mean,
    /// That mean over all tokens, the prefix included.
    MeanAll,
    /// The first token, and behind it the mean of the patches.
    ClassAndMean,
    /// Attention of one learned query over all tokens, and an MLP.
    Attention,
}

/// What is between a layer's two halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mlp {
    /// Linear, activation, linear.
    Plain,
    /// Two linear layers side by side, one the activated gate of the other; linear (Shazeer, arXiv 2002.05202).
    Gated,
    /// Gated, with a norm before the last linear layer.
    GatedNorm,
}

/// The activation inside the MLP. The pack's `Activation` tensor holds what is computed; this is its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActivationName {
    /// With the error function.
    Gelu,
    /// With tanh.
    GeluTanh,
    /// `x / (1 + exp(-1.702 x))`
    QuickGelu,
    /// `x / (1 + exp(-x))`
    Silu,
}

impl ActivationName {
    /// What is computed by that name.
    pub const fn activation(self) -> Activation {
        match self {
            Self::Gelu => Activation::GELU,
            Self::GeluTanh => Activation::GELU_TANH,
            Self::QuickGelu => Activation::QUICK_GELU,
            Self::Silu => Activation::SILU,
        }
    }
}

/// What rows are normalized by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Normalization {
    /// Mean and standard deviation.
    Layer,
    /// Root mean square.
    Rms,
    /// Nothing.
    None,
}

impl From<Normalization> for NormKind {
    fn from(norm: Normalization) -> Self {
        match norm {
            Normalization::Layer => Self::Layer,
            Normalization::Rms => Self::Rms,
            Normalization::None => Self::None,
        }
    }
}

/// Whether queries and keys turn with their token's position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotaryKind {
    /// No.
    None,
    /// In all heads and layers alike.
    Shared,
    /// In each head of each layer by frequencies of its own.
    PerLayer,
}

/// The pooling that attends: one query, then an MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AttentionPooling {
    /// Heads.
    pub heads: usize,
    /// Channels of a head as stored, as [`ModelConfig::head_width`].
    pub head_width: usize,
    /// Channels inside the MLP.
    pub mlp_width: usize,
}

impl AttentionPooling {
    /// Channels of all heads.
    pub const fn width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Channels inside the MLP as stored.
    pub const fn mlp_row(&self) -> usize {
        self.mlp_width.next_multiple_of(ROW_ALIGN)
    }
}

/// What the network's output is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// A score for each class.
    Logits,
    /// A vector that describes the image.
    Embedding,
}

/// What scores say of classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScoreKind {
    /// One class is right: the softmax of the scores over all classes.
    #[default]
    Softmax,
    /// Any number of classes is right: the logistic function of each score.
    Sigmoid,
}

impl ScoreKind {
    fn is_softmax(&self) -> bool {
        *self == Self::Softmax
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// Architecture, labels and preprocessing of a model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Name of the architecture, for people: `vit_base_patch16_224`.
    pub architecture: String,
    /// Side of the square input in pixels. What is beyond the last whole patch, at the right and below, no token sees: a
    /// convolution without padding leaves it out too.
    pub image_size: usize,
    /// Side of the square patch in pixels.
    pub patch_size: usize,
    /// Channels of a token, C: a multiple of 64.
    pub width: usize,
    /// Layers.
    pub depth: usize,
    /// Attention heads, H.
    pub heads: usize,
    /// Channels of a head as stored, D: 32, 64, 96 or 128, so that H D is a multiple of 64. Narrower heads are padded
    /// with rows of zeros.
    pub head_width: usize,
    /// Channels inside the MLP, F. Stored rows are padded with zeros to a multiple of 64.
    pub mlp_width: usize,
    /// What the MLP is.
    pub mlp: Mlp,
    /// Its activation.
    pub activation: ActivationName,
    /// Tokens before the patches, P: class token, distillation token, registers. They never merge.
    pub prefix: usize,
    /// What every norm but the last is.
    pub norm: Normalization,
    /// Whether tokens are normalized before the first layer.
    pub pre_norm: bool,
    /// Whether queries and keys turn with the position.
    pub rotary: RotaryKind,
    /// How tokens become one vector.
    pub pooling: Pooling,
    /// Whether all tokens are normalized before they are pooled.
    pub token_norm: bool,
    /// What the norm after pooling is.
    pub final_norm: Normalization,
    /// The pooling that attends, where `pooling` is that one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention_pooling: Option<AttentionPooling>,
    /// Whether a linear layer follows.
    pub head: bool,
    /// What comes out.
    pub output: OutputKind,
    /// Outputs of the network: of the linear layer, or without it the pooled vector's channels.
    pub classes: usize,
    /// How scores become probabilities.
    #[serde(default, skip_serializing_if = "ScoreKind::is_softmax")]
    pub score_kind: ScoreKind,
    /// Added to the variance in every norm.
    pub epsilon: f32,
    /// Class names: one a class, or none at all. A model whose embedding is classified has one each.
    pub labels: Vec<String>,
    /// How an embedding is classified, where the pack has a vector for each class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<EmbeddingClassifier>,
    /// Whether an embedding can be of no class: the pack says how far from a class's center is too far.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unknown: bool,
    /// From frame to pixels.
    pub preprocessing: Preprocessing,
}

impl ModelConfig {
    /// Patches of a row, and of a column.
    pub const fn side(&self) -> usize {
        self.image_size / self.patch_size
    }

    /// Patches an image.
    pub const fn patches(&self) -> usize {
        self.side() * self.side()
    }

    /// Tokens an image before any merging.
    pub const fn tokens(&self) -> usize {
        self.patches() + self.prefix
    }

    /// First tokens of an image that pooling takes, if it takes no other: the only ones that leave the last layer.
    pub const fn pooled_prefix(&self) -> Option<usize> {
        match self.pooling {
            Pooling::ClassToken => Some(1),
            Pooling::ClassAndDistillation => Some(2),
            Pooling::Mean | Pooling::MeanAll | Pooling::ClassAndMean | Pooling::Attention => None,
        }
    }

    /// Bytes of one patch: `3 p^2` rounded up to a multiple of 64.
    pub const fn patch_row(&self) -> usize {
        (3 * self.patch_size * self.patch_size).next_multiple_of(ROW_ALIGN)
    }

    /// Bytes of one image at model resolution, (S, S, 3).
    pub const fn image_bytes(&self) -> usize {
        3 * self.image_size * self.image_size
    }

    /// Channels of all heads as stored, A.
    pub const fn attention_width(&self) -> usize {
        self.heads * self.head_width
    }

    /// Channels inside the MLP as stored, F'.
    pub const fn mlp_row(&self) -> usize {
        self.mlp_width.next_multiple_of(ROW_ALIGN)
    }

    /// Outputs of the MLP's first linear layer: F', or twice that with a gate.
    pub const fn fc1_outputs(&self) -> usize {
        match self.mlp {
            Mlp::Plain => self.mlp_row(),
            Mlp::Gated | Mlp::GatedNorm => 2 * self.mlp_row(),
        }
    }

    /// Channels of the pooled vector.
    pub const fn pooled_width(&self) -> usize {
        match self.pooling {
            Pooling::ClassToken | Pooling::Mean | Pooling::MeanAll | Pooling::Attention => {
                self.width
            }
            Pooling::ClassAndDistillation | Pooling::ClassAndMean => 2 * self.width,
        }
    }

    /// Channels that the last norm takes at a time: a token's, or all where it only scales.
    pub const fn final_norm_width(&self) -> usize {
        match self.final_norm {
            Normalization::None => self.pooled_width(),
            Normalization::Layer | Normalization::Rms => self.width,
        }
    }

    /// Scores of an image: the classes of its embedding, or the network's outputs.
    pub fn scores(&self) -> usize {
        match self.classifier {
            Some(_) => self.labels.len(),
            None => self.classes,
        }
    }

    /// Whether an image gets a score for each class.
    pub fn classifies(&self) -> bool {
        self.output == OutputKind::Logits || self.classifier.is_some()
    }

    /// Checks every field against the limits and against each other.
    ///
    /// # Errors
    /// The first field that is not what it must be.
    pub fn validate(&self) -> Result<(), ConfigError> {
        self.validate_shape()?;
        check_text(|| "model.architecture".into(), &self.architecture)?;
        let labels = self.labels.len();
        if let Some(classifier) = &self.classifier {
            in_range("model.labels", labels, 1, MAX_CLASSES)?;
            classifier.validate()?;
        } else {
            let fits = labels == 0 || labels == self.classes && self.output == OutputKind::Logits;
            check(fits, "model.labels", &labels, || match self.output {
                OutputKind::Logits => format!("0 or {} names", self.classes),
                OutputKind::Embedding => "none, since the model gives an embedding".into(),
            })?;
        }
        for (index, label) in self.labels.iter().enumerate() {
            check_label(|| format!("model.labels[{index}]"), label)?;
        }
        self.geometry().map(drop)
    }

    /// The numbers alone: what planning rests on. Does not allocate unless it fails.
    pub(crate) fn validate_shape(&self) -> Result<(), ConfigError> {
        self.validate_tokens()?;
        in_range("model.depth", self.depth, 1, MAX_LAYERS)?;
        in_range("model.width", self.width, ROW_ALIGN, MAX_WIDTH)?;
        check(
            self.width.is_multiple_of(ROW_ALIGN),
            "model.width",
            &self.width,
            || format!("a multiple of {ROW_ALIGN}"),
        )?;
        validate_heads("model", self.heads, self.head_width)?;
        in_range("model.mlp_width", self.mlp_width, 1, MAX_INNER)?;
        in_range("model.classes", self.classes, 1, MAX_CLASSES)?;
        check(
            self.epsilon > 0.0 && self.epsilon <= 1.0,
            "model.epsilon",
            &self.epsilon,
            || "above 0, at most 1".into(),
        )?;
        check(
            self.norm != Normalization::None,
            "model.norm",
            &"none",
            || "layer or rms".into(),
        )?;
        self.validate_pooling()?;
        self.validate_output()
    }

    fn validate_tokens(&self) -> Result<(), ConfigError> {
        in_range("model.patch_size", self.patch_size, 1, MAX_PATCH_SIZE)?;
        check(
            self.image_size >= self.patch_size,
            "model.image_size",
            &self.image_size,
            || format!("at least the patch size {}", self.patch_size),
        )?;
        // Stated on the side so that nothing overflows.
        let max_side = MAX_PATCHES.isqrt();
        check(
            self.side() <= max_side,
            "model.image_size",
            &self.image_size,
            || {
                format!(
                    "at most {} ({max_side} x {max_side} patches)",
                    (max_side + 1) * self.patch_size - 1
                )
            },
        )?;
        in_range("model.prefix", self.prefix, 0, MAX_PREFIX)
    }

    fn validate_pooling(&self) -> Result<(), ConfigError> {
        let first = match self.pooling {
            Pooling::ClassToken | Pooling::ClassAndMean => 1,
            Pooling::ClassAndDistillation => 2,
            Pooling::Mean | Pooling::MeanAll | Pooling::Attention => 0,
        };
        check(self.prefix >= first, "model.prefix", &self.prefix, || {
            format!("{first} or more, since pooling takes the first tokens")
        })?;
        let attends = self.pooling == Pooling::Attention;
        check(
            self.attention_pooling.is_some() == attends,
            "model.attention_pooling",
            &if attends { "absent" } else { "present" },
            || "to be there exactly where pooling is attention".into(),
        )?;
        if let Some(pooling) = &self.attention_pooling {
            validate_heads("model.attention_pooling", pooling.heads, pooling.head_width)?;
            let field = "model.attention_pooling.mlp_width";
            in_range(field, pooling.mlp_width, 1, MAX_INNER)?;
            check(self.token_norm, "model.token_norm", &false, || {
                "true, since pooling attends".into()
            })?;
        }
        let plain = !matches!(self.pooling, Pooling::ClassAndMean | Pooling::Attention);
        check(
            plain || self.final_norm == Normalization::None,
            "model.final_norm",
            &"a norm",
            || "none after this pooling".into(),
        )
    }

    fn validate_output(&self) -> Result<(), ConfigError> {
        if !self.head {
            let pooled = self.pooled_width();
            check(
                self.classes == pooled,
                "model.classes",
                &self.classes,
                || format!("{pooled}, the pooled vector's channels, since there is no head"),
            )?;
            check(
                self.output == OutputKind::Embedding,
                "model.output",
                &"logits",
                || "embedding, since there is no head".into(),
            )?;
        }
        check(
            self.classifier.is_none() || self.output == OutputKind::Embedding,
            "model.classifier",
            &"present",
            || "only where the output is an embedding".into(),
        )?;
        check(
            !self.unknown || self.classifier.is_some(),
            "model.unknown",
            &self.unknown,
            || "false, since no embedding is classified".into(),
        )
    }

    /// The preprocessing as the kernels take it.
    ///
    /// # Errors
    /// [`ConfigError`], unless the model was validated.
    pub fn geometry(&self) -> Result<Geometry, ConfigError> {
        self.preprocessing.geometry(self.image_size)
    }
}

/// Heads and their width, of the fields `path.heads` and `path.head_width`.
fn validate_heads(path: &str, heads: usize, head_width: usize) -> Result<(), ConfigError> {
    // Allocates nothing unless it fails: planning checks it too.
    if (1..=MAX_HEADS).contains(&heads)
        && HEAD_WIDTHS.contains(&head_width)
        && (heads * head_width).is_multiple_of(ROW_ALIGN)
    {
        return Ok(());
    }
    in_range(&format!("{path}.heads"), heads, 1, MAX_HEADS)?;
    check(false, &format!("{path}.head_width"), &head_width, || {
        format!("32, 64, 96 or 128, {heads} times which is a multiple of {ROW_ALIGN}")
    })
}
