//! Which patches became one token.

use super::{Op, observe};
use crate::config::{ModelConfig, Ranking};
use crate::engine::{Engine, RunError};
use crate::pack::{PRESENT, TensorKind};
use mergevit_kernels::frame::{Frame, Preprocessor};
use mergevit_kernels::reference::{MatchInput, Matching, destinations, match_tokens};

/// A frame at model resolution, (S, S, 3) u8 RGB, as an engine of this model preprocesses it.
///
/// # Panics
/// If the model was not validated.
pub fn pixels_of(model: &ModelConfig, frame: &Frame<'_>) -> Vec<u8> {
    let geometry = model.geometry().expect("a validated model can preprocess");
    let mut pixels = vec![0; model.image_bytes()];
    Preprocessor::new(geometry, frame.width(), frame.height())
        .preprocess(frame, &mut pixels)
        .expect("space for this very frame was reserved");
    pixels
}

/// Classifies images at model resolution, (B, S, S, 3) u8 RGB, under the engine's schedule, and tells for every patch,
/// row by row, which token it is part of in the end: (B, patches), places among an image's tokens as in
/// [`Output::image_sizes`](crate::Output::image_sizes), the prefix counted.
///
/// The engine's own queries and keys decide, by the rules that its kernels follow, so the answer is exact on every
/// backend. It takes longer than classifying, and memory: it is for pictures, not for the live path.
///
/// # Errors
/// As [`Engine::classify_pixels`].
pub fn token_map(engine: &mut Engine, pixels: &[u8]) -> Result<Vec<u16>, RunError> {
    let config = engine.pack().config();
    let (prefix, patches) = (config.prefix, config.tokens() - config.prefix);
    let score_scale = |layer| {
        let tensor = engine
            .pack()
            .tensor_f32(TensorKind::ScoreScale, Some(layer));
        tensor.expect(PRESENT).to_vec()
    };
    let score_scales: Vec<Vec<f32>> = (0..config.depth).map(score_scale).collect();
    let mut matching = Matching::new();
    let mut rows = Vec::new();
    let batch = pixels.len() / config.image_bytes();
    // At first every patch is a token of its own.
    let image = prefix as u16..config.tokens() as u16;
    let mut places: Vec<u16> = (0..batch).flat_map(|_| image.clone()).collect();
    observe(engine, pixels, &mut |op, arena| {
        let Op::Merge(op) = op else { return };
        let shape = &op.shape;
        rows.resize(shape.tokens, 0);
        let (qkv, sizes) = (arena.i8(op.qkv), arena.u32(op.sizes));
        let images = qkv.chunks_exact(qkv.len() / shape.batch);
        let images = images.zip(sizes.chunks_exact(shape.tokens));
        for ((qkv, sizes), places) in images.zip(places.chunks_exact_mut(patches)) {
            let input = MatchInput {
                qkv,
                sizes,
                score_scale: match op.ranking {
                    Ranking::Similarity => None,
                    Ranking::ClassAttention => Some(&score_scales[op.layer]),
                },
            };
            match_tokens(shape, input, &mut matching);
            destinations(shape, &matching, &mut rows);
            for place in places {
                *place = rows[usize::from(*place)];
            }
        }
    })?;
    Ok(places)
}
