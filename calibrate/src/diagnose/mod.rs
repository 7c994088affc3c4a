//! Why INT8 differs from full precision: which rounding costs how much.
//!
//! An [`Emulation`] computes a pack's network over real numbers with the pack's own scales and roundings. [`diagnose`]
//! leaves out one rounding after the other, then all of one layer after the other, and says by how many decibels features
//! and outputs come nearer to full precision. What gains nothing is not worth anybody's work.

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
pub use emulation::{Emulation, Seen};
pub use hint::{USUAL_DB, hint};
pub use outliers::{Outlier, Shared};
pub use quantizer::{LeftOut, Quantizer};

use crate::checkpoint::Checkpoint;
use crate::fp32::{Forward, Output, Point, Tap};
use mergevit_runtime::Pack;
use outliers::Reach;
use ratio::{Squares, gain, signal_to_noise};

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
    let mut measure = |left_out| Noise::of(&truth, &emulation.run(pixels, left_out, done));
    let all = measure(LeftOut::Nothing);
    let has_head = checkpoint.model.head;
    let mut gain_of = |left_out, quantizer, layer| {
        let without = measure(left_out);
        let (gain_db, standard_error_db) = gain(&all.features, &without.features);
        let outputs = has_head.then(|| gain(&all.outputs, &without.outputs));
        Gain {
            quantizer,
            layer,
            gain_db,
            standard_error_db,
            outputs_gain_db: outputs.map(|(gain, _)| gain),
            outputs_standard_error_db: outputs.and_then(|(_, error)| error),
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
        signal_to_noise_db: signal_to_noise(&all.features),
        outputs_signal_to_noise_db: signal_to_noise(&all.outputs).filter(|_| has_head),
        quantizers,
        layers,
        outliers: reach.outliers(OUTLIERS),
        hint: None,
    };
    diagnosis.hint = hint(&diagnosis);
    diagnosis
}

/// How far images are from full precision.
struct Noise {
    features: Vec<Squares>,
    outputs: Vec<Squares>,
}

impl Noise {
    fn of(truth: &[Seen], found: &[Seen]) -> Self {
        let pairs = || truth.iter().zip(found);
        Self {
            features: pairs()
                .map(|(truth, found)| Squares::of(&truth.features, &found.features))
                .collect(),
            outputs: pairs()
                .map(|(truth, found)| Squares::of(&truth.output, &found.output))
                .collect(),
        }
    }
}

/// Looks at a pass in full precision.
#[derive(Default)]
struct Look {
    reach: Reach,
    features: Vec<f32>,
}

impl Tap for Look {
    fn see(&mut self, point: Point, values: &[f32], width: usize) {
        self.reach.see(point, values, width);
        if point == Point::FinalNorm {
            self.features = values.to_vec();
        }
    }
}

/// What full precision gives, and how far channels reach.
fn full_precision(
    checkpoint: &Checkpoint,
    pixels: &[u8],
    done: &(dyn Fn() + Sync),
) -> (Vec<Seen>, Reach) {
    let run = Forward::new(checkpoint).watch(pixels, &[], |_| Look::default(), done);
    let look = |(output, look): (Output, Look)| {
        let (features, output) = (look.features, output.logits);
        (Seen { features, output }, look.reach)
    };
    let (seen, reaches): (Vec<_>, Vec<_>) = run.into_iter().map(look).unzip();
    let reach = reaches.into_iter().fold(Reach::default(), Reach::or);
    (seen, reach)
}
