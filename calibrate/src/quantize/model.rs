//! A whole network: patch embedding, layers, classifier.

use super::columns::{Columns, WIDE_LIMIT};
use super::layer::{PackedLayer, PackedLinear, PackedNorm, fit_norm, quantize_layer};
use super::product::real_output;
use super::search::{column_variance, correct_bias};
use super::weights::Linear;
use crate::checkpoint::Checkpoint;
use crate::observe::{Observer, Statistics};

/// Share of the 16-bit range that the classifier's calibrated input fills; the rest is headroom.
const WIDE_FILL: f32 = 0.5;

/// Every tensor of a pack.
#[derive(Clone, Debug, PartialEq)]
pub struct PackedModel {
    /// (C, K) with K padded to a multiple of 64, columns in (y, x, colour) order.
    pub patch: PackedLinear,
    /// (T, C) position embedding, in real units.
    pub position: Vec<f32>,
    /// One per layer.
    pub layers: Vec<PackedLayer>,
    /// In steps of the classifier's 16-bit input.
    pub final_norm: PackedNorm,
    /// (classes, C) the classifier.
    pub head: PackedLinear,
}

/// Quantizes a checkpoint, given the statistics of a calibration set.
#[derive(Default)]
pub struct Quantizer<'a> {
    observer: Observer,
    on_layer: Option<Box<dyn FnMut() + 'a>>,
}

impl<'a> Quantizer<'a> {
    /// A quantizer with [`Observer::Mse`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Chooses the ranges of activations in another way.
    #[must_use]
    pub fn with_observer(mut self, observer: Observer) -> Self {
        self.observer = observer;
        self
    }

    /// Calls `done` after each encoder layer: for a progress bar.
    #[must_use]
    pub fn on_layer(mut self, done: impl FnMut() + 'a) -> Self {
        self.on_layer = Some(Box::new(done));
        self
    }

    /// Quantizes all of `checkpoint`. `statistics` must be those of the same checkpoint.
    pub fn quantize(mut self, checkpoint: &Checkpoint, statistics: &Statistics) -> PackedModel {
        let observer = self.observer;
        let weights = &checkpoint.weights;
        let layers = weights
            .blocks
            .iter()
            .zip(&statistics.layers)
            .map(|(block, statistics)| {
                let layer = quantize_layer(observer, block, statistics);
                if let Some(done) = &mut self.on_layer {
                    done();
                }
                layer
            })
            .collect();
        let (final_norm, head) = classifier(observer, checkpoint, statistics);
        PackedModel {
            patch: patch_embedding(checkpoint, &statistics.patches),
            position: weights.position.clone(),
            layers,
            final_norm,
            head,
        }
    }
}

/// The exact relation between the camera's bytes, less 128, and normalized pixels.
fn pixel_columns(checkpoint: &Checkpoint, inner: usize) -> Columns {
    let of = |index: usize| {
        let colour = index % 3;
        let mean = f64::from(checkpoint.mean[colour]);
        let std = f64::from(checkpoint.std[colour]);
        (1.0 / (255.0 * std), (128.0 / 255.0 - mean) / std)
    };
    let (step, shift) = (0..inner).map(of).unzip();
    Columns {
        step,
        shift,
        limit: 128.0,
    }
}

/// Quantizes the patch embedding; `patches` (R, 3 p^2) are integer pixels in (y, x, colour) order.
fn patch_embedding(checkpoint: &Checkpoint, patches: &[f32]) -> PackedLinear {
    let (model, weights) = (&checkpoint.model, &checkpoint.weights);
    let side = model.patch_size;
    let inner = 3 * side * side;
    let mut ordered = Vec::with_capacity(weights.patch_weight.len());
    for row in weights.patch_weight.chunks_exact(inner) {
        for pixel in 0..side * side {
            ordered.extend((0..3).map(|colour| row[colour * side * side + pixel]));
        }
    }
    let linear = Linear::new(&ordered, &weights.patch_bias);
    let columns = pixel_columns(checkpoint, inner);
    let mut quantized = linear.quantize(&columns, &column_variance(patches, inner));
    let real: Vec<f32> = patches
        .iter()
        .enumerate()
        .map(|(i, &q)| {
            let column = i % inner;
            (f64::from(q) * columns.step[column] + columns.shift[column]) as f32
        })
        .collect();
    correct_bias(
        &mut quantized,
        &columns,
        &real,
        &real_output(&linear, &real),
    );
    let mut padded = vec![0; model.width * model.patch_row()];
    let rows = padded.chunks_exact_mut(model.patch_row());
    for (padded, row) in rows.zip(quantized.data.chunks_exact(inner)) {
        padded[..inner].copy_from_slice(row);
    }
    quantized.data = padded;
    PackedLinear::real(quantized)
}

/// Quantizes the last layer norm and the classifier.
fn classifier(
    observer: Observer,
    checkpoint: &Checkpoint,
    statistics: &Statistics,
) -> (PackedNorm, PackedLinear) {
    let weights = &checkpoint.weights;
    let linear = Linear::new(&weights.head_weight, &weights.head_bias);
    let output = real_output(&linear, &statistics.final_norm.samples);
    let (columns, head) = fit_norm(
        observer,
        &linear,
        &statistics.final_norm,
        &output,
        WIDE_FILL * WIDE_LIMIT,
        |output| vec![1.0; output.len()],
    );
    (
        PackedNorm::fold(&weights.final_norm_gain, &weights.final_norm_bias, &columns),
        PackedLinear::real(head),
    )
}
