//! How the classes of an embedding are scored.

use super::{ConfigError, check};
use serde::{Deserialize, Serialize};

/// How an embedding becomes scores of classes: against one vector a class, the pack's `ClassVector`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Stored", into = "Stored")]
pub enum EmbeddingClassifier {
    /// The score of a class is `scale * cosine + bias`: text embeddings, or the mean of a class's images.
    Cosine {
        /// One over the temperature; above 0.
        scale: f32,
        /// Added to every score.
        bias: f32,
    },
    /// The score of a class is the dot product of the embedding as the network gives it with the class's weights,
    /// plus the class's bias.
    Linear,
}

/// As JSON has it: serde lets a tagged variant without fields have any.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Stored {
    kind: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scale: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bias: Option<f32>,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Cosine,
    Linear,
}

impl TryFrom<Stored> for EmbeddingClassifier {
    type Error = &'static str;

    fn try_from(stored: Stored) -> Result<Self, Self::Error> {
        match (stored.kind, stored.scale, stored.bias) {
            (Kind::Cosine, Some(scale), bias) => Ok(Self::Cosine {
                scale,
                bias: bias.unwrap_or(0.0),
            }),
            (Kind::Cosine, None, _) => Err("model.classifier.scale: missing"),
            (Kind::Linear, None, None) => Ok(Self::Linear),
            (Kind::Linear, ..) => Err("model.classifier: linear has no scale and no bias here"),
        }
    }
}

impl From<EmbeddingClassifier> for Stored {
    fn from(classifier: EmbeddingClassifier) -> Self {
        let (kind, scale, bias) = match classifier {
            EmbeddingClassifier::Cosine { scale, bias } => (Kind::Cosine, Some(scale), Some(bias)),
            EmbeddingClassifier::Linear => (Kind::Linear, None, None),
        };
        Self { kind, scale, bias }
    }
}

impl EmbeddingClassifier {
    /// Whether it is a linear one.
    pub fn is_linear(&self) -> bool {
        *self == Self::Linear
    }

    pub(super) fn validate(&self) -> Result<(), ConfigError> {
        let Self::Cosine { scale, bias } = self else {
            return Ok(());
        };
        let usable = *scale > 0.0 && scale.is_finite();
        check(usable, "model.classifier.scale", scale, || {
            "finite and above 0".into()
        })?;
        check(bias.is_finite(), "model.classifier.bias", bias, || {
            "a finite number".into()
        })
    }
}
