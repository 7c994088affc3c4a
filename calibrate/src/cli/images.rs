//! A data set as batches of the network's pixels.

use super::error::CommandError;
use crate::dataset::Dataset;
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
        limit: Option<usize>,
    ) -> Result<Self, CommandError> {
        let mut dataset = Dataset::open(spec, &model.labels, model.classes)?;
        if let Some(limit) = limit {
            dataset.limit(limit);
        }
        log::info!("{spec}: {} images", dataset.len());
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

    /// Whether images have labels.
    pub(super) fn is_labelled(&self) -> bool {
        self.dataset.is_labelled()
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
