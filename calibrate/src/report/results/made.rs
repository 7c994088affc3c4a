//! What was packed, and how this report and the pack came to be.

use mergevit_runtime::{ModelConfig, Pack, Provenance};
use serde::Serialize;

/// The sizes of the network in a pack.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ModelFacts {
    /// Pixels of an image's side.
    pub image_size: usize,
    /// Pixels of a patch's side.
    pub patch_size: usize,
    /// Tokens of an image before merging.
    pub tokens: usize,
    /// Channels.
    pub width: usize,
    /// Layers.
    pub depth: usize,
    /// Heads of a layer's attention.
    pub heads: usize,
    /// Classes that it tells apart; 0 where it gives embeddings alone.
    pub classes: usize,
    /// Bytes of the pack.
    pub bytes: u64,
}

/// How the pack and this report were made.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Made {
    /// The command that wrote this report, as a shell takes it; empty if no command did.
    pub command: String,
    /// What the pack says of its making.
    pub provenance: Provenance,
}

impl ModelFacts {
    /// Those of `pack`.
    pub fn of(pack: &Pack) -> Self {
        let model: &ModelConfig = pack.config();
        Self {
            image_size: model.image_size,
            patch_size: model.patch_size,
            tokens: model.tokens(),
            width: model.width,
            depth: model.depth,
            heads: model.heads,
            classes: if model.classifies() {
                model.scores()
            } else {
                0
            },
            bytes: pack.len() as u64,
        }
    }
}
