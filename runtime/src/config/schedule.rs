//! Merge schedules.

use super::{Accuracy, Confidence, ConfigError, MergingEffect, ModelConfig, check_name, refuse};
use serde::{Deserialize, Serialize};

/// Which tokens merge first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ranking {
    /// The most alike, as published (Bolya et al., arXiv 2210.09461).
    #[default]
    Similarity,
    /// Those that are alike and that the class token looks at little: a pair's distance times the square root of the
    /// attention that the class token gives one of them. Needs a class token.
    ClassAttention,
}

impl Ranking {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Similarity, Self::ClassAttention];

    /// Its name on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Similarity => "similarity",
            Self::ClassAttention => "class-attention",
        }
    }

    /// Whether a model can rank so whose images have `prefix` tokens before the patches.
    pub const fn suits(self, prefix: usize) -> bool {
        match self {
            Self::Similarity => true,
            Self::ClassAttention => prefix > 0,
        }
    }

    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How many tokens each layer merges, and which.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Unique name of letters, digits, `.`, `_` and `-`: `r8`.
    pub name: String,
    /// r of each layer. A layer merges fewer where fewer can be merged
    /// ([`Merge::limit`](mergevit_kernels::ops::Merge::limit)), and the last one none where no output depends on it
    /// ([`ModelConfig::pooled_prefix`](super::ModelConfig::pooled_prefix)).
    pub merge: Vec<u16>,
    /// Which tokens those are.
    #[serde(default, skip_serializing_if = "Ranking::is_default")]
    pub ranking: Ranking,
    /// Measured accuracy, if any was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<Accuracy>,
    /// What merging alone costs, if that was measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merging: Option<MergingEffect>,
    /// How its scores become probabilities, if that was fitted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
}

impl Schedule {
    /// A schedule of which nothing was measured.
    pub fn new(name: impl Into<String>, merge: Vec<u16>) -> Self {
        Self {
            name: name.into(),
            merge,
            ..Self::default()
        }
    }

    /// The same r in each of `depth` layers, named `r{r}`.
    pub fn constant(r: u16, depth: usize) -> Self {
        Self::new(format!("r{r}"), vec![r; depth])
    }

    /// The same numbers of other tokens.
    #[must_use]
    pub fn ranked_by(self, ranking: Ranking) -> Self {
        Self { ranking, ..self }
    }

    /// Whether it merges nothing.
    pub fn is_unmerged(&self) -> bool {
        self.merge.iter().all(|&r| r == 0)
    }

    /// What scores are divided by before they become probabilities; 1 unless one was fitted.
    pub fn temperature(&self) -> f32 {
        self.confidence
            .as_ref()
            .map_or(1.0, |confidence| confidence.temperature)
    }

    pub(super) fn validate(&self, index: usize, model: &ModelConfig) -> Result<(), ConfigError> {
        let depth = model.depth;
        let field = |name: &str| format!("schedules[{index}].{name}");
        let within = |part: &'static str| move |name: &str| field(&format!("{part}.{name}"));
        check_name(|| field("name"), &self.name)?;
        if self.merge.len() != depth {
            return refuse(
                field("merge"),
                &format!("{} layers", self.merge.len()),
                format!("{depth} layers"),
            );
        }
        if !self.ranking.suits(model.prefix) {
            return refuse(
                field("ranking"),
                &self.ranking.name(),
                "similarity, since the model has no class token",
            );
        }
        if let Some(accuracy) = &self.accuracy {
            accuracy.validate(within("accuracy"))?;
        }
        if let Some(merging) = &self.merging {
            merging.validate(within("merging"))?;
        }
        if let Some(confidence) = &self.confidence {
            confidence.validate(within("confidence"))?;
        }
        Ok(())
    }
}
