//! Which patches became one token.

use super::{Op, observe};
use crate::config::{ModelConfig, Ranking};
use crate::engine::{ArenaView, Engine, Follower, Output, RunError};
use crate::pack::{PRESENT, Pack, TensorKind};
use crate::plan::MergeOp;
use mergevit_kernels::frame::{Frame, Preprocessor};
use mergevit_kernels::memory::OutOfMemory;
use mergevit_kernels::ops::MAX_BATCH;
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
/// [`Output::image_sizes`](crate::Output::image_sizes), the prefix counted. Of a cascade the first schedule runs, and it
/// alone.
///
/// The engine's own queries and keys decide, by the rules that its kernels follow, so the answer is exact on every
/// backend. It takes longer than classifying, and memory; in a live path, a [`TokenMapper`] needs none.
///
/// # Errors
/// As [`Engine::classify_pixels`].
pub fn token_map(engine: &mut Engine, pixels: &[u8]) -> Result<Vec<u16>, RunError> {
    let mut mapper = TokenMapper::of(engine.pack());
    let batch = pixels.len() / engine.pack().config().image_bytes();
    let mut map = vec![0; batch * mapper.patches];
    let mut follow = mapper.follow(&mut map);
    let all: Vec<usize> = (0..batch).take(MAX_BATCH).collect();
    follow.begin(&all);
    observe(engine, pixels, &mut |op, arena| {
        if let Op::Merge(op) = op {
            follow.merged(op, arena);
        }
    })?;
    Ok(map)
}

/// Classifies images and tells which patches became one token, run after run, without allocating.
///
/// ```
/// use mergevit_runtime::{Engine, inspect::TokenMapper};
///
/// let mut engine = Engine::options().threads(1).load("../board/assets/garments.mvit")?;
/// let pixels = vec![0; engine.pack().config().image_bytes()];
/// let mut mapper = TokenMapper::new(&mut engine)?;
/// let mut map = vec![0; mapper.patches()];
/// let output = mapper.classify_pixels(&mut engine, &pixels, &mut map)?;
/// let largest = output.image_sizes(0).iter().max();
/// # assert!(largest.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TokenMapper {
    prefix: usize,
    patches: usize,
    /// By layer.
    score_scales: Box<[Box<[f32]>]>,
    matching: Matching,
    /// Where each token goes in a merge.
    rows: Box<[u16]>,
    /// Images of the run that is followed.
    images: heapless::Vec<usize, MAX_BATCH>,
}

impl TokenMapper {
    /// For this engine and others of its pack. Reserves what both need.
    ///
    /// # Errors
    /// [`OutOfMemory`]: a view of a device's arena has no room.
    pub fn new(engine: &mut Engine) -> Result<Self, OutOfMemory> {
        engine.reserve_view()?;
        Ok(Self::of(engine.pack()))
    }

    fn of(pack: &Pack) -> Self {
        let config = pack.config();
        let score_scale = |layer| {
            let tensor = pack.tensor_f32(TensorKind::ScoreScale, Some(layer));
            tensor.expect(PRESENT).into()
        };
        Self {
            prefix: config.prefix,
            patches: config.tokens() - config.prefix,
            score_scales: (0..config.depth).map(score_scale).collect(),
            matching: Matching::new(),
            rows: vec![0; config.tokens()].into(),
            images: heapless::Vec::new(),
        }
    }

    /// Patches an image.
    pub fn patches(&self) -> usize {
        self.patches
    }

    /// As [`Engine::classify_pixels`], with `map` filled as [`token_map`] has it, (B, patches): of the very run that
    /// answers; under a cascade, of each image's second run where it has one. Slower than classifying by what matching takes
    /// the processor; on a device, also by copies of what decides the merges.
    ///
    /// # Errors
    /// As [`Engine::classify_pixels`].
    ///
    /// # Panics
    /// If `map` is not as long as it must be.
    pub fn classify_pixels<'e>(
        &mut self,
        engine: &'e mut Engine,
        pixels: &[u8],
        map: &mut [u16],
    ) -> Result<Output<'e>, RunError> {
        let batch = pixels.len() / engine.pack().config().image_bytes();
        assert_eq!(map.len(), batch * self.patches);
        engine.follow(pixels, &mut self.follow(map))
    }

    fn follow<'a>(&'a mut self, map: &'a mut [u16]) -> Follow<'a> {
        Follow { mapper: self, map }
    }
}

/// A map that follows the merges of a run.
struct Follow<'a> {
    mapper: &'a mut TokenMapper,
    /// (B, patches)
    map: &'a mut [u16],
}

impl Follower for Follow<'_> {
    fn begin(&mut self, images: &[usize]) {
        let Self { mapper, map } = self;
        mapper.images.clear();
        mapper.images.extend(images.iter().copied());
        for &image in images {
            // At first every patch is a token of its own.
            let own = &mut map[image * mapper.patches..][..mapper.patches];
            for (patch, place) in own.iter_mut().enumerate() {
                *place = (mapper.prefix + patch) as u16;
            }
        }
    }

    fn merged(&mut self, op: &MergeOp, arena: &ArenaView<'_>) {
        let Self { mapper, map } = self;
        let TokenMapper {
            patches,
            score_scales,
            matching,
            rows,
            images,
            ..
        } = &mut **mapper;
        let shape = &op.shape;
        let rows = &mut rows[..shape.tokens];
        let (qkv, sizes) = (arena.i8(op.qkv), arena.u32(op.sizes));
        let inputs = qkv.chunks_exact(qkv.len() / shape.batch);
        let inputs = inputs.zip(sizes.chunks_exact(shape.tokens));
        for ((qkv, sizes), &image) in inputs.zip(&*images) {
            let input = MatchInput {
                qkv,
                sizes,
                score_scale: match op.ranking {
                    Ranking::Similarity => None,
                    Ranking::ClassAttention => Some(&score_scales[op.layer]),
                },
            };
            match_tokens(shape, input, matching);
            destinations(shape, matching, rows);
            for place in &mut map[image * *patches..][..*patches] {
                *place = rows[usize::from(*place)];
            }
        }
    }
}
