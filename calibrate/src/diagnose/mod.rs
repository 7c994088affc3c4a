//! Why INT8 differs from full precision: which rounding costs how much.
//!
//! An [`Emulation`] computes a pack's network over real numbers with the pack's own scales and roundings. [`diagnose`]
//! leaves out one rounding after the other, then all of one layer after the other, and says by how many decibels the
//! outputs come nearer to full precision. What gains nothing is not worth anybody's work.

mod diagnosis;
mod emulation;
mod exact;
mod hint;
mod means;
mod network;
mod outliers;
mod quantizer;
mod ratio;
mod rounding;
mod units;

pub use diagnosis::{Diagnosis, Gain};
pub use emulation::Emulation;
pub use hint::{USUAL_DB, hint};
pub use outliers::{Outlier, Shared};
pub use quantizer::{LeftOut, Quantizer};

use crate::checkpoint::Checkpoint;
use crate::fp32::Forward;
use mergevit_runtime::Pack;
use outliers::Reach;
use ratio::{Squares, gain, signal_to_noise};
use rayon::prelude::*;

/// So many outliers are named.
const OUTLIERS: usize = 5;

/// How many networks each image passes in [`diagnose`].
pub fn passes(pack: &Pack) -> usize {
    2 + quantizers(pack).len() + pack.config().depth
}

/// The quantizers that the network of `pack` has.
fn quantizers(pack: &Pack) -> Vec<Quantizer> {
    let model = pack.config();
    let is_there = |quantizer: &Quantizer| match quantizer {
        Quantizer::Pooling => model.attention_pooling.is_some(),
        Quantizer::ClassifierInput | Quantizer::ClassifierWeights => model.head,
        _ => true,
    };
    Quantizer::ALL.into_iter().filter(is_there).collect()
}

/// Measures what each rounding of `pack` costs, which was made from `checkpoint`, over images at model resolution,
/// `pixels` u8 (N, S, S, 3). Calls `done` after each image of each [pass](passes), from any thread.
///
/// # Panics
/// If pack and checkpoint are of different models, or if `pixels` are not whole images, at least one.
pub fn diagnose(
    checkpoint: &Checkpoint,
    pack: &Pack,
    pixels: &[u8],
    done: &(dyn Fn() + Sync),
) -> Diagnosis {
    let image = checkpoint.model.image_bytes();
    assert!(!pixels.is_empty() && pixels.len().is_multiple_of(image));
    let (truth, reach) = full_precision(checkpoint, pixels, done);
    let mut emulation = Emulation::new(checkpoint, pack, pixels);
    let mut measure = |left_out| -> Vec<Squares> {
        let outputs = emulation.outputs(pixels, left_out, done);
        truth
            .iter()
            .zip(&outputs)
            .map(|(truth, found)| Squares::of(truth, found))
            .collect()
    };
    let all = measure(LeftOut::Nothing);
    let mut gain_of = |left_out, quantizer, layer| {
        let (gain_db, standard_error_db) = gain(&all, &measure(left_out));
        Gain {
            quantizer,
            layer,
            gain_db,
            standard_error_db,
        }
    };
    let mut quantizers: Vec<Gain> = quantizers(pack)
        .into_iter()
        .map(|quantizer| gain_of(LeftOut::Quantizer(quantizer), Some(quantizer), None))
        .collect();
    quantizers.sort_by(|a, b| b.gain_db.total_cmp(&a.gain_db));
    let layers = (0..checkpoint.model.depth)
        .map(|layer| gain_of(LeftOut::Layer(layer), None, Some(layer)))
        .collect();
    let mut diagnosis = Diagnosis {
        images: truth.len() as u64,
        signal_to_noise_db: signal_to_noise(&all),
        quantizers,
        layers,
        outliers: reach.outliers(OUTLIERS),
        hint: None,
    };
    diagnosis.hint = hint(&diagnosis);
    diagnosis
}

/// Outputs of full precision, and how far channels reach.
fn full_precision(
    checkpoint: &Checkpoint,
    pixels: &[u8],
    done: &(dyn Fn() + Sync),
) -> (Vec<Vec<f32>>, Reach) {
    let images = pixels.par_chunks_exact(checkpoint.model.image_bytes());
    let run = |image| {
        let mut reach = Reach::default();
        let output = Forward::new(checkpoint).run(image, &[], &mut reach);
        done();
        (output.logits, reach)
    };
    let runs: Vec<(Vec<f32>, Reach)> = images.map(run).collect();
    let (outputs, reaches): (Vec<_>, Vec<_>) = runs.into_iter().unzip();
    (
        outputs,
        reaches.into_iter().fold(Reach::default(), Reach::or),
    )
}
