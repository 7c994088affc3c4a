//! A data set as batches of the network's pixels.

use super::error::CommandError;
use crate::dataset::Dataset;
use indicatif::{ProgressBar, ProgressStyle};
use mergevit_runtime::ModelConfig;

/// Images of a batch: enough to keep all threads busy, few enough for memory.
const BATCH: usize = 64;

/// Iterates over a data set in batches, preprocessed for a model.
pub(super) struct Images {
    dataset: Dataset,
    model: ModelConfig,
    next: usize,
}

impl Images {
    /// Opens a set; at most `limit` images of it are used.
    ///
    /// # Errors
    /// [`CommandError::Dataset`].
    pub(super) fn open(
        spec: &str,
        model: &ModelConfig,
        limit: Option<u64>,
    ) -> Result<Self, CommandError> {
        let mut dataset = Dataset::open(spec, &model.labels, model.classes)?;
        if let Some(limit) = limit {
            dataset.limit(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        Ok(Self {
            dataset,
            model: model.clone(),
            next: 0,
        })
    }

    /// Number of images.
    pub(super) fn len(&self) -> usize {
        self.dataset.len()
    }

    /// Name of the set.
    pub(super) fn name(&self) -> &str {
        self.dataset.name()
    }

    /// The next images at model resolution, u8 (N, S, S, 3), with their labels; none after the last.
    ///
    /// # Errors
    /// [`CommandError::Dataset`]: an image that cannot be read.
    #[expect(
        clippy::type_complexity,
        reason = "pixels and labels, as the data set gives them"
    )]
    pub(super) fn next_batch(
        &mut self,
    ) -> Result<Option<(Vec<u8>, Vec<Option<usize>>)>, CommandError> {
        let range = self.next..(self.next + BATCH).min(self.len());
        if range.is_empty() {
            return Ok(None);
        }
        self.next = range.end;
        Ok(Some(self.dataset.pixels(range, &self.model)?))
    }
}

/// A progress bar on standard error, if that is a terminal.
pub(super) fn progress(what: &'static str, steps: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps).with_message(what);
    match ProgressStyle::with_template("{msg:>10} {wide_bar} {pos}/{len} {eta}") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
