//! torchvision's Vision Transformers.

use super::unknown;
use crate::checkpoint::error::Defect;

/// Name, width and heads, from `torchvision.models.vision_transformer`.
const TABLE: [(&str, usize, usize); 5] = [
    ("vit_b_16", 768, 12),
    ("vit_b_32", 768, 12),
    ("vit_l_16", 1024, 16),
    ("vit_l_32", 1024, 16),
    ("vit_h_14", 1280, 16),
];

/// Width and heads of an architecture.
///
/// # Errors
/// [`Defect::Unsupported`] for an unknown name.
pub(in crate::checkpoint) fn heads(name: &str) -> Result<(usize, usize), Defect> {
    let names = || TABLE.iter().map(|(name, ..)| *name);
    TABLE
        .iter()
        .find(|(known, ..)| *known == name)
        .map(|&(_, width, heads)| (width, heads))
        .ok_or_else(|| unknown("torchvision", name, names()))
}
