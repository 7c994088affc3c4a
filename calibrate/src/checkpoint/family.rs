//! What a model family says of its checkpoints.

use super::described::{Described, Source};
use super::error::Defect;
use super::file::TensorFile;
use super::naming::Naming;

/// Checkpoints that one library writes for one kind of model.
pub(super) trait Family: Sync {
    /// What people call the family.
    fn name(&self) -> &'static str;

    /// Whether a file is one of this family's, by the names of its tensors.
    fn recognizes(&self, file: &TensorFile<'_>) -> bool;

    /// Tensors of variants that the kernels do not run: a tensor's name, and what it is.
    fn unsupported(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// What this file calls the model's tensors.
    ///
    /// # Errors
    /// [`Defect::Unsupported`] for a variant that no naming describes.
    fn naming(&self, file: &TensorFile<'_>) -> Result<Naming, Defect>;

    /// Reads the configuration files.
    ///
    /// # Errors
    /// [`Defect::Config`] where a field is wrong or contradicts the tensors; [`Defect::Unsupported`] for
    /// what the kernels do not run.
    fn describe(&self, source: &Source<'_>) -> Result<Described, Defect>;
}
