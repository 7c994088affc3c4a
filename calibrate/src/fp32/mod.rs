//! The full-precision forward pass, with token merging: the reference for INT8, and what calibration
//! observes.
//!
//! Each image is one task of a thread pool. Matrix products come from the `gemm` crate.

mod elementwise;
mod merging;
mod product;

use crate::checkpoint::{Block, Checkpoint};
pub(crate) use elementwise::gelu;
use elementwise::{layer_norm, softmax_rows};
use mergevit_kernels::ops::HEAD_WIDTH;
use mergevit_runtime::Pooling;
pub(crate) use product::linear;
use product::{Matrix, add_bias, multiply};
use rayon::prelude::*;

/// A place in the network where a [`Tap`] sees the values. T tokens, T' after merging, C channels, F channels
/// in the MLP; the number is the layer's index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Point {
    /// (T, C) residual stream after the patch embedding.
    PatchEmbed,
    /// (T, C) output of the first layer norm.
    Norm1(usize),
    /// (T, C) queries, the heads' channels one after the other.
    Query(usize),
    /// (T, C) keys.
    Key(usize),
    /// (T, C) values.
    Value(usize),
    /// (T, C) attention's output, before the projection.
    Context(usize),
    /// (T, C) residual stream after the attention, before any merging.
    AttentionResidual(usize),
    /// (T', C) output of the second layer norm, after merging.
    Norm2(usize),
    /// (T', F) before GELU.
    MlpPreActivation(usize),
    /// (T', F) after GELU.
    MlpHidden(usize),
    /// (T', C) residual stream after the MLP.
    MlpResidual(usize),
    /// (1, C) input of the classifier.
    FinalNorm,
    /// (1, classes) output of the classifier.
    Logits,
}

/// Sees the activations of a forward pass.
pub trait Tap {
    /// Called once for each point, in the order of computation. `values` is (rows, width), row-major, and
    /// lives only during the call.
    fn see(&mut self, point: Point, values: &[f32], width: usize);
}

/// Sees nothing.
impl Tap for () {
    fn see(&mut self, _: Point, _: &[f32], _: usize) {}
}

/// Result for one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Output {
    /// (classes) raw scores.
    pub logits: Vec<f32>,
    /// (tokens left) how many original tokens each stands for: first the kept even tokens, ascending, then
    /// the odd ones.
    pub sizes: Vec<u32>,
}

/// Runs the forward pass of one checkpoint.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    checkpoint: &'a Checkpoint,
}

impl<'a> Forward<'a> {
    /// A forward pass over `checkpoint`'s weights, which it borrows.
    pub fn new(checkpoint: &'a Checkpoint) -> Self {
        Self { checkpoint }
    }

    /// Classifies N images at model resolution, `pixels` u8 (N, S, S, 3), on all of rayon's threads.
    /// `merge` holds r for each layer; layers beyond its end merge nothing.
    ///
    /// # Panics
    /// If `pixels` is not a whole number of images.
    pub fn classify(&self, pixels: &[u8], merge: &[usize]) -> Vec<Output> {
        let image = self.checkpoint.model.image_bytes();
        assert_eq!(pixels.len() % image, 0);
        pixels
            .par_chunks_exact(image)
            .map(|pixels| self.run(pixels, merge, &mut ()))
            .collect()
    }

    /// Classifies one image, `pixels` u8 (S, S, 3), on this thread, and shows `tap` every
    /// intermediate result.
    ///
    /// # Panics
    /// If `pixels` is not one image.
    pub fn run(&self, pixels: &[u8], merge: &[usize], tap: &mut impl Tap) -> Output {
        let model = &self.checkpoint.model;
        let width = model.width;
        let mut residual = self.embed(pixels);
        tap.see(Point::PatchEmbed, &residual, width);
        let mut sizes = vec![1u32; model.tokens()];
        for (layer, block) in self.checkpoint.weights.blocks.iter().enumerate() {
            let keys = self.attention(layer, block, &mut residual, &sizes, tap);
            let wanted = merge.get(layer).copied().unwrap_or(0);
            let shape = merging::Shape {
                width,
                class_token: model.class_token,
            };
            (residual, sizes) = merging::merge(&shape, wanted, &keys, residual, sizes);
            self.mlp(layer, block, &mut residual, tap);
        }
        let logits = self.head(&residual, &sizes, tap);
        Output { logits, sizes }
    }

    fn embed(&self, pixels: &[u8]) -> Vec<f32> {
        let (model, weights) = (&self.checkpoint.model, &self.checkpoint.weights);
        let (size, patch, width) = (model.image_size, model.patch_size, model.width);
        assert_eq!(pixels.len(), model.image_bytes());
        let side = size / patch;
        let inner = 3 * patch * patch;
        let mut patches = vec![0.0; side * side * inner];
        for (n, row) in patches.chunks_exact_mut(inner).enumerate() {
            for (k, x) in row.iter_mut().enumerate() {
                let (colour, y, x_in) = (k / (patch * patch), k / patch % patch, k % patch);
                let (py, px) = (n / side * patch + y, n % side * patch + x_in);
                let pixel = f32::from(pixels[(py * size + px) * 3 + colour]);
                *x = (pixel / 255.0 - self.checkpoint.mean[colour]) / self.checkpoint.std[colour];
            }
        }
        let rows = linear(&patches, inner, &weights.patch_weight, &weights.patch_bias);
        let mut residual = weights.position.clone();
        let first = usize::from(model.class_token) * width;
        for (x, y) in residual[first..].iter_mut().zip(rows) {
            *x += y;
        }
        residual
    }

    /// Adds attention to `residual`; returns the keys (T, C).
    fn attention(
        &self,
        layer: usize,
        block: &Block,
        residual: &mut [f32],
        sizes: &[u32],
        tap: &mut impl Tap,
    ) -> Vec<f32> {
        let (width, tokens) = (self.checkpoint.model.width, sizes.len());
        let epsilon = self.checkpoint.model.epsilon;
        let x = layer_norm(residual, &block.norm1_gain, &block.norm1_bias, epsilon);
        tap.see(Point::Norm1(layer), &x, width);
        let part = |index: usize| {
            let weight = &block.qkv_weight[index * width * width..][..width * width];
            linear(&x, width, weight, &block.qkv_bias[index * width..][..width])
        };
        let (query, key, value) = (part(0), part(1), part(2));
        tap.see(Point::Query(layer), &query, width);
        tap.see(Point::Key(layer), &key, width);
        tap.see(Point::Value(layer), &value, width);

        let merged = sizes.iter().any(|&size| size > 1);
        let bias: Vec<f32> = sizes
            .iter()
            .map(|&size| if merged { (size as f32).ln() } else { 0.0 })
            .collect();
        let mut context = vec![0.0; tokens * width];
        let mut scores = vec![0.0; tokens * tokens];
        for head in (0..width).step_by(HEAD_WIDTH) {
            let view = |data| Matrix::columns(data, width, head, HEAD_WIDTH);
            multiply(
                &mut Matrix::whole_mut(&mut scores, tokens),
                view(&query),
                view(&key).transposed(),
            );
            softmax_rows(&mut scores, 1.0 / (HEAD_WIDTH as f32).sqrt(), &bias);
            let mut out = Matrix::columns_mut(&mut context, width, head, HEAD_WIDTH);
            multiply(&mut out, Matrix::whole(&scores, tokens), view(&value));
        }
        tap.see(Point::Context(layer), &context, width);
        let y = linear(&context, width, &block.proj_weight, &block.proj_bias);
        residual.iter_mut().zip(y).for_each(|(x, y)| *x += y);
        tap.see(Point::AttentionResidual(layer), residual, width);
        key
    }

    fn mlp(&self, layer: usize, block: &Block, residual: &mut [f32], tap: &mut impl Tap) {
        let model = &self.checkpoint.model;
        let x = layer_norm(
            residual,
            &block.norm2_gain,
            &block.norm2_bias,
            model.epsilon,
        );
        tap.see(Point::Norm2(layer), &x, model.width);
        let mut hidden = linear(&x, model.width, &block.fc1_weight, &block.fc1_bias);
        tap.see(Point::MlpPreActivation(layer), &hidden, model.mlp_width);
        gelu(&mut hidden);
        tap.see(Point::MlpHidden(layer), &hidden, model.mlp_width);
        let y = linear(&hidden, model.mlp_width, &block.fc2_weight, &block.fc2_bias);
        residual.iter_mut().zip(y).for_each(|(x, y)| *x += y);
        tap.see(Point::MlpResidual(layer), residual, model.width);
    }

    fn head(&self, residual: &[f32], sizes: &[u32], tap: &mut impl Tap) -> Vec<f32> {
        let (model, weights) = (&self.checkpoint.model, &self.checkpoint.weights);
        let width = model.width;
        let pooled = match model.pooling {
            Pooling::ClassToken => residual[..width].to_vec(),
            Pooling::Mean => {
                let first = usize::from(model.class_token);
                let mut mean = vec![0.0; width];
                for (row, &size) in residual.chunks_exact(width).zip(sizes).skip(first) {
                    mean.iter_mut()
                        .zip(row)
                        .for_each(|(m, x)| *m += size as f32 * x);
                }
                let total = sizes[first..].iter().sum::<u32>() as f32;
                mean.iter_mut().for_each(|m| *m /= total);
                mean
            }
        };
        let x = layer_norm(
            &pooled,
            &weights.final_norm_gain,
            &weights.final_norm_bias,
            model.epsilon,
        );
        tap.see(Point::FinalNorm, &x, width);
        let mut logits = vec![0.0; model.classes];
        let weight = Matrix::whole(&weights.head_weight, width);
        multiply(
            &mut Matrix::whole_mut(&mut logits, model.classes),
            Matrix::whole(&x, width),
            weight.transposed(),
        );
        add_bias(&mut logits, &weights.head_bias);
        tap.see(Point::Logits, &logits, model.classes);
        logits
    }
}
