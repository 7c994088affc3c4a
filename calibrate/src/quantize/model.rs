//! A whole network: patch embedding, layers, classifier.

use super::columns::Columns;
use super::layer::quantize_layer;
use super::packed::{PackedLinear, PackedModel, PackedNorm};
use super::product::real_output;
use super::search::{column_variance, correct_bias};
use super::tail;
use super::weights::Linear;
use crate::checkpoint::Checkpoint;
use crate::observe::{Observer, Statistics};
use mergevit_runtime::ActivationName;

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
        let layers = (0..)
            .zip(&statistics.layers)
            .map(|(index, statistics)| {
                let layer = quantize_layer(observer, checkpoint, index, statistics);
                if let Some(done) = &mut self.on_layer {
                    done();
                }
                layer
            })
            .collect();
        let (mut token_norm, mut pooling) = (None, None);
        if let Some(affine) = &weights.token_norm {
            token_norm = Some(PackedNorm::from(affine));
            if let Some(of) = &weights.pooling {
                let packed = tail::pooling(observer, checkpoint, (of, affine), &statistics.pooling);
                (token_norm, pooling) = (Some(packed.0), Some(packed.1));
            }
        }
        let (final_norm, head) = tail::classifier(observer, checkpoint, statistics);
        PackedModel {
            patch: patch_embedding(checkpoint, &statistics.patches),
            position: weights.position.clone(),
            activation: coefficients(checkpoint.model.activation),
            pre_norm: weights.pre_norm.as_ref().map(PackedNorm::from),
            rotary: weights.rotary.iter().map(|&turns| turns as f32).collect(),
            layers,
            token_norm,
            pooling,
            final_norm,
            head,
        }
    }
}

/// An activation as a pack holds it: limit, map, polynomial.
fn coefficients(name: ActivationName) -> Vec<f32> {
    let activation = name.activation();
    [activation.limit, activation.map]
        .into_iter()
        .chain(activation.poly)
        .collect()
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
