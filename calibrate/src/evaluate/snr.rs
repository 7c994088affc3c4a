//! How far INT8 is from full precision inside the network.

use crate::checkpoint::Checkpoint;
use crate::fp32::{Forward, Point, Tap};
use mergevit_runtime::inspect::{self, ArenaView, Op, Span};
use mergevit_runtime::pack::Linear;
use mergevit_runtime::{Engine, RunError};
use serde::Serialize;

/// Where the residual stream is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Place {
    /// After the patch embedding.
    Embedding,
    /// After attention.
    Attention,
    /// After the MLP.
    Mlp,
}

/// Signal-to-noise ratio of the residual stream at one place.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerNoise {
    /// The layer; none for the embedding.
    pub layer: Option<usize>,
    /// The part of the layer after which the stream was compared.
    pub after: Place,
    /// `10 log10(sum of squares of FP32 / sum of squares of the difference)`; none if they are equal.
    pub signal_to_noise_db: Option<f64>,
}

/// Keeps the residual stream of one full-precision image, place by place.
#[derive(Default)]
struct Residuals(Vec<Vec<f32>>);

impl Tap for Residuals {
    fn see(&mut self, point: Point, values: &[f32], _: usize) {
        if let Point::PatchEmbed | Point::AttentionResidual(_) | Point::MlpResidual(_) = point {
            self.0.push(values.to_vec());
        }
    }
}

/// The place after an operation that updates the residual stream.
fn place(op: &Op) -> Option<(Option<usize>, Place, Span)> {
    match op {
        Op::Embed(embed) => Some((None, Place::Embedding, embed.residual)),
        Op::Linear(op) => {
            let after = match op.linear {
                Linear::Projection => Place::Attention,
                Linear::Fc2 => Place::Mlp,
                _ => return None,
            };
            Some((op.layer, after, op.output))
        }
        _ => None,
    }
}

/// Compares the residual streams of `engine`, whose schedule must not merge, and of the checkpoint it was
/// made from, over images at model resolution, `pixels` u8 (N, S, S, 3). Calls `done` after each image.
///
/// # Errors
/// [`RunError`] if `pixels` are not whole images of the model.
pub fn residual_noise(
    engine: &mut Engine,
    checkpoint: &Checkpoint,
    pixels: &[u8],
    done: impl Fn(),
) -> Result<Vec<LayerNoise>, RunError> {
    let image = checkpoint.model.image_bytes();
    if !pixels.len().is_multiple_of(image) {
        let found = pixels.len();
        return Err(RunError::Pixels { found, image });
    }
    let forward = Forward::new(checkpoint);
    let mut sums: Vec<(Option<usize>, Place, f64, f64)> = Vec::new();
    // One a thread, which bounds memory.
    let few = rayon::current_num_threads() * image;
    let real = pixels
        .chunks(few)
        .flat_map(|pixels| forward.watch(pixels, &[], |_| Residuals::default(), &|| ()));
    for (image, (_, real)) in pixels.chunks_exact(image).zip(real) {
        let mut index = 0;
        inspect::observe(engine, image, &mut |op: &Op, arena: &ArenaView<'_>| {
            let Some((layer, after, span)) = place(op) else {
                return;
            };
            let (mut signal, mut noise) = (0.0f64, 0.0f64);
            for (x, real) in arena.f16(span).iter().zip(&real.0[index]) {
                let real = f64::from(*real);
                signal += real * real;
                noise += (f64::from(x.to_f32()) - real).powi(2);
            }
            if sums.len() == index {
                sums.push((layer, after, 0.0, 0.0));
            }
            sums[index].2 += signal;
            sums[index].3 += noise;
            index += 1;
        })?;
        done();
    }
    Ok(sums
        .into_iter()
        .map(|(layer, after, signal, noise)| LayerNoise {
            layer,
            after,
            signal_to_noise_db: (noise > 0.0 && signal > 0.0)
                .then(|| 10.0 * (signal / noise).log10()),
        })
        .collect())
}
