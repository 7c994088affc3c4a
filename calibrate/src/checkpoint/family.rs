//! What a model family says of its checkpoints.

use super::described::{Described, Source};
use super::error::Defect;
use super::preprocessing::Found;
use super::tensors::Tensors;

/// Checkpoints that one library writes.
pub(super) trait Family: Sync {
    /// What people call the family.
    fn name(&self) -> &'static str;

    /// Whether a file is one of this family's, by the names of its tensors.
    fn recognizes(&self, tensors: &Tensors<'_>) -> bool;

    /// Says what the model is and what its file calls the tensors.
    ///
    /// # Errors
    /// [`Defect::Config`] where a field of the configuration is wrong or contradicts the tensors;
    /// [`Defect::Unsupported`] for what the kernels do not run; [`Defect::Unstated`] for what nothing tells.
    fn describe(&self, source: &Source<'_>) -> Result<Described, Defect>;

    /// What the files say of the preprocessing of a model whose images have `size` pixels a side.
    ///
    /// # Errors
    /// [`Defect::Config`] where a field is wrong.
    fn preprocessing(&self, source: &Source<'_>, size: usize) -> Result<Found, Defect>;
}
