//! Merge schedules.

use super::{Accuracy, Confidence, ConfigError, MergingEffect, check_name, refuse};
use serde::{Deserialize, Serialize};

/// How many tokens each layer merges.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// Unique name of letters, digits, `.`, `_` and `-`: `r8`.
    pub name: String,
    /// r of each layer. A layer merges fewer where fewer can be merged
    /// ([`Merge::limit`](mergevit_kernels::ops::Merge::limit)), and the last one none where no output depends on it
    /// ([`ModelConfig::pooled_prefix`](super::ModelConfig::pooled_prefix)).
    pub merge: Vec<u16>,
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

    pub(super) fn validate(&self, index: usize, depth: usize) -> Result<(), ConfigError> {
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
