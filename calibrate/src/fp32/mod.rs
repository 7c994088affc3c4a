//! The full-precision forward pass, with token merging: the reference for INT8, and what calibration
//! observes.
//!
//! A few images are one task of a thread pool. Matrix products come from the `gemm` crate.

mod batch;
mod elementwise;
mod embed;
mod encoder;
mod merging;
mod pooling;
mod product;
mod rotary;

use crate::checkpoint::Checkpoint;
pub(crate) use elementwise::{activate, gate};
use mergevit_runtime::Ranking;
pub(crate) use product::{Matrix, linear, multiply};

/// A place in the network where a [`Tap`] sees the values. T tokens, T' after merging, C channels, A channels of all
/// heads, F' channels in the MLP, all as stored; the number is the layer's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Point {
    /// (T, C) residual stream after the patch embedding.
    PatchEmbed,
    /// (T, C) output of the first norm.
    Norm1(usize),
    /// (T, A) queries, the heads' channels one after the other, rotated if the model does.
    Query(usize),
    /// (T, A) keys, likewise.
    Key(usize),
    /// (T, A) values.
    Value(usize),
    /// (T, T) attention's weights of a head, each row of which sums to 1: once a head.
    AttentionWeights(usize),
    /// (T, A) attention's output, before the projection.
    Context(usize),
    /// (T, C) residual stream after the attention, before any merging.
    AttentionResidual(usize),
    /// (T', C) output of the second norm, after merging.
    Norm2(usize),
    /// (T', F') before the activation; (T', 2 F') with gates at even columns.
    MlpPreActivation(usize),
    /// (T', F') after the activation and the gate.
    MlpHidden(usize),
    /// (T', F') after the norm inside a gated MLP.
    InnerNorm(usize),
    /// (T', C) residual stream after the MLP.
    MlpResidual(usize),
    /// (T', C) all tokens normalized before pooling.
    TokenNorm,
    /// (T', 2A) keys and values of the pooling that attends; A is its own.
    PoolKeyValue,
    /// (1, T') its attention's weights of a head: once a head.
    PoolAttentionWeights,
    /// (1, A) its attention's output.
    PoolContext,
    /// (1, C) its norm's output.
    PoolNorm,
    /// (1, F') its MLP's hidden channels.
    PoolHidden,
    /// (1, pooled width) what the classifier sees, or without one the output.
    FinalNorm,
    /// (1, outputs) output of the classifier.
    Logits,
}

impl Point {
    /// The layer, of a place in one.
    pub fn layer(self) -> Option<usize> {
        match self {
            Self::Norm1(layer)
            | Self::Query(layer)
            | Self::Key(layer)
            | Self::Value(layer)
            | Self::AttentionWeights(layer)
            | Self::Context(layer)
            | Self::AttentionResidual(layer)
            | Self::Norm2(layer)
            | Self::MlpPreActivation(layer)
            | Self::MlpHidden(layer)
            | Self::InnerNorm(layer)
            | Self::MlpResidual(layer) => Some(layer),
            Self::PatchEmbed
            | Self::TokenNorm
            | Self::PoolKeyValue
            | Self::PoolAttentionWeights
            | Self::PoolContext
            | Self::PoolNorm
            | Self::PoolHidden
            | Self::FinalNorm
            | Self::Logits => None,
        }
    }
}

/// Sees the activations of a forward pass.
pub trait Tap {
    /// Called once for each point, in the order of computation. `values` is (rows, width), row-major, and
    /// lives only during the call.
    fn see(&mut self, point: Point, values: &[f32], width: usize);
}

/// Changes the activations of a forward pass.
pub trait Change {
    /// Called like [`Tap::see`]; the pass goes on with the new values.
    fn change(&mut self, point: Point, values: &mut [f32], width: usize);
}

/// Whoever sees changes nothing.
impl<T: Tap> Change for T {
    fn change(&mut self, point: Point, values: &mut [f32], width: usize) {
        self.see(point, values, width);
    }
}

/// Sees nothing.
impl Tap for () {
    fn see(&mut self, _: Point, _: &[f32], _: usize) {}
}

/// Result for one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// (outputs) raw scores of the classes, or the embedding.
    pub logits: Vec<f32>,
    /// (tokens left) how many original tokens each stands for: first the prefix, then the kept even tokens,
    /// ascending, then the odd ones.
    pub sizes: Vec<u32>,
}

/// The tokens of one image on their way through the network.
#[derive(Clone, Debug)]
struct Tokens {
    /// (T, C)
    residual: Vec<f32>,
    /// (T) patches that each stands for.
    sizes: Vec<u32>,
    /// (T) row and column, in patches; those of the prefix mean nothing.
    positions: Vec<[f64; 2]>,
}

/// Runs the forward pass of one checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    checkpoint: &'a Checkpoint,
    ranking: Ranking,
}

impl<'a> Forward<'a> {
    /// A forward pass over `checkpoint`'s weights, which it borrows.
    pub fn new(checkpoint: &'a Checkpoint) -> Self {
        Self {
            checkpoint,
            ranking: Ranking::default(),
        }
    }

    /// The same, but where tokens merge, `ranking` says which.
    ///
    /// # Panics
    /// If the model cannot rank so, see [`Ranking::suits`].
    #[must_use]
    pub fn ranked_by(self, ranking: Ranking) -> Self {
        assert!(ranking.suits(self.checkpoint.model.prefix));
        Self { ranking, ..self }
    }

    /// Classifies N images at model resolution, `pixels` u8 (N, S, S, 3), on all of rayon's threads.
    /// `merge` holds r for each layer; layers beyond its end merge nothing.
    ///
    /// # Panics
    /// If `pixels` is not a whole number of images.
    pub fn classify(&self, pixels: &[u8], merge: &[usize]) -> Vec<Output> {
        self.classify_each(pixels, merge, &|| ())
    }

    /// The same; calls `done`, from any thread, after each image.
    pub(crate) fn classify_each(
        &self,
        pixels: &[u8],
        merge: &[usize],
        done: &(dyn Fn() + Sync),
    ) -> Vec<Output> {
        self.batches(pixels, |_, pixels| {
            let mut nobody = vec![(); self.images(pixels)];
            let outputs = self.pass(pixels, merge, &mut nobody, Rows::Pooled);
            nobody.iter().for_each(|()| done());
            outputs
        })
    }

    /// Runs N images as [`run`](Self::run) does, on all of rayon's threads; `tap` makes that of each, given its index.
    /// Calls `done`, from any thread, after each image.
    ///
    /// # Panics
    /// If `pixels` is not a whole number of images.
    pub(crate) fn watch<T: Change + Send>(
        &self,
        pixels: &[u8],
        merge: &[usize],
        tap: impl Fn(usize) -> T + Sync,
        done: &(dyn Fn() + Sync),
    ) -> Vec<(Output, T)> {
        self.batches(pixels, |first, pixels| {
            let images = first..first + self.images(pixels);
            let mut taps: Vec<T> = images.map(&tap).collect();
            let outputs = self.pass(pixels, merge, &mut taps, Rows::All);
            taps.iter().for_each(|_| done());
            outputs.into_iter().zip(taps).collect()
        })
    }

    /// Classifies one image, `pixels` u8 (S, S, 3), on this thread, and shows `tap` every
    /// intermediate result, which it may [change](Change).
    ///
    /// # Panics
    /// If `pixels` is not one image.
    pub fn run(&self, pixels: &[u8], merge: &[usize], tap: &mut impl Change) -> Output {
        assert_eq!(pixels.len(), self.checkpoint.model.image_bytes());
        let mut outputs = self.pass(pixels, merge, std::slice::from_mut(tap), Rows::All);
        outputs.remove(0)
    }

    /// Classifies the images of one task on this thread; each has its tap.
    fn pass<T: Change>(
        &self,
        pixels: &[u8],
        merge: &[usize],
        taps: &mut [T],
        rows: Rows,
    ) -> Vec<Output> {
        let model = &self.checkpoint.model;
        let shape = merging::Shape {
            width: model.width,
            heads: model.heads,
            head_width: model.head_width,
            prefix: model.prefix,
            score_factor: self.checkpoint.score_factor,
            ranking: self.ranking,
        };
        let images = pixels.chunks_exact(model.image_bytes()).zip(&mut *taps);
        let mut batch: Vec<Tokens> = images
            .map(|(pixels, tap)| self.embed(pixels, tap))
            .collect();
        let mut work = encoder::Work::default();
        for layer in 0..model.depth {
            // Where only tokens of the prefix are pooled, the others end in the last layer, and merge nothing there.
            let pooled = model.pooled_prefix().filter(|_| layer + 1 == model.depth);
            let kept = pooled.filter(|_| rows == Rows::Pooled);
            self.attention(layer, &mut batch, kept, &mut work, taps);
            if let (Some(&wanted), None) = (merge.get(layer), pooled) {
                batch = merging::merge_each(&shape, wanted, (&work.query, &work.key), batch);
            }
            self.mlp(layer, &mut batch, &mut work, taps);
        }
        let output = |(tokens, tap): (Tokens, &mut T)| Output {
            logits: self.head(&tokens, tap),
            sizes: tokens.sizes,
        };
        batch.into_iter().zip(taps).map(output).collect()
    }
}

/// Which tokens the last layer computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    /// All, for whoever sees them.
    All,
    /// Where only tokens of the prefix are pooled, the first few, which hold these.
    Pooled,
}
