//! Frames that somebody watches: the pixels that the network saw, and what merging made of them.

use super::publisher::Picture;
use mergevit_kernels::frame::{Frame, Preprocessor};
use mergevit_kernels::memory::zeroed;
use mergevit_runtime::inspect::TokenMapper;
use mergevit_runtime::{Engine, OutOfMemory, Output, RunError};
use std::time::Duration;

/// Least time between batches that are watched: looking takes time from the loop.
pub(super) const INTERVAL: Duration = Duration::from_millis(100);

/// Room for what is watched of a batch.
pub(super) struct Watched {
    mapper: TokenMapper,
    preprocessor: Preprocessor,
    /// (B, S, S, 3) RGB
    pixels: Box<[u8]>,
    /// (B, patches)
    tokens: Box<[u16]>,
    image_bytes: usize,
}

impl Watched {
    /// Room for batches of so many frames of so many pixels, (width, height). Allocates.
    pub(super) fn new(
        engine: &mut Engine,
        max_batch: usize,
        max_frame: (usize, usize),
    ) -> Result<Self, OutOfMemory> {
        let mapper = TokenMapper::new(engine)?;
        let config = engine.pack().config();
        let geometry = config.geometry().expect("a valid pack preprocesses");
        let image_bytes = config.image_bytes();
        Ok(Self {
            preprocessor: Preprocessor::new(geometry, max_frame.0, max_frame.1),
            pixels: zeroed(max_batch * image_bytes, "pictures")?,
            tokens: zeroed(max_batch * mapper.patches(), "pictures")?,
            mapper,
            image_bytes,
        })
    }

    /// Bytes of a picture and its tokens.
    pub(super) fn picture_bytes(&self) -> usize {
        self.image_bytes + size_of::<u16>() * self.mapper.patches()
    }

    /// As [`Engine::classify`], and with the same answer. Does not allocate.
    pub(super) fn classify<'e>(
        &mut self,
        engine: &'e mut Engine,
        frames: &[Frame<'_>],
    ) -> Result<Output<'e>, RunError> {
        let pixels = &mut self.pixels[..frames.len() * self.image_bytes];
        for (frame, image) in frames.iter().zip(pixels.chunks_exact_mut(self.image_bytes)) {
            self.preprocessor
                .preprocess(frame, image)
                .expect("an image has room for its pixels");
        }
        let tokens = &mut self.tokens[..frames.len() * self.mapper.patches()];
        self.mapper.classify_pixels(engine, pixels, tokens)
    }

    /// One image of the last batch that was classified here.
    pub(super) fn picture(&self, image: usize) -> Picture<'_> {
        let patches = self.mapper.patches();
        Picture {
            pixels: &self.pixels[image * self.image_bytes..][..self.image_bytes],
            tokens: &self.tokens[image * patches..][..patches],
        }
    }
}
